//! One call of the tool: request → spawn → output → deadline → termination → outcome.
//!
//! A [`Call`] lives by itself: requests of the protocol attach to it and may end before it does.

mod call;
mod output;
mod request;
mod spawn;

pub use call::{Call, CallOutcome, Ending, StartError};
pub use request::{CallRequest, RequestError};

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approval::Approver;
use crate::audit::{Audit, Event};
use crate::config::Config;

/// How long the last lines of the audit log may take to be written when the server ends.
const LAST_LINES: Duration = Duration::from_millis(300);

/// Starts calls, and ends all of them with the server.
#[derive(Clone)]
pub struct Shell {
    config: Arc<Config>,
    calls: TaskTracker,
    closing: CancellationToken,
    audit: Audit,
}

impl Shell {
    /// A shell that runs commands as `config` says.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Shell {
        let audit = Audit::new(&config.codex_home);
        audit.record(Event::Started {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sandbox: config.sandbox.map(|mode| mode.to_string()),
        });
        Shell { config, calls: TaskTracker::new(), closing: CancellationToken::new(), audit }
    }

    /// The configuration that calls run by.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Starts a command; `approver` is asked when a rule says so. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// When the system has no descriptors or processes left.
    pub fn start(&self, request: CallRequest, approver: Arc<dyn Approver>) -> Result<Call, StartError> {
        let record = self.audit.call();
        call::start(&self.config, request, approver, record, self.closing.child_token(), &self.calls)
    }

    /// Ends every call, and waits until its processes are gone; at most for `patience`.
    pub async fn close(&self, patience: Duration) {
        self.closing.cancel();
        self.calls.close();
        if tokio::time::timeout(patience, self.calls.wait()).await.is_err() {
            tracing::error!("some calls did not end in time");
        }
        let audit = self.audit.clone();
        let _ = tokio::task::spawn_blocking(move || audit.settle(LAST_LINES)).await;
    }
}
