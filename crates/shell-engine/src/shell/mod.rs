//! One call of the tool: request → spawn → output → deadline → termination → outcome.
//!
//! A [`Call`] lives by itself: requests of the protocol attach to it and may end before it does.
//!
//! # Layout, in the order in which a call meets it
//! - `request`: what is wanted, checked. `admission`: waiting until it may start.
//! - `login`: what the user's start-up files set. `spawn`: starting Bash. `attend`: from there to the end.
//! - `call`: what others see of it meanwhile. `running`: the list of all, to be attached to.
//! - `denials`: what the sandbox refused. `outcome`: what it came to.
//! - `background`: its processes, and what it leaves behind.
//! - `user_program`: what is no call: a program of the user's own.

mod admission;
mod attend;
mod background;
mod call;
mod denials;
mod login;
mod outcome;
mod request;
mod running;
mod spawn;
mod user_program;

pub use admission::Turn;
pub use attend::StartError;
pub use background::BackgroundProcess;
pub use call::Call;
pub use outcome::{CallOutcome, Ending};
pub use request::{CallRequest, RequestError};
pub use running::{BackgroundCall, RecentCall, RunningCall, RunningCalls};
pub use user_program::{Ran, UserProgram, UserProgramError};

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approval::Approver;
use crate::audit::{Audit, Event};
use crate::config::{Config, Wanted};
use crate::output::Spool;
use crate::programs::Programs;
use crate::rules::Rules;
use crate::sandboxes::SandboxPool;
use admission::Admission;
use login::Logins;

/// How long the last lines of the audit log may take to be written when the server ends.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(300);

/// Starts calls, and ends all of them with the server.
#[derive(Clone)]
pub struct Shell {
    config: Arc<Config>,
    rules: Arc<Rules>,
    programs: Arc<Programs>,
    sandboxes: Arc<SandboxPool>,
    calls: TaskTracker,
    closing: CancellationToken,
    outputs: Spool,
    admission: Admission,
    running: RunningCalls,
    logins: Logins,
    audit: Audit,
}

impl Shell {
    /// A shell that runs commands as `config` says.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Shell {
        let audit = Audit::new(&config.codex_home);
        Shell::recording(config, audit)
    }

    /// The same for an examination: nothing is put on record.
    pub fn unrecorded(config: Arc<Config>) -> Shell {
        Shell::recording(config, Audit::forgetful())
    }

    fn recording(config: Arc<Config>, audit: Audit) -> Shell {
        let sandboxes =
            Arc::new(SandboxPool::new(Arc::clone(&config.sandboxing), config.session_program.clone()));
        let sandbox = Some(config.sandboxing.mode().to_string());
        audit.record(Event::Started { version: env!("CARGO_PKG_VERSION").to_owned(), sandbox });
        let outputs = Spool::new(config.limits.spool);
        Shell {
            running: RunningCalls::new(outputs.clone()),
            outputs,
            admission: Admission::new(config.limits.concurrent_calls),
            logins: Logins::default(),
            rules: Arc::new(Rules::start(config.rules.clone())),
            programs: Arc::new(Programs::new(&config.search_path())),
            config,
            sandboxes,
            calls: TaskTracker::new(),
            closing: CancellationToken::new(),
            audit,
        }
    }

    /// The configuration that calls run by.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The rules that programs are judged by.
    #[must_use]
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// What a user should know about the search path that the server was started with, one sentence each.
    #[must_use]
    pub fn search_path_doubts(&self) -> Vec<String> {
        let plan = self.config.sandboxing.plan(&self.config.sandboxing.wanted(&[], None));
        plan.map(|plan| self.config.search_path_doubts(&plan)).unwrap_or_default()
    }

    /// The outputs that can be asked for.
    #[must_use]
    pub fn outputs(&self) -> &Spool {
        &self.outputs
    }

    /// The calls that run, that have left processes behind, or whose results may have reached nobody.
    #[must_use]
    pub fn running(&self) -> &RunningCalls {
        &self.running
    }

    /// Waits until a command may start, in the order of asking. Dropping the future leaves the queue.
    pub async fn turn(&self) -> Turn {
        self.admission.enter().await
    }

    /// Completes when the server ends: nothing may start any more.
    pub async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// How many commands may run at once, and how many wait.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        self.admission.load()
    }

    /// Runs a program of the user's own outside every sandbox: not what a command or a rule names, but what the user does. It
    /// finds other programs where no command can put one.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or its output is too long.
    pub async fn run_outside(&self, mut program: UserProgram<'_>) -> Result<Ran, UserProgramError> {
        let plans = self.sandboxes.plans().await;
        let may_be_written =
            |path: &Path| plans.iter().any(|plan| plan.mode.is_enforced() && plan.may_write(path));
        let mut search_path = OsString::from("PATH=");
        search_path.push(self.programs.search_path_outside(may_be_written));
        program.environment.retain(|entry| !entry.as_encoded_bytes().starts_with(b"PATH="));
        program.environment.push(search_path);
        program.run(&self.sandboxes).await
    }

    /// Starts a command in the sandbox of the configuration; `approver` is asked when a rule says so. Must be called within
    /// the runtime.
    ///
    /// # Errors
    ///
    /// When the sandbox that was asked for cannot be enforced, or the system has no descriptors or processes left.
    pub async fn start(
        &self,
        request: CallRequest,
        approver: Arc<dyn Approver>,
        turn: Turn,
    ) -> Result<Call, StartError> {
        let wanted = self.config.sandboxing.wanted(&[], None);
        self.start_in(&wanted, request, approver, turn).await
    }

    /// Starts a command in the sandbox of one policy. The turn ends with its shell.
    pub async fn start_in(
        &self,
        wanted: &Wanted,
        request: CallRequest,
        approver: Arc<dyn Approver>,
        turn: Turn,
    ) -> Result<Call, StartError> {
        attend::start(self, wanted, request, approver, turn).await
    }

    /// Ends every call, and waits until its processes are gone; at most for `patience`.
    pub async fn close(&self, patience: Duration) {
        self.closing.cancel();
        self.calls.close();
        if tokio::time::timeout(patience, self.calls.wait()).await.is_err() {
            tracing::error!("some calls did not end in time");
        }
        let audit = self.audit.clone();
        let _ = tokio::task::spawn_blocking(move || audit.settle(LAST_LINES_TIMEOUT)).await;
    }
}
