//! A call, as those see it who have started it or attach to it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outcome::CallOutcome;
use crate::output::{Recording, Spool};
use crate::time::Stopwatch;

/// A call that takes so long may be given up: openai-agents and AutoGen wait for five seconds by default.
pub(super) const LONG: Duration = Duration::from_secs(4);

/// How long it is said where the output of a long call stays.
const ANNOUNCED: Duration = Duration::from_secs(1);

/// A running or finished call. Clones are the same call; dropping them does not end it.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) outcome: watch::Receiver<Option<Arc<CallOutcome>>>,
    pub(super) cancel: CancellationToken,
    pub(super) stopwatch: Stopwatch,
    pub(super) output: Recording,
    pub(super) outputs: Spool,
    pub(super) started: Instant,
    pub(super) announced: Arc<OnceLock<Instant>>,
}

impl Call {
    /// What was printed so far.
    #[must_use]
    pub fn output(&self) -> &Recording {
        &self.output
    }

    /// Says once, when the call takes so long that its client may give it up, where its output stays. `None` before and
    /// after.
    #[must_use]
    pub fn announcement(&self) -> Option<String> {
        let announced = || *self.announced.get_or_init(Instant::now);
        if self.started.elapsed() < LONG || announced().elapsed() >= ANNOUNCED {
            return None;
        }
        self.outputs.keep(&self.output);
        let id = self.output.id();
        Some(format!(
            "if this call is given up, background_list names it and read_output has its output ({id})"
        ))
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
