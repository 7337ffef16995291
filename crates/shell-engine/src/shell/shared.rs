//! What all calls of one server share: its configuration, rules, sandboxes and records.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{Admission, Turn};
use super::bounded::Bounded;
use super::login::Logins;
use super::outcome::CallOutcome;
use super::places::Places;
use super::running::RunningCalls;
use super::sessions::Sessions;
use super::user_program::{Ran, UserProgram, UserProgramError};
use crate::audit::{Audit, CallRecord, Event, Origin};
use crate::config::Config;
use crate::interception::KernelDoors;
use crate::judgement::Executed;
use crate::network::{Networks, OpenConnection};
use crate::output::Spool;
use crate::programs::Programs;
use crate::rules::Rules;
use crate::sandboxes::SandboxPool;

/// How long what was found on the search path is believed behind the kernel's door: no person changes it faster.
const BELIEVED: Duration = Duration::from_millis(50);

/// How long the last lines of the audit log may take to be written when the server ends.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(300);

/// Starts calls, and ends all of them with the server.
#[derive(Clone)]
pub struct Shell {
    pub(super) config: Arc<Config>,
    pub(super) rules: Arc<Rules>,
    pub(super) programs: Arc<Programs>,
    /// What confined programs execute.
    pub(super) executed: Executed,
    pub(super) sandboxes: Arc<SandboxPool>,
    pub(super) bounded: Bounded,
    pub(super) networks: Arc<Networks>,
    pub(super) calls: TaskTracker,
    pub(super) closing: CancellationToken,
    pub(super) outputs: Spool,
    pub(super) admission: Admission,
    pub(super) running: RunningCalls,
    pub(super) sessions: Sessions,
    pub(super) logins: Logins,
    pub(super) audit: Audit,
    pub(super) kernel_doors: Arc<KernelDoors>,
    pub(super) observer: Option<Arc<dyn Observer>>,
}

/// Hears what happens in a shell, to count it. It is called on the way, so that it must return at once.
pub trait Observer: Send + Sync {
    /// Something was put on record.
    fn recorded(&self, event: &Event);

    /// A call has ended; `None`: it could not start.
    fn call_ended(&self, outcome: Option<&CallOutcome>);

    /// A call is about to run, after it has waited so long for its turn. Its name is that of the record; it is told of
    /// nothing before this, and of its end by [`call_left`](Self::call_left). Does nothing by default.
    fn call_began(&self, _call: &str, _origin: &Origin, _waited: Duration) {}

    /// A call that began is at its end; `None`: it did not get to run. Does nothing by default.
    fn call_left(&self, _call: &str, _outcome: Option<&CallOutcome>) {}
}

/// A call that an observer was told of. Dropped without an outcome, it did not get to run.
pub(super) struct Watched(Option<(Arc<dyn Observer>, String)>);

impl Watched {
    pub(super) fn left(mut self, outcome: &CallOutcome) {
        if let Some((observer, call)) = self.0.take() {
            observer.call_left(&call, Some(outcome));
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some((observer, call)) = self.0.take() {
            observer.call_left(&call, None);
        }
    }
}

impl Shell {
    /// Tells the observer that a call begins.
    pub(super) fn watch(&self, record: &CallRecord, origin: &Origin, waited: Duration) -> Watched {
        Watched(self.observer.clone().map(|observer| {
            observer.call_began(record.call(), origin, waited);
            (observer, record.call().to_owned())
        }))
    }

    /// A shell that runs commands as `config` says.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Shell {
        let audit = Audit::new(&config.codex_home);
        Shell::recording(config, audit)
    }

    /// The same, which takes turns with others to run commands.
    #[must_use]
    pub fn sharing(self, places: &Places) -> Shell {
        self.sandboxes.join(places.neighbours());
        Shell { admission: self.admission.sharing(places), ..self }
    }

    /// The same, where `observer` hears what happens.
    #[must_use]
    pub fn observed(self, observer: Arc<dyn Observer>) -> Shell {
        let listener = Arc::clone(&observer);
        self.audit.heard_by(Arc::new(move |event| listener.recorded(event)));
        Shell { observer: Some(observer), ..self }
    }

    /// The same for an examination: nothing is put on record.
    pub fn unrecorded(config: Arc<Config>) -> Shell {
        Shell::recording(config, Audit::forgetful())
    }

    fn recording(config: Arc<Config>, audit: Audit) -> Shell {
        let sandboxes = SandboxPool::new(Arc::clone(&config.sandboxing), config.session_program.clone());
        let bounded = Bounded::by(config.limits.bounds);
        let sandboxes = sandboxes.with_group(bounded.group());
        let rules = Arc::new(Rules::start(config.rules.clone()));
        let networks = Arc::new(Networks::new(Arc::clone(&rules), Arc::clone(&config.hosts)));
        let sandboxes = sandboxes.with_broker(config.is_behind_the_kernels_door());
        let sandboxes = Arc::new(sandboxes.with_networks(Arc::clone(&networks)));
        let sandbox = Some(config.sandboxing.mode().to_string());
        audit.record(Event::Started { version: env!("CARGO_PKG_VERSION").to_owned(), sandbox });
        let programs = Programs::new(&config.search_path());
        // Behind the kernel's door, so much more is judged that looking each time would cost more than judging.
        let programs = match config.is_behind_the_kernels_door() {
            true => programs.looking_every(BELIEVED),
            false => programs,
        };
        let outputs = Spool::of_server(config.limits.spool, config.server_name.as_deref());
        Shell {
            running: RunningCalls::new(outputs.clone()),
            sessions: Sessions::new(config.limits.sessions, config.limits.session_idle, outputs.clone()),
            outputs,
            admission: Admission::new(config.limits.concurrent_calls),
            logins: Logins::default(),
            rules,
            networks,
            kernel_doors: Arc::new(KernelDoors::new(config.execve_wrapper.clone())),
            programs: Arc::new(programs),
            executed: Executed::default(),
            config,
            sandboxes,
            bounded,
            calls: TaskTracker::new(),
            closing: CancellationToken::new(),
            audit,
            observer: None,
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

    /// Why memory and processor time of commands are not bounded although they should be.
    #[must_use]
    pub fn not_bounded(&self) -> Option<String> {
        self.bounded.refusal()
    }

    /// The connections to hosts that commands have open.
    #[must_use]
    pub fn open_connections(&self) -> Vec<OpenConnection> {
        self.networks.open()
    }

    /// What a user should know about the search path that the server was started with, one sentence each.
    #[must_use]
    pub fn search_path_doubts(&self) -> Vec<String> {
        let plan = self.config.sandboxing.plan(&self.config.sandboxing.wanted(&[], None));
        plan.map(|plan| self.config.search_path_doubts(&plan)).unwrap_or_default()
    }

    /// What grants in rules open that may not be meant, one sentence each.
    #[must_use]
    pub fn grant_doubts(&self) -> Vec<String> {
        self.config.grant_doubts(&self.rules.in_force())
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

    /// The calls that their callers come back to.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
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

    /// How many sandboxes there are.
    pub async fn sandbox_count(&self) -> usize {
        self.sandboxes.count().await
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

    /// Ends every call, and waits until its processes are gone; at most for `timeout`.
    pub async fn close(&self, timeout: Duration) {
        self.closing.cancel();
        self.calls.close();
        if tokio::time::timeout(timeout, self.calls.wait()).await.is_err() {
            tracing::error!("some calls did not end in time");
        }
        let audit = self.audit.clone();
        let _ = tokio::task::spawn_blocking(move || audit.settle(LAST_LINES_TIMEOUT)).await;
    }
}
