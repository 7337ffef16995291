//! Commands that go on: calls which a caller comes back to, by a number.
//!
//! A [`Session`] is a call, how much of its output was taken, and when somebody last asked for it. It counts until its
//! shell has ended, and can be asked for an hour longer. One that nobody asks for, and that prints nothing, is ended.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::call::Call;
use super::kept::KeptCommand;
use super::running::MAX_COMMAND;
use crate::judgement::DecisionRecord;
use crate::output::{Presentation, Spool, View};

/// How long one that has ended can be asked for.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// How many that have ended can be asked for.
const MOST_ENDED: usize = 256;

/// The numbers that sessions get: those of Codex, which models have seen.
const NUMBERS: std::ops::Range<u32> = 1_000..100_000;

/// As many sessions run as may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{limit} sessions run already, as many as may; the longest unused are {}; end one (background_kill), or let one end",
    list(longest_unused)
)]
pub struct TooManySessions {
    /// How many may.
    pub limit: usize,
    /// Those that nobody has asked for longest.
    pub longest_unused: Vec<u32>,
}

/// The sessions of one server. Clones are the same list.
#[derive(Clone, Debug)]
pub struct Sessions {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: usize,
    idle: Duration,
    outputs: Spool,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    /// Oldest first.
    sessions: VecDeque<Arc<Session>>,
    /// Places for calls that are being started.
    reserved: usize,
}

/// A place for a session that is being started; given back when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the place back"]
pub struct Place {
    sessions: Sessions,
}

/// A call that its caller comes back to.
#[derive(Debug)]
pub struct Session {
    number: u32,
    /// The beginning of it.
    command: String,
    call: Call,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Where what was not taken yet begins.
    taken: u64,
    /// Decisions that were taken.
    decisions: usize,
    used: Instant,
    /// When it was first seen that the call had ended.
    ended: Option<Instant>,
    /// Its end was told.
    is_told: bool,
    /// It was ended because it was not used for so long.
    idle: Option<Duration>,
    /// Commands of a kept shell whose ends were told.
    told_commands: u64,
}

impl Sessions {
    /// None yet; so many may run, and one that is not used for so long is ended.
    #[must_use]
    pub fn new(limit: usize, idle: Duration, outputs: Spool) -> Sessions {
        Sessions { inner: Arc::new(Inner { limit, idle, outputs, list: Mutex::default() }) }
    }

    /// How long one may be unused.
    #[must_use]
    pub fn idle_limit(&self) -> Duration {
        self.inner.idle
    }

    /// Takes a place for one more.
    ///
    /// # Errors
    ///
    /// When as many run as may.
    pub fn reserve(&self) -> Result<Place, TooManySessions> {
        let mut list = self.list();
        let running = || list.sessions.iter().filter(|session| !session.call.has_ended());
        if running().count() + list.reserved >= self.inner.limit {
            let mut unused: Vec<_> =
                running().map(|session| (session.state().used, session.number)).collect();
            unused.sort_unstable();
            let longest_unused = unused.into_iter().take(3).map(|(_, number)| number).collect();
            return Err(TooManySessions { limit: self.inner.limit, longest_unused });
        }
        list.reserved += 1;
        Ok(Place { sessions: self.clone() })
    }

    /// The one with this number, if it runs or has ended within the last hour.
    #[must_use]
    pub fn find(&self, number: u32) -> Option<Arc<Session>> {
        self.list().sessions.iter().find(|session| session.number == number).cloned()
    }

    /// The one whose output has this id.
    #[must_use]
    pub fn of_output(&self, id: &str) -> Option<Arc<Session>> {
        self.list().sessions.iter().find(|session| session.call.output().id() == id).cloned()
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn list_all(&self) -> Vec<Arc<Session>> {
        self.list().sessions.iter().cloned().collect()
    }

    /// Forgets one that nobody was told of.
    pub fn forget(&self, session: &Session) {
        self.list().sessions.retain(|other| other.number != session.number);
    }

    /// Ends it when it is not used for too long, and keeps its output from now on.
    pub fn keep(&self, session: &Arc<Session>) {
        session.call.give_up_turn();
        self.inner.outputs.keep(session.call.output());
        let (idle, watched) = (self.inner.idle, Arc::downgrade(session));
        tokio::spawn(async move {
            let mut printed = 0;
            loop {
                let Some(session) = watched.upgrade().filter(|session| !session.call.has_ended()) else {
                    return;
                };
                let total = session.call.output().total();
                if total != printed {
                    printed = total;
                    session.touch();
                }
                let rest = idle.saturating_sub(session.state().used.elapsed());
                if rest.is_zero() {
                    tracing::warn!(session = session.number, "a session that nobody has asked for is ended");
                    session.state().idle = Some(idle);
                    session.call.cancel();
                    return;
                }
                drop(session);
                tokio::time::sleep(rest).await;
            }
        });
    }

    /// The list, without those that have ended long ago.
    fn list(&self) -> MutexGuard<'_, List> {
        let mut list = self.inner.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.sessions.retain(|session| !session.ended_before(REMEMBERED));
        while list.sessions.iter().filter(|session| session.call.has_ended()).count() > MOST_ENDED {
            let oldest = list.sessions.iter().position(|session| session.call.has_ended());
            oldest.and_then(|at| list.sessions.remove(at));
        }
        list
    }
}

