//! The life of one call.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::output::Output;
use super::request::CallRequest;
use super::spawn::{self, ShellSpawnError};
use crate::approval::Approver;
use crate::config::Config;
use crate::escalation::{DecisionRecord, Decisions, EndOfCall, Environment, Judge, Listener, Trust};
use crate::process::{Ended, Process};
use crate::time::Stopwatch;

/// The time between asking the shell to end and killing it.
const GRACE: Duration = Duration::from_millis(500);

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The shell exited with this code.
    Exited(u8),
    /// The shell was killed by this signal.
    Signaled(u8),
    /// The timeout was reached.
    TimedOut,
    /// Whoever asked for it did not want it any more.
    Cancelled,
    /// The shell was lost sight of: the system refused to tell how it ended.
    Lost,
}

impl Ending {
    /// The exit code that stands for the ending: the shell's own; 128 and the signal's number; 124 for a timeout, as
    /// timeout(1) has it; 130 for a cancellation, as after an interrupt; 125 when it is not known.
    #[must_use]
    pub fn exit_code(self) -> i32 {
        match self {
            Ending::Exited(code) => Ended::Exited(code).code(),
            Ending::Signaled(signal) => Ended::Signaled(signal).code(),
            Ending::TimedOut => 124,
            Ending::Cancelled => 130,
            Ending::Lost => 125,
        }
    }
}

/// What a call came to.
#[derive(Clone, Debug)]
pub struct CallOutcome {
    /// How it ended.
    pub ending: Ending,
    /// What the command printed to standard output and standard error, in the order in which it was written.
    pub output: Vec<u8>,
    /// Time that counted against the timeout.
    pub running: Duration,
    /// Time in which a person was being asked.
    pub waiting: Duration,
    /// What was decided about programs that did not simply run.
    pub decisions: Vec<DecisionRecord>,
    /// How many more such decisions there were than are kept.
    pub more_decisions: usize,
}

/// Why a call could not start.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(#[from] StartStep);

#[derive(Debug, thiserror::Error)]
enum StartStep {
    #[error("cannot make the pipe for the command's output")]
    Output(#[source] io::Error),
    #[error("cannot make the escalation socket")]
    Listener(#[source] io::Error),
    #[error(transparent)]
    Spawn(#[from] ShellSpawnError),
}

/// A running or finished call. Clones are the same call; dropping them does not end it.
#[derive(Clone, Debug)]
pub struct Call {
    outcome: watch::Receiver<Option<Arc<CallOutcome>>>,
    cancel: CancellationToken,
}

impl Call {
    /// Waits for the call's end. `None`: the call's task itself broke.
    pub async fn finished(&mut self) -> Option<Arc<CallOutcome>> {
        self.outcome.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Ends the call with all its processes. [`finished`](Self::finished) tells when that is done.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

/// Starts a call: the clock, the pipe, the escalation socket, the shell; then attends to it until its end.
pub(super) fn start(
    config: &Config,
    request: CallRequest,
    approver: Arc<dyn Approver>,
    cancel: CancellationToken,
    calls: &TaskTracker,
) -> Result<Call, StartError> {
    let stopwatch = Stopwatch::start(Some(request.timeout));
    let decisions = Decisions::default();
    let plan = Arc::new(sandbox::Plan::unenforced(sandbox::Mode::DangerFullAccess, true.into()));
    let judge = Judge {
        policy: Arc::clone(&config.policy),
        options: config.policy_options(),
        approver,
        stopwatch: stopwatch.clone(),
        bash: config.bash_identity,
        default_rules: config.default_rules(),
        trust: Trust::new(Arc::clone(&config.programs), plan),
        environment: Environment::new(Arc::clone(&config.environment), Arc::clone(&config.environment)),
        decisions: decisions.clone(),
    };
    // Not when the shell exits, for its background processes live on.
    let end = EndOfCall::default();
    let (output, pipe) = Output::capture().map_err(StartStep::Output)?;
    let (listener, socket) = Listener::new(judge, end.clone()).map_err(StartStep::Listener)?;
    let shell = spawn::bash(config, &request, pipe, socket).map_err(StartStep::Spawn)?;
    let shell = Arc::new(shell);
    calls.spawn(serve(listener, Arc::clone(&shell), cancel.clone(), end.clone()));
    let (announce, outcome) = watch::channel(None);
    calls.spawn({
        let cancel = cancel.clone();
        async move {
            let outcome = attend(&shell, output, stopwatch, &cancel, &end, &decisions).await;
            announce.send_replace(Some(Arc::new(outcome)));
        }
    });
    Ok(Call { outcome, cancel })
}

/// From the running shell to the outcome.
async fn attend(
    shell: &Process,
    output: Output,
    stopwatch: Stopwatch,
    cancel: &CancellationToken,
    end: &EndOfCall,
    decisions: &Decisions,
) -> CallOutcome {
    let ending = tokio::select! {
        biased;
        () = cancel.cancelled() => Ending::Cancelled,
        end = shell.wait() => match end {
            Ok(Ended::Exited(code)) => Ending::Exited(code),
            Ok(Ended::Signaled(signal)) => Ending::Signaled(signal),
            Err(error) => {
                tracing::error!(%error, "waiting for a shell failed");
                Ending::Lost
            }
        },
        () = stopwatch.expired() => Ending::TimedOut,
    };
    if matches!(ending, Ending::Cancelled | Ending::TimedOut) {
        end.ending.cancel();
        shell.end_session(GRACE).await;
        end.ended.cancel();
    }
    let (running, waiting) = stopwatch.read();
    let output = output.collect().await;
    let (decisions, more_decisions) = decisions.read();
    CallOutcome { ending, output, running, waiting, decisions, more_decisions }
}

/// Serves the call's wrappers; also after the shell's exit, for background processes, until the server ends the call.
async fn serve(listener: Listener, shell: Arc<Process>, cancel: CancellationToken, end: EndOfCall) {
    let serving = listener.serve();
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => return,
        () = cancel.cancelled() => {}
    }
    end.ending.cancel();
    // The shell, if it is still there, and its background processes if not.
    shell.end_session(GRACE).await;
    if tokio::time::timeout(GRACE, &mut serving).await.is_err() {
        end.ended.cancel();
        serving.await;
    }
}
