//! The calls of one server, from their start until nothing is left of them: what everybody else attaches to.
//!
//! [`RunningCalls::list`] has them all, [`RunningCalls::find`] one. Two views of them go to the client.
//! [`RunningCalls::background`]: those whose shell has ended and whose processes have not. [`RunningCalls::recent`]:
//! those whose results may have reached nobody. Some clients say that they do not wait any longer
//! (`notifications/cancelled`), others only stop listening, the quickest after five seconds. Their model learns that the
//! call failed, and nothing of what it did.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::call::{Call, LONG};
use super::outcome::Ending;
use super::processes::{Alive, CallProcess, CallProcesses};
use crate::interception::Escalated;
use crate::output::{Recording, Spool};
use crate::sandboxes::{Process, Sandbox};
use crate::visible::visible;

/// Calls that have ended and were long or given up, as far as they are remembered.
const MOST_RECENT: usize = 32;

/// Characters of a command that are remembered.
pub(super) const MAX_COMMAND: usize = 200;

/// How long processes may take to be gone when they are ended: the longest grace, and what killing takes.
const END_TIMEOUT: Duration = Duration::from_secs(65);

/// A call that is known to its server.
#[derive(Clone, Debug)]
pub struct RunningCall {
    /// The id of its output, which it goes by.
    pub id: String,
    /// What it does.
    pub state: CallState,
    /// The call, to be waited for or cancelled; `None` while it starts.
    pub call: Option<Call>,
    /// The beginning of its command.
    pub command: String,
    /// What it has printed.
    pub output: Recording,
    /// Time since it has started.
    pub age: Duration,
    /// The first of its processes; none when whoever keeps them does not answer.
    pub processes: Vec<CallProcess>,
    /// How many there are.
    pub total: usize,
}

/// What a call does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Its shell is being started.
    Starting,
    /// Its shell runs.
    Running,
    /// Its shell runs, and a person is being asked.
    Waiting,
    /// Its shell has ended; what it has started may live on.
    Left {
        /// How it has ended.
        ending: Ending,
        /// Time since then.
        ago: Duration,
    },
}

/// A call that has left processes behind.
#[derive(Clone, Debug)]
pub struct BackgroundCall {
    /// The id of its output.
    pub id: String,
    /// The beginning of its command.
    pub command: String,
    /// Time since its shell has ended.
    pub age: Duration,
    /// The first of its processes.
    pub processes: Vec<CallProcess>,
    /// How many there are.
    pub total: usize,
    /// How its shell has ended.
    pub ending: Ending,
    /// What it has printed.
    pub output: Recording,
}

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
pub struct RunningCalls {
    outputs: Spool,
    calls: Arc<Mutex<Vec<Entry>>>,
}

/// A call on the list. Dropped without an end, it was given up while it started.
#[derive(Debug)]
pub(super) struct Entered {
    running: RunningCalls,
    output: Recording,
    ended: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    command: String,
    output: Recording,
    started: Instant,
    /// None while it starts.
    attached: Option<Started>,
    /// How its shell has ended, and when.
    ended: Option<(Ending, Instant)>,
    /// Its result may have reached nobody.
    is_recent: bool,
    /// It was said that what it has left cannot be reached any more.
    is_told_apart: bool,
}

#[derive(Clone, Debug)]
struct Started {
    call: Call,
    /// Whoever keeps the call owns it; when nothing is left of the call, nobody does.
    shell: Weak<Process>,
    escalated: Escalated,
    wrapper: Arc<str>,
    command: Arc<str>,
}

impl Started {
    /// The call's processes, if there may be any.
    fn processes(&self) -> Option<CallProcesses> {
        let (wrapper, command) = (Arc::clone(&self.wrapper), Arc::clone(&self.command));
        let (shell, escalated) = (self.shell.upgrade()?, self.escalated.clone());
        Some(CallProcesses { shell, escalated, wrapper, command })
    }
}

