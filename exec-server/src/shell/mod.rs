//! One call of the tool: request → spawn → output → deadline → termination → outcome.
//!
//! A [`Call`] lives by itself: requests of the protocol attach to it and may end before it does.

mod call;
mod outcome;
mod output;
mod request;
mod spawn;

pub use call::{Call, StartError};
pub use outcome::{BackgroundProcess, CallOutcome, Ending};
pub use output::{Found, Presentation, Query, Recording, Spool, SpoolLimits, View};
pub use request::{CallRequest, RequestError};

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approval::Approver;
use crate::config::Config;

/// Starts calls, and ends all of them with the server.
#[derive(Clone)]
pub struct Shell {
    config: Arc<Config>,
    calls: TaskTracker,
    closing: CancellationToken,
    outputs: Spool,
}

impl Shell {
    /// A shell that runs commands as `config` says.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Shell {
        let outputs = Spool::new(config.spool);
        Shell { config, calls: TaskTracker::new(), closing: CancellationToken::new(), outputs }
    }

    /// The configuration that calls run by.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The outputs that can be asked for.
    #[must_use]
    pub fn outputs(&self) -> &Spool {
        &self.outputs
    }

    /// Starts a command; `approver` is asked when a rule says so. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// When the system has no descriptors or processes left.
    pub fn start(&self, request: CallRequest, approver: Arc<dyn Approver>) -> Result<Call, StartError> {
        call::start(&self.config, request, approver, self.closing.child_token(), &self.calls, &self.outputs)
    }

    /// Ends every call, and waits until its processes are gone; at most for `patience`.
    pub async fn close(&self, patience: Duration) {
        self.closing.cancel();
        self.calls.close();
        if tokio::time::timeout(patience, self.calls.wait()).await.is_err() {
            tracing::error!("some calls did not end in time");
        }
    }
}