impl Place {
    /// A call takes the place.
    #[must_use]
    pub fn open(self, command: &str, call: Call) -> Arc<Session> {
        let mut list = self.sessions.list();
        let random = RandomState::new();
        let numbers = (0_u64..).map(|attempt| {
            let width = u64::from(NUMBERS.end - NUMBERS.start);
            NUMBERS.start + u32::try_from(random.hash_one(attempt) % width).unwrap_or(0)
        });
        let is_free = |number: &u32| !list.sessions.iter().any(|session| session.number == *number);
        // There are many more than sessions.
        let number = numbers.take(10_000).find(is_free).unwrap_or(NUMBERS.end);
        let command = command.chars().take(MAX_COMMAND).collect();
        let state = State {
            taken: 0,
            decisions: 0,
            used: Instant::now(),
            ended: None,
            is_told: false,
            idle: None,
            told_commands: 0,
        };
        let session =
            Arc::new(Session { number, command, call, started: Instant::now(), state: Mutex::new(state) });
        list.sessions.push_back(Arc::clone(&session));
        drop(list);
        session
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut list = self.sessions.inner.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.reserved = list.reserved.saturating_sub(1);
    }
}

impl Session {
    /// What it is asked for by.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The beginning of its command.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Its call.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Whether it has a terminal.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.call.has_terminal()
    }

    /// Time since it has started.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Somebody asks for it.
    pub fn touch(&self) {
        self.state().used = Instant::now();
    }

    /// Where what was not taken yet begins.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.state().taken
    }

    /// Takes what was printed since the last time. Of a character or an escape sequence that is being written, nothing is taken
    /// before its end.
    /// Reads files when it is long.
    #[must_use]
    pub fn take_output(&self, presentation: Presentation) -> View {
        let output = self.call.output();
        let end = if output.is_open() { output.whole_sequences() } else { output.total() };
        self.take_until(end, presentation)
    }

    /// The same up to this offset.
    #[must_use]
    pub fn take_until(&self, end: u64, presentation: Presentation) -> View {
        let output = self.call.output();
        let end = end.min(output.total());
        let start = {
            let mut state = self.state();
            let start = state.taken.min(end);
            state.taken = end;
            start
        };
        output.view_between(start..end, presentation)
    }

    /// How long it was not used, if it was ended for that.
    #[must_use]
    pub fn was_idle(&self) -> Option<Duration> {
        self.state().idle
    }

    /// Takes the decisions since the last time, out of all.
    #[must_use]
    pub fn take_decisions(&self, all: Vec<DecisionRecord>) -> Vec<DecisionRecord> {
        let mut state = self.state();
        let taken = std::mem::replace(&mut state.decisions, all.len());
        all.into_iter().skip(taken).collect()
    }

    /// Notes that its end is told; `false`: it was before.
    pub fn tell_end(&self) -> bool {
        !std::mem::replace(&mut self.state().is_told, true)
    }

    /// The command of a kept shell that runs, or whose end was not told.
    #[must_use]
    pub fn command_to_tell(&self) -> Option<KeptCommand> {
        let told = self.state().told_commands;
        self.call.last_command().filter(|command| command.number() > told)
    }

    /// Notes that the end of this command is told.
    pub fn tell_command(&self, command: &KeptCommand) {
        let mut state = self.state();
        state.told_commands = state.told_commands.max(command.number());
    }

    fn ended_before(&self, time: Duration) -> bool {
        self.call.has_ended() && self.state().ended.get_or_insert_with(Instant::now).elapsed() > time
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list(numbers: &[u32]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