impl Entry {
    fn state(&self) -> CallState {
        match (self.ended, &self.attached) {
            (Some((ending, at)), _) => CallState::Left { ending, ago: at.elapsed() },
            (None, None) => CallState::Starting,
            (None, Some(attached)) if attached.call.is_waiting() => CallState::Waiting,
            (None, Some(_)) => CallState::Running,
        }
    }

    /// The call with its processes; `None`: it has ended, and nothing is left of it.
    async fn describe(self) -> Option<RunningCall> {
        let processes = self.attached.as_ref().and_then(Started::processes);
        if processes.is_none() && self.ended.is_some() {
            return None;
        }
        let Alive { total, listed, .. } = match processes {
            Some(processes) => processes.alive().await,
            None => Alive::default(),
        };
        Some(RunningCall {
            id: self.output.id().to_owned(),
            state: self.state(),
            call: self.attached.map(|attached| attached.call),
            command: self.command,
            output: self.output,
            age: self.started.elapsed(),
            processes: listed,
            total,
        })
    }
}

impl RunningCalls {
    /// None yet; outputs are kept in this spool.
    pub(super) fn new(outputs: Spool) -> RunningCalls {
        RunningCalls { outputs, calls: Arc::default() }
    }

    /// A call starts.
    pub(super) fn enter(&self, command: &OsStr, output: &Recording) -> Entered {
        let known = Entry {
            command: beginning(command),
            output: output.clone(),
            started: Instant::now(),
            attached: None,
            ended: None,
            is_recent: false,
            is_told_apart: false,
        };
        self.calls().push(known);
        Entered { running: self.clone(), output: output.clone(), ended: false }
    }

