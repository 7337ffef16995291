//! The life of one call.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Place;
use super::outcome::{CallOutcome, Ending};
use super::output::{Output, Recording, Spool};
use super::request::CallRequest;
use super::spawn::{self, ShellSpawnError};
use crate::approval::Approver;
use crate::config::Config;
use crate::escalation::{EndOfCall, Judge, Listener};
use crate::process::{Ended, Process};
use crate::time::Stopwatch;

/// The time between asking the shell to end and killing it.
const GRACE: Duration = Duration::from_millis(500);

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
    stopwatch: Stopwatch,
    output: Recording,
}

impl Call {
    /// What was printed so far.
    #[must_use]
    pub fn output(&self) -> &Recording {
        &self.output
    }

    /// Whether a person is being asked at the moment.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.stopwatch.is_paused()
    }

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
    place: Place,
    cancel: CancellationToken,
    calls: &TaskTracker,
    spool: &Spool,
) -> Result<Call, StartError> {
    let stopwatch = Stopwatch::start(Some(request.timeout));
    let judge = Judge {
        policy: Arc::clone(&config.policy),
        options: config.policy_options(),
        approver,
        stopwatch: stopwatch.clone(),
        bash: config.bash_identity,
        default_rules: config.default_rules(),
    };
    // Not when the shell exits, for its background processes live on.
    let end = EndOfCall::default();
    let (output, pipe) = Output::capture(spool).map_err(StartStep::Output)?;
    let (listener, socket) = Listener::new(judge, end.clone()).map_err(StartStep::Listener)?;
    let shell = spawn::bash(config, &request, pipe, socket).map_err(StartStep::Spawn)?;
    let shell = Arc::new(shell);
    calls.spawn(serve(listener, Arc::clone(&shell), cancel.clone(), end.clone()));
    let (announce, outcome) = watch::channel(None);
    let call = Call {
        outcome,
        cancel: cancel.clone(),
        stopwatch: stopwatch.clone(),
        output: output.recording().clone(),
    };
    calls.spawn(async move {
        let outcome = attend(&shell, output, stopwatch, &cancel, &end).await;
        drop(place);
        announce.send_replace(Some(Arc::new(outcome)));
    });
    Ok(call)
}

/// From the running shell to the outcome.
async fn attend(
    shell: &Process,
    output: Output,
    stopwatch: Stopwatch,
    cancel: &CancellationToken,
    end: &EndOfCall,
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
    let times = stopwatch.read();
    CallOutcome::new(ending, output.collect().await, times)
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
