//! The life of one call.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::request::CallRequest;
use super::spawn::{self, ShellSpawnError};
use super::{Shell, denials};
use crate::approval::Approver;
use crate::config::Wanted;
use crate::confinement::{Place, PlaceError};
use crate::escalation::{EndOfCall, Judge, Listener};
use crate::process::{Ended, Process};
use crate::rules::Rules;
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
    /// What is wrong with the rule files, and which rules are in force instead; `None` when nothing is.
    pub rules_trouble: Option<Arc<str>>,
    /// The sandbox's level in force, such as `namespaces+landlock-7+seccomp`, or `none`.
    pub sandbox: String,
    /// What the sandbox refused, or possibly did, when the command failed: one sentence each, with the way to allow it.
    pub denials: Vec<String>,
    /// Processes that the command has left in the background.
    pub background: Vec<BackgroundProcess>,
}

/// A process that lives on when its call has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackgroundProcess {
    /// Its number, as commands in the same sandbox see it.
    pub pid: i32,
    /// Its command line, or the beginning of it.
    pub command: String,
}

/// Why a call could not start.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(#[from] StartStep);

#[derive(Debug, thiserror::Error)]
enum StartStep {
    #[error(transparent)]
    Place(#[from] PlaceError),
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

/// Starts a call: the sandbox, the clock, the pipe, the escalation socket, the shell; then attends to it until its end.
pub(super) async fn start(
    shell: &Shell,
    wanted: &Wanted,
    request: CallRequest,
    approver: Arc<dyn Approver>,
) -> Result<Call, StartError> {
    let Shell { config, places, calls, closing, audit } = shell;
    let cancel = closing.child_token();
    let place = places.place(wanted).await.map_err(StartStep::Place)?;
    let stopwatch = Stopwatch::start(Some(request.timeout));
    let judge = Judge {
        rules: Arc::clone(&config.rules),
        options: config.policy_options(),
        approver,
        stopwatch: stopwatch.clone(),
        bash: config.bash_identity,
        default_rules: config.default_rules(),
        place: Arc::clone(&place),
        places: Arc::clone(places),
        record: audit.call(),
        writable: place.plan().writable.clone(),
    };
    // Not when the shell exits, for its background processes live on.
    let end = EndOfCall::default();
    let (output, pipe) = Output::capture().map_err(StartStep::Output)?;
    let (listener, socket) = Listener::new(judge, end.clone()).map_err(StartStep::Listener)?;
    let shell = spawn::bash(config, &place, &request, pipe, socket).await.map_err(StartStep::Spawn)?;
    let shell = Arc::new(shell);
    calls.spawn(keep(listener, Arc::clone(&shell), cancel.clone(), end.clone()));
    let (announce, outcome) = watch::channel(None);
    let rules = Arc::clone(&config.rules);
    let attended = Attended { shell, place, output, stopwatch, end, rules, workdir: request.workdir };
    calls.spawn({
        let cancel = cancel.clone();
        async move {
            let outcome = attended.until_end(&cancel).await;
            announce.send_replace(Some(Arc::new(outcome)));
        }
    });
    Ok(Call { outcome, cancel })
}

/// A call while its shell runs.
struct Attended {
    shell: Arc<Process>,
    place: Arc<Place>,
    output: Output,
    stopwatch: Stopwatch,
    end: EndOfCall,
    rules: Arc<Rules>,
    workdir: PathBuf,
}

impl Attended {
    /// From the running shell to the outcome.
    async fn until_end(self, cancel: &CancellationToken) -> CallOutcome {
        let ending = tokio::select! {
            biased;
            () = cancel.cancelled() => Ending::Cancelled,
            end = self.shell.wait() => match end {
                Ok(Ended::Exited(code)) => Ending::Exited(code),
                Ok(Ended::Signaled(signal)) => Ending::Signaled(signal),
                Err(error) => {
                    tracing::error!(%error, "waiting for a shell failed");
                    Ending::Lost
                }
            },
            () = self.stopwatch.expired() => Ending::TimedOut,
        };
        if matches!(ending, Ending::Cancelled | Ending::TimedOut) {
            self.end.ending.cancel();
            self.shell.end(GRACE).await;
            self.end.ended.cancel();
        }
        let (running, waiting) = self.stopwatch.read();
        let remaining = self.shell.alive().await.listed.into_iter();
        let background = remaining.map(|(pid, command)| BackgroundProcess { pid, command }).collect();
        let output = self.output.collect().await;
        let denials = denials::explain(&self.place, &self.shell, &output, &self.workdir, ending).await;
        let sandbox = self.place.level();
        let rules_trouble = self.rules.trouble();
        CallOutcome { ending, output, running, waiting, sandbox, denials, background, rules_trouble }
    }
}

/// Serves the call's wrappers and keeps its processes; also after the shell's exit, for background processes, until the last
/// of them has ended or the server ends the call.
async fn keep(listener: Listener, shell: Arc<Process>, cancel: CancellationToken, end: EndOfCall) {
    let serving = async {
        listener.serve().await;
        shell.gone().await;
    };
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => return,
        () = cancel.cancelled() => {}
    }
    end.ending.cancel();
    // The shell, if it is still there, and its background processes if not.
    shell.end(GRACE).await;
    if tokio::time::timeout(GRACE, &mut serving).await.is_err() {
        end.ended.cancel();
        serving.await;
    }
}