    /// The server's name, where there are others.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.outputs.server()
    }

    /// Whether a command runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.calls().iter().any(|call| call.ended.is_none())
    }

    /// How many commands run.
    #[must_use]
    pub fn count(&self) -> usize {
        self.calls().iter().filter(|call| call.ended.is_none()).count()
    }

    /// Whether nothing runs, and nothing was left behind.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.calls().iter().all(|call| call.ended.is_some() && call.attached.is_none())
    }

    /// The calls that start, run or have left something behind, in the order in which their shells ended; what has not ended
    /// comes last.
    pub async fn list(&self) -> Vec<RunningCall> {
        self.describe(|_| true).await
    }

    /// Those of these calls of which there is something. All are asked for their processes at once: one that does not
    /// answer keeps no other waiting.
    async fn describe(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<RunningCall> {
        let calls = self.in_order_of_ending().into_iter().filter(wanted).enumerate();
        let asked: JoinSet<_> =
            calls.map(|(place, call)| async move { (place, call.describe().await) }).collect();
        let mut told = asked.join_all().await;
        told.sort_by_key(|(place, _)| *place);
        told.into_iter().filter_map(|(_, call)| call).collect()
    }

    /// The call that goes by this id, if it starts, runs or has left something behind.
    pub async fn find(&self, id: &str) -> Option<RunningCall> {
        self.known(id)?.describe().await
    }

    /// The calls whose shell has ended and which still have processes, oldest first.
    pub async fn background(&self) -> Vec<BackgroundCall> {
        let ended = self.describe(|call| call.ended.is_some()).await;
        let left = ended.into_iter().filter_map(|call| {
            let RunningCall { id, state, command, processes, total, output, .. } = call;
            let CallState::Left { ago, ending } = state else { return None };
            (total > 0).then_some(BackgroundCall { id, command, age: ago, processes, total, ending, output })
        });
        left.collect()
    }

    /// Says of what earlier calls have left in other sandboxes that commands in this one cannot reach it: the client's roots
    /// have changed, or a command asked for another sandbox. Once for each call.
    pub(super) fn out_of_reach_of(&self, sandbox: &Arc<Sandbox>) -> Vec<String> {
        let mut notes = Vec::new();
        for known in self.calls().iter_mut().filter(|known| known.ended.is_some() && !known.is_told_apart) {
            let left = known.attached.as_ref().and_then(|attached| attached.shell.upgrade());
            if left.is_some_and(|left| left.is_out_of_reach(sandbox)) {
                known.is_told_apart = true;
                notes.push(format!(
                    "what \"{}\" left in the background runs on in the sandbox of before, with a localhost of its own: it cannot be \
                     reached from here; end it (background_kill with id {}) and start it again",
                    visible(known.command.as_bytes()),
                    known.output.id()
                ));
            }
        }
        notes
    }

    /// Ends what is left of a call whose shell has ended, and returns the processes that were alive; `None`: there is no such
    /// call any more.
    pub async fn end_background(&self, id: &str) -> Option<Vec<CallProcess>> {
        let RunningCall { state: CallState::Left { .. }, call: Some(call), .. } = self.find(id).await? else {
            return None;
        };
        self.end(&call).await
    }

    /// Ends a call, whether its shell runs or not, with all its processes, and returns those that were alive; `None`:
    /// nothing is left of it.
    pub async fn end(&self, call: &Call) -> Option<Vec<CallProcess>> {
        let id = call.output().id();
        // Held until all are gone.
        let kept = self.known(id)?.attached?.processes()?;
        let RunningCall { processes, .. } = self.find(id).await?;
        call.cancel();
        if tokio::time::timeout(END_TIMEOUT, kept.gone()).await.is_err() {
            tracing::error!(id, "background processes do not end");
        }
        Some(processes)
    }

    /// Those that have run for long or were given up, in the order in which they ended; what still runs comes last. Their
    /// outputs can be asked for from now on.
    #[must_use]
    pub fn recent(&self) -> Vec<RecentCall> {
        let mut calls = self.in_order_of_ending();
        calls.retain(|known| match known.ended {
            // The spool forgets the oldest.
            Some(_) => known.is_recent && self.outputs.find(known.output.id()).is_some(),
            None => known.started.elapsed() >= LONG,
        });
        let listed = calls.into_iter().map(|known| {
            if known.ended.is_none() {
                self.outputs.keep(&known.output);
            }
            RecentCall {
                command: known.command,
                output: known.output,
                age: known.started.elapsed(),
                ending: known.ended.map(|(ending, _)| ending),
            }
        });
        listed.collect()
    }

    /// A call ends. One that was quick has told its client.
    fn ended(&self, output: &Recording, ending: Ending) {
        let mut calls = self.calls();
        let Some(known) = calls.iter_mut().find(|known| known.output.id() == output.id()) else { return };
        known.ended = Some((ending, Instant::now()));
        known.is_recent = ending == Ending::Cancelled || known.started.elapsed() >= LONG;
        let is_recent = known.is_recent;
        if is_recent && calls.iter().filter(|known| known.is_recent).count() > MOST_RECENT {
            let when = |known: &&mut Entry| known.ended.map(|(_, ended)| ended);
            if let Some(oldest) = calls.iter_mut().filter(|known| known.is_recent).min_by_key(when) {
                oldest.is_recent = false;
            }
        }
        drop(calls);
        if is_recent {
            self.outputs.keep(output);
        }
    }

    fn known(&self, id: &str) -> Option<Entry> {
        self.calls().iter().find(|known| known.output.id() == id).cloned()
    }

    /// All, those that run last.
    fn in_order_of_ending(&self) -> Vec<Entry> {
        let mut calls = self.calls().clone();
        calls.sort_by_key(|known| (known.ended.is_none(), known.ended.map(|(_, ended)| ended)));
        calls
    }

    /// The list, without those of which nothing is left.
    fn calls(&self) -> MutexGuard<'_, Vec<Entry>> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = |attached: &Started| attached.shell.strong_count() > 0;
        calls.retain(|known| {
            known.ended.is_none() || known.is_recent || known.attached.as_ref().is_some_and(is_there)
        });
        calls
    }
}

