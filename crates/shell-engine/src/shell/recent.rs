//! Calls whose results may have reached nobody: the client gave them up, or may have. What they printed stays readable.
//!
//! Some clients say that they do not wait any longer (`notifications/cancelled`), others only stop listening, the quickest
//! after five seconds. Their model learns that the call failed, and nothing of what it did.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::outcome::Ending;
use crate::output::{Recording, Spool};

/// A call that takes so long may be given up: openai-agents and AutoGen wait for five seconds by default.
pub(super) const LONG: Duration = Duration::from_secs(4);

/// Ended calls that are remembered.
const MOST: usize = 32;

/// Characters of a command that are remembered.
const MAX_COMMAND: usize = 200;

/// A call whose result may have reached nobody.
#[derive(Clone, Debug)]
pub struct RecentCall {
    /// The beginning of its command.
    pub command: String,
    /// What it has printed.
    pub output: Recording,
    /// Time since it has started.
    pub age: Duration,
    /// How it has ended; `None` while it runs.
    pub ending: Option<Ending>,
}

/// The calls of one server. Clones are the same list.
#[derive(Clone, Debug)]
pub struct Recent {
    outputs: Spool,
    calls: Arc<Mutex<VecDeque<Known>>>,
}

/// A call that has begun. Dropped without an end, it was given up while it started.
#[derive(Debug)]
pub(super) struct Begun {
    recent: Recent,
    output: Recording,
    ended: bool,
}

#[derive(Clone, Debug)]
struct Known {
    command: String,
    output: Recording,
    started: Instant,
    ending: Option<Ending>,
}

impl Recent {
    /// None yet; outputs are kept in this spool.
    pub(super) fn new(outputs: Spool) -> Recent {
        Recent { outputs, calls: Arc::default() }
    }

    /// A call starts.
    pub(super) fn begin(&self, command: &str, output: &Recording) -> Begun {
        let command = command.chars().take(MAX_COMMAND).collect();
        let known = Known { command, output: output.clone(), started: Instant::now(), ending: None };
        self.calls().push_back(known);
        Begun { recent: self.clone(), output: output.clone(), ended: false }
    }

    /// A call ends. One that was quick has told its client.
    fn end(&self, output: &Recording, ending: Ending) {
        let mut calls = self.calls();
        let Some(at) = calls.iter().position(|known| known.output.id() == output.id()) else { return };
        let Some(mut known) = calls.remove(at) else { return };
        if ending != Ending::Cancelled && known.started.elapsed() < LONG {
            return;
        }
        known.ending = Some(ending);
        calls.push_back(known);
        let ended = calls.iter().filter(|known| known.ending.is_some()).count();
        let oldest = calls.iter().position(|known| known.ending.is_some());
        if let Some(oldest) = oldest.filter(|_| ended > MOST) {
            calls.remove(oldest);
        }
        drop(calls);
        self.outputs.keep(output);
    }

    /// Those that have run for long or were given up, in the order in which they ended; what still runs comes last. Their
    /// outputs can be asked for from now on.
    #[must_use]
    pub fn list(&self) -> Vec<RecentCall> {
        let mut known: Vec<Known> = self.calls().iter().cloned().collect();
        known.retain(|known| match known.ending {
            // The spool forgets the oldest.
            Some(_) => self.outputs.find(known.output.id()).is_some(),
            None => known.started.elapsed() >= LONG,
        });
        known.sort_by_key(|known| known.ending.is_none());
        let listed = known.into_iter().map(|known| {
            if known.ending.is_none() {
                self.outputs.keep(&known.output);
            }
            RecentCall {
                command: known.command,
                output: known.output,
                age: known.started.elapsed(),
                ending: known.ending,
            }
        });
        listed.collect()
    }

    fn calls(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Begun {
    /// The call ends.
    pub(super) fn end(mut self, ending: Ending) {
        self.ended = true;
        self.recent.end(&self.output, ending);
    }

    /// It could not start, and its client is told why.
    pub(super) fn fail(mut self) {
        self.ended = true;
        self.recent.calls().retain(|known| known.output.id() != self.output.id());
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.ended {
            self.recent.end(&self.output, Ending::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SpoolLimits;

    const LIMITS: SpoolLimits = SpoolLimits { per_output: 1 << 20, total: 3 << 20, outputs: 40 };

    fn listed(recent: &Recent) -> Vec<(String, Option<Ending>)> {
        recent.list().into_iter().map(|call| (call.command, call.ending)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_long_or_given_up_is_listed() {
        let spool = Spool::new(LIMITS);
        let recent = Recent::new(spool.clone());
        let begin = |command| {
            let output = Recording::of(&spool, b"x");
            (recent.begin(command, &output), output)
        };
        let (quick, quick_output) = begin("quick");
        let (cancelled, cancelled_output) = begin("cancelled");
        let (failed, _) = begin("failed");
        let (long, long_output) = begin("long");
        let (_running, running_output) = begin("running");
        quick.end(Ending::Exited(0));
        failed.fail();
        assert_eq!(listed(&recent), [], "what has just begun has its client");
        drop(cancelled);
        tokio::time::advance(LONG).await;
        long.end(Ending::Exited(3));
        let expected = [
            ("cancelled".to_owned(), Some(Ending::Cancelled)),
            ("long".to_owned(), Some(Ending::Exited(3))),
            ("running".to_owned(), None),
        ];
        assert_eq!(listed(&recent), expected);
        let outputs = [&cancelled_output, &long_output, &running_output];
        assert!(outputs.iter().all(|output| spool.find(output.id()).is_some()));
        assert!(spool.find(quick_output.id()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_remembered() {
        let spool = Spool::new(LIMITS);
        let recent = Recent::new(spool.clone());
        for number in 0..MOST + 3 {
            let output = Recording::of(&spool, b"x");
            recent.begin(&number.to_string(), &output).end(Ending::Cancelled);
        }
        let listed = listed(&recent);
        assert_eq!((listed.len(), listed[0].0.as_str()), (MOST, "3"));
    }
}
