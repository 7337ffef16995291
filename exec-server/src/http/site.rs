//! What one server behind HTTP consists of: what requests are checked by, and what they meet.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gate::Gate;
use super::hosts::Hosts;
use super::life::Life;
use super::metrics::Metrics;
use super::page::Page;
use super::tenants::Tenants;
use crate::channels::Desk;

/// One server's site.
pub(super) struct Site {
    pub(super) hosts: Hosts,
    pub(super) gate: Gate,
    pub(super) tenants: Tenants,
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
}