impl Entered {
    /// Its shell runs.
    pub(super) fn attach(&self, call: &Call, processes: &CallProcesses) {
        let attached = Started {
            call: call.clone(),
            shell: Arc::downgrade(&processes.shell),
            escalated: processes.escalated.clone(),
            wrapper: Arc::clone(&processes.wrapper),
            command: Arc::clone(&processes.command),
        };
        let mut calls = self.running.calls();
        if let Some(known) = calls.iter_mut().find(|known| known.output.id() == self.output.id()) {
            known.attached = Some(attached);
        }
    }

    /// Its shell has ended.
    pub(super) fn end(mut self, ending: Ending) {
        self.ended = true;
        self.running.ended(&self.output, ending);
    }

    /// It could not start, and its client is told why.
    pub(super) fn fail(mut self) {
        self.ended = true;
        self.running.calls().retain(|known| known.output.id() != self.output.id());
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.ended {
            self.running.ended(&self.output, Ending::Cancelled);
        }
    }
}

/// As much of a command as is shown where it goes by that.
pub(super) fn beginning(command: &OsStr) -> String {
    command.to_string_lossy().chars().take(MAX_COMMAND).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SpoolLimits;
    use sandbox::ExitStatus;

    const LIMITS: SpoolLimits = SpoolLimits { per_output: 1 << 20, total: 3 << 20, outputs: 40 };

    fn listed(running: &RunningCalls) -> Vec<(String, Option<Ending>)> {
        running.recent().into_iter().map(|call| (call.command, call.ending)).collect()
    }

    async fn states(running: &RunningCalls) -> Vec<(String, CallState)> {
        running.list().await.into_iter().map(|call| (call.command, call.state)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_found_by_its_id_from_its_start_until_nothing_is_left() {
        let spool = Spool::new(LIMITS);
        let running = RunningCalls::new(spool.clone());
        let output = spool.finished(b"x");
        let entered = running.enter("one".as_ref(), &output);
        assert!(running.find("other").await.is_none());
        let found = running.find(output.id()).await.unwrap();
        assert_eq!((found.command.as_str(), found.state, found.total), ("one", CallState::Starting, 0));
        assert!(running.background().await.is_empty() && running.end_background(output.id()).await.is_none());
        drop(entered);
        assert!(running.find(output.id()).await.is_none(), "it was given up before it had a shell");
        assert_eq!(listed(&running), [("one".to_owned(), Some(Ending::Cancelled))]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_long_or_given_up_is_listed() {
        let spool = Spool::new(LIMITS);
        let running = RunningCalls::new(spool.clone());
        let begin = |command| {
            let output = spool.finished(b"x");
            (running.enter(OsStr::new(command), &output), output)
        };
        let (quick, quick_output) = begin("quick");
        let (cancelled, cancelled_output) = begin("cancelled");
        let (failed, _) = begin("failed");
        let (long, long_output) = begin("long");
        let (_still, running_output) = begin("running");
        quick.end(Ending::Ended(ExitStatus::Exited(0)));
        failed.fail();
        assert_eq!(listed(&running), [], "what has just begun has its client");
        drop(cancelled);
        tokio::time::advance(LONG).await;
        long.end(Ending::Ended(ExitStatus::Exited(3)));
        let expected = [
            ("cancelled".to_owned(), Some(Ending::Cancelled)),
            ("long".to_owned(), Some(Ending::Ended(ExitStatus::Exited(3)))),
            ("running".to_owned(), None),
        ];
        assert_eq!(listed(&running), expected);
        assert_eq!(
            states(&running).await,
            [("running".to_owned(), CallState::Starting)],
            "it has no shell yet"
        );
        let outputs = [&cancelled_output, &long_output, &running_output];
        assert!(outputs.iter().all(|output| spool.find(output.id()).is_some()));
        assert!(spool.find(quick_output.id()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_remembered() {
        let spool = Spool::new(LIMITS);
        let running = RunningCalls::new(spool.clone());
        for number in 0..MOST_RECENT + 3 {
            let output = spool.finished(b"x");
            running.enter(number.to_string().as_ref(), &output).end(Ending::Cancelled);
        }
        let listed = listed(&running);
        assert_eq!((listed.len(), listed[0].0.as_str()), (MOST_RECENT, "3"));
    }
}
