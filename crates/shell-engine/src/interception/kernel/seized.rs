//! Processes that are about to execute a program, from the answer to their call to the stop after it.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::messages::CallNumber;
use super::proof::Expected;
use super::turning::Turn;
use crate::sys::ptrace;

/// How long an `execve` may take before its process is asked to stop: one that fails tells nobody.
const LONGEST: Duration = Duration::from_millis(10);

/// Whether anything can be seized here: known by the first program of the first call, before anything of a command's has run.
static IS_POSSIBLE: AtomicBool = AtomicBool::new(false);

/// Tells of an error of [`AllSeized::seize`] whether something else traces the thread, or has while it was tried.
pub(super) fn is_traced(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM) && IS_POSSIBLE.load(Ordering::Relaxed)
}

/// One thread that this thread has seized.
#[derive(Debug)]
pub(super) struct Seized {
    pub(super) call: CallNumber,
    /// Its process.
    pub(super) process: i32,
    pub(super) phase: Phase,
    /// When it is asked to stop; not again once it was.
    reminded: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Its call happens.
    Executing(Proof),
    /// It is about to stop at the end of its call, which has failed.
    Turning(Box<Turn>),
    /// It is about to call what it was made to call.
    Turned(Box<Turn>),
    /// That call happens.
    Wrapping(Box<Turn>),
    /// It is being killed.
    Ending,
}

/// What speaks for a program that stands before its first instruction.
#[derive(Debug)]
pub(super) enum Proof {
    /// It is what was judged.
    Met(Box<Expected>),
    /// It is the interpreter of a script that a person has let run, and nothing forbids it as what it is: what the person saw
    /// may have been another, by a link that led elsewhere then.
    Allowed(Box<Expected>),
    /// It is judged as what it is.
    Judged,
}

impl Phase {
    fn reminder(&self) -> Option<Instant> {
        match self {
            Phase::Executing(_) | Phase::Wrapping(_) => Some(Instant::now() + LONGEST),
            Phase::Turning(_) | Phase::Turned(_) | Phase::Ending => None,
        }
    }
}

/// What stays of one that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) call: CallNumber,
    pub(super) process: i32,
}

/// All of them, by thread.
#[derive(Debug, Default)]
pub(super) struct AllSeized(HashMap<i32, Seized>);

impl AllSeized {
    /// Seizes a thread, unless it is.
    pub(super) fn seize(&mut self, thread: i32, process: i32, call: CallNumber) -> io::Result<()> {
        if !self.contains(thread) {
            ptrace::seize(thread)?;
            IS_POSSIBLE.store(true, Ordering::Relaxed);
            self.enter(thread, &Taken { call, process }, Phase::Executing(Proof::Judged));
        }
        Ok(())
    }

    pub(super) fn contains(&self, thread: i32) -> bool {
        self.0.contains_key(&thread)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether another thread of this process is seized. While it executes, the kernel may keep whoever would seize a
    /// second one waiting until that thread is let go, by us (`cred_guard_mutex` and `de_thread` in fs/exec.c).
    pub(super) fn is_busy(&self, process: i32, thread: i32) -> bool {
        self.0.iter().any(|(other, seized)| seized.process == process && *other != thread)
    }

    pub(super) fn take(&mut self, thread: i32) -> Option<Seized> {
        self.0.remove(&thread)
    }

    /// Notes how far a thread is that was taken.
    pub(super) fn enter(&mut self, thread: i32, seized: &Taken, phase: Phase) {
        let Taken { call, process } = *seized;
        self.0.insert(thread, Seized { call, process, reminded: phase.reminder(), phase });
    }

    /// Lets one go that stands, with the signal that it was about to get. One that was killed meanwhile stays ours until
    /// we have heard of its end: before that, its parent does not.
    pub(super) fn release(&mut self, thread: i32, taken: &Taken, signal: i32) {
        if ptrace::release(thread, signal).is_err() {
            self.enter(thread, taken, Phase::Ending);
        }
    }

    /// Its call has not happened after all: it is let go as soon as it stops.
    pub(super) fn let_go(&mut self, thread: i32) {
        if let Some(seized) = self.0.get_mut(&thread) {
            seized.phase = Phase::Executing(Proof::Judged);
            seized.reminded = None;
            let _ = ptrace::interrupt(thread);
        }
    }

    /// Has those stop that have taken too long, and returns the time until the next one has.
    pub(super) fn remind(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let mut next: Option<Duration> = None;
        for (thread, seized) in &mut self.0 {
            let Some(at) = seized.reminded else { continue };
            match at.checked_duration_since(now) {
                Some(left) if !left.is_zero() => next = Some(next.map_or(left, |next| next.min(left))),
                Some(_) | None => {
                    seized.reminded = None;
                    // One that is gone is told of.
                    let _ = ptrace::interrupt(*thread);
                }
            }
        }
        next
    }
}
