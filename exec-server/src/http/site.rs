//! What one server behind HTTP consists of: what requests are checked by, and what they meet.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gate::Gate;
use super::hosts::Hosts;
use super::life::Life;
use super::metrics::{Metrics, Now};
use super::page::Page;
use super::principal::Identity;
use super::tenants::Tenants;
use super::traces::Exporter;
use super::workers::Workers;
use crate::channels::Desk;

/// How long calls may take to end when the server has waited for them: their own grace, and a little.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1200);

/// How much longer a process may take to write its last answers, and to end.
const WORKERS_TIMEOUT: Duration = Duration::from_secs(2);

/// Those who are served.
pub(super) enum Served {
    /// By this process.
    Here(Box<Tenants>),
    /// By processes of theirs.
    Apart(Arc<Workers>),
}

/// One server's site.
pub(super) struct Site {
    pub(super) hosts: Hosts,
    pub(super) gate: Gate,
    pub(super) served: Served,
    /// What clients are told about who makes tokens, if somebody does (RFC 9728).
    pub(super) metadata: Option<Value>,
    pub(super) life: Life,
    pub(super) metrics: Arc<Metrics>,
    pub(super) connections: TaskTracker,
    /// Everybody's open questions.
    pub(super) desk: Desk,
    pub(super) page: Page,
    /// Ends all streams.
    pub(super) streams: CancellationToken,
    /// The way to a collector of traces, if there is one.
    pub(super) exporter: Option<Exporter>,
}

impl Served {
    /// Whether somebody is served already.
    pub(super) fn has(&self, identity: &Identity) -> bool {
        match self {
            Served::Here(tenants) => tenants.has(identity),
            Served::Apart(workers) => workers.has(identity),
        }
    }

    /// How much there is at the moment, as far as this process knows.
    pub(super) async fn now(&self) -> Now {
        match self {
            Served::Here(tenants) => tenants.now().await,
            Served::Apart(workers) => Now { principals: workers.count(), ..Now::default() },
        }
    }

    /// Nothing new begins from now on.
    pub(super) fn leave(&self) {
        if let Served::Apart(workers) = self {
            workers.leave();
        }
    }

    /// Completes when no command runs.
    pub(super) async fn all_ended(&self) {
        match self {
            Served::Here(tenants) => tenants.all_ended().await,
            Served::Apart(workers) => workers.all_ended().await,
        }
    }

    /// Ends all that runs, and waits for it, but not for long.
    pub(super) async fn close(&self) {
        match self {
            Served::Here(tenants) => tenants.close(CLOSE_TIMEOUT).await,
            Served::Apart(workers) => workers.close(CLOSE_TIMEOUT + WORKERS_TIMEOUT).await,
        }
    }
}
