//! One call of the tool: request → spawn → output → deadline → termination → outcome.
//!
//! A [`Call`] lives by itself: requests of the protocol attach to it and may end before it does.

mod call;
mod denials;
mod output;
mod request;
mod spawn;

pub use call::{BackgroundProcess, Call, CallOutcome, Ending, StartError};
pub use request::{CallRequest, RequestError};

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approval::Approver;
use crate::config::{Config, Wanted};
use crate::confinement::Places;

/// Starts calls, and ends all of them with the server.
#[derive(Clone)]
pub struct Shell {
    config: Arc<Config>,
    places: Arc<Places>,
    calls: TaskTracker,
    closing: CancellationToken,
}

impl Shell {
    /// A shell that runs commands as `config` says.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Shell {
        let places = Arc::new(Places::new(Arc::clone(&config.sandboxing), config.session_program.clone()));
        Shell { config, places, calls: TaskTracker::new(), closing: CancellationToken::new() }
    }

    /// The configuration that calls run by.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Starts a command in the sandbox of the configuration; `approver` is asked when a rule says so. Must be called within
    /// the runtime.
    ///
    /// # Errors
    ///
    /// When the sandbox that was asked for cannot be enforced, or the system has no descriptors or processes left.
    pub async fn start(&self, request: CallRequest, approver: Arc<dyn Approver>) -> Result<Call, StartError> {
        let wanted = self.config.sandboxing.wanted(&[], None);
        self.start_in(&wanted, request, approver).await
    }

    /// Starts a command in the sandbox of one policy.
    pub(crate) async fn start_in(
        &self,
        wanted: &Wanted,
        request: CallRequest,
        approver: Arc<dyn Approver>,
    ) -> Result<Call, StartError> {
        let cancel = self.closing.child_token();
        call::start(&self.config, &self.places, wanted, request, approver, cancel, &self.calls).await
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
