//! Processes that execute a program while something inside traces them, as a debugger does: nobody else can stop them, so
//! what they have executed is looked at when it has happened.
//!
//! That is less than a proof: whoever traces a process may have it execute another program, and end it at once.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::family::{self, Image};
use super::messages::CallNumber;
use super::seized::Proof;
use crate::programs::FileIdentity;

/// How soon it is looked at first, and how seldom at last.
const SOON: Duration = Duration::from_millis(1);
const SELDOM: Duration = Duration::from_millis(100);
/// How long an `execve` may take whose thread is never seen to wait.
const LONGEST: Duration = Duration::from_secs(2);

/// One of them.
struct Watched {
    call: CallNumber,
    process: i32,
    proof: Proof,
    /// What it was before.
    before: Looks,
    since: Instant,
    next: Instant,
}

/// What a process is: its program, and how that lies in memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Looks {
    program: Option<FileIdentity>,
    image: Option<Image>,
}

/// One that has executed something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed {
    pub(super) call: CallNumber,
    pub(super) process: i32,
    pub(super) is_as_judged: bool,
}

/// What has become of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Nothing yet.
    NotYet,
    /// Nothing, for good: its call has failed, or it is gone.
    Nothing,
    /// What was judged.
    Judged,
    /// Something else.
    Other,
}

impl Looks {
    pub(super) fn of(process: i32) -> Looks {
        let program = FileIdentity::at(Path::new(&format!("/proc/{process}/exe")));
        Looks { program, image: Image::of(process) }
    }
}

impl Watched {
    fn look(&self, thread: i32) -> Seen {
        if let Proof::Met(expected) | Proof::Allowed(expected) = &self.proof
            && expected.is_met(self.process)
        {
            return Seen::Judged;
        }
        let now = Looks::of(self.process);
        match now.program {
            // It is gone.
            None => Seen::Nothing,
            Some(_) if now != self.before => Seen::Other,
            Some(_) => match family::is_executing(thread) {
                Some(true) => Seen::NotYet,
                None if self.since.elapsed() < LONGEST => Seen::NotYet,
                Some(false) | None => Seen::Nothing,
            },
        }
    }
}

/// All of them, by thread.
#[derive(Default)]
pub(super) struct AllWatched(HashMap<i32, Watched>);

impl AllWatched {
    pub(super) fn watch(
        &mut self,
        thread: i32,
        (process, call): (i32, CallNumber),
        proof: Proof,
        before: Looks,
    ) {
        let since = Instant::now();
        self.0.insert(thread, Watched { call, process, proof, before, since, next: since + SOON });
    }

    /// Whether another thread of this process is watched. While it executes a program, the kernel keeps whoever would
    /// seize a second one waiting, for as long as its tracer likes.
    pub(super) fn is_busy(&self, process: i32, thread: i32) -> bool {
        self.0.iter().any(|(other, watched)| watched.process == process && *other != thread)
    }

    /// Looks at those of a process of which this thread calls again: its own `execve` is over.
    pub(super) fn settle(&mut self, process: i32, thread: i32) -> Vec<Changed> {
        let is_over =
            |at: i32, seen: Seen| if seen == Seen::NotYet && at == thread { Seen::Nothing } else { seen };
        self.take(|watched| watched.process == process, is_over)
    }

    /// Looks at those whose time has come.
    pub(super) fn due(&mut self) -> Vec<Changed> {
        let now = Instant::now();
        self.take(|watched| watched.next <= now, |_, seen| seen)
    }

    /// The time until the next one's has.
    pub(super) fn remind(&self) -> Option<Duration> {
        let next = self.0.values().map(|watched| watched.next).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Forgets those that are settled, and returns those that have executed something.
    fn take(&mut self, those: impl Fn(&Watched) -> bool, means: impl Fn(i32, Seen) -> Seen) -> Vec<Changed> {
        let mut changed = Vec::new();
        self.0.retain(|thread, watched| {
            if !those(watched) {
                return true;
            }
            let seen = means(*thread, watched.look(*thread));
            let (call, process) = (watched.call, watched.process);
            match seen {
                Seen::NotYet => {
                    let now = Instant::now();
                    watched.next = now + now.duration_since(watched.since).clamp(SOON, SELDOM);
                }
                Seen::Nothing => {}
                Seen::Judged => changed.push(Changed { call, process, is_as_judged: true }),
                Seen::Other => changed.push(Changed { call, process, is_as_judged: false }),
            }
            seen == Seen::NotYet
        });
        changed
    }
}
