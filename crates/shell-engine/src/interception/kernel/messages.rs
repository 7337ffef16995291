//! What the thread and the doors of its calls say to each other.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};

use tokio::sync::{mpsc, oneshot};

use super::names::Names;
use crate::interception::call::InterceptedCall;
use crate::judgement::Exec;
use crate::sandboxes::Sandbox;

/// Tasks of one call that may be undone at once, and the bytes that they hold. More executions are not heard of until there is
/// room: a call that means to exhaust us waits.
const MOST_TASKS: usize = 512;
const MOST_BYTES: usize = 64 << 20;

/// The number of a call at this door.
pub(super) type CallNumber = u64;

/// What the thread is told.
pub(super) enum Command {
    /// Hear what this listener reports, from now on.
    Attend {
        call: CallNumber,
        listener: OwnedFd,
        sandbox: Weak<Sandbox>,
        facts: Arc<InterceptedCall>,
        /// Who answers for names, where protected ones are held.
        names: Option<Names>,
        events: mpsc::UnboundedSender<io::Result<Event>>,
        /// Whether the shell itself could be started so.
        opened: oneshot::Sender<Result<(), String>>,
    },
    /// This is the answer to what waits.
    Answer { call: CallNumber, id: u64, answer: Answer },
    /// The wrapper that this process is executes this next, as a person has allowed.
    Allow { call: CallNumber, process: i32, exec: Arc<Exec> },
    /// Nobody attends to this call any more.
    Leave { call: CallNumber },
}

/// What becomes of an `execve` that waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// It happens.
    Happens,
    /// It does not simply happen: its process becomes the wrapper.
    Turns,
    /// It fails.
    Fails(i32),
}

/// What the door of a call has to do.
pub(crate) struct Event {
    pub(super) exec: Arc<Exec>,
    pub(super) task: Task,
    /// Held until the task is done.
    pub(super) weight: Weight,
}

/// What the tasks of one call weigh that are not done.
#[derive(Debug)]
pub(super) struct Load {
    tasks: AtomicUsize,
    bytes: AtomicUsize,
    /// Who hears of no more until there is room.
    bell: Arc<UnixStream>,
}

impl Load {
    pub(super) fn new(mailbox: &Mailbox) -> Load {
        Load { tasks: AtomicUsize::new(0), bytes: AtomicUsize::new(0), bell: Arc::clone(&mailbox.bell) }
    }

    /// Whether there is room for more.
    pub(super) fn has_room(&self) -> bool {
        let tasks = self.tasks.load(Ordering::Relaxed);
        tasks == 0 || tasks < MOST_TASKS && self.bytes.load(Ordering::Relaxed) < MOST_BYTES
    }
}

/// One task's part of the load.
#[derive(Debug)]
pub(super) struct Weight {
    load: Arc<Load>,
    bytes: usize,
}

impl Weight {
    pub(super) fn of(load: &Arc<Load>, bytes: usize) -> Weight {
        load.tasks.fetch_add(1, Ordering::Relaxed);
        load.bytes.fetch_add(bytes, Ordering::Relaxed);
        Weight { load: Arc::clone(load), bytes }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        let had_room = self.load.has_room();
        self.load.tasks.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        if !had_room {
            ring(&self.load.bell);
        }
    }
}

pub(super) enum Task {
    /// To say whether it simply runs.
    Judge(Waiting),
    /// To answer it, without a wrapper: its process cannot become one.
    Decide(Waiting),
    /// To lead the dialogue with the wrapper that its process has become.
    Lead { stream: UnixStream, process: i32, file: Vec<u8> },
}

/// An `execve` that waits for an answer. Without one it fails.
pub(super) struct Waiting {
    mailbox: Mailbox,
    call: CallNumber,
    id: u64,
    answer: Answer,
}

impl Waiting {
    pub(super) fn new(mailbox: &Mailbox, call: CallNumber, id: u64) -> Waiting {
        Waiting { mailbox: mailbox.clone(), call, id, answer: Answer::Fails(libc::EPERM) }
    }

    pub(super) fn answer(mut self, answer: Answer) {
        self.answer = answer;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Waiting { call, id, answer, .. } = *self;
        self.mailbox.send(Command::Answer { call, id, answer });
    }
}

/// The way to the thread. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    pub(super) commands: Sender<Command>,
    pub(super) bell: Arc<UnixStream>,
    /// Gone when the thread is.
    pub(super) alive: Weak<()>,
}

impl Mailbox {
    /// Tells the thread; when it is gone, all that waited for it has failed.
    pub(super) fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            ring(&self.bell);
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.strong_count() > 0
    }
}

fn ring(mut bell: &UnixStream) {
    // One that cannot be rung is ringing.
    let _ = bell.write(&[1]);
}
