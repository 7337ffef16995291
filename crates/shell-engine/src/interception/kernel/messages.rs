//! What the thread and the doors of its calls say to each other.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};
use std::time::Duration;

use nix::errno::Errno;
use tokio::sync::{mpsc, oneshot};

use super::beginnings::Beginnings;
use super::files::Reach;
use super::names::Names;
use super::request::{Request, Unread};
use crate::interception::call::InterceptedCall;
use crate::interception::escalated::Starting;
use crate::judgement::Exec;
use crate::sandboxes::Sandbox;
use crate::sys::notifications::{Listener, Notification};

/// Tasks of one call that may be undone at once, and the bytes that they hold. More executions are not heard of until there is
/// room: a call that means to exhaust us waits.
const MOST_TASKS: usize = 512;
const MOST_BYTES: usize = 64 << 20;

/// How often it is looked whether a process still waits for an answer.
const PATIENCE: Duration = Duration::from_millis(500);

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
    /// What is asked for was read.
    Read { call: CallNumber, asks: Asks, read: Result<Box<(Request, Exec)>, Errno> },
    /// This is the answer to what waits.
    Answer { call: CallNumber, id: u64, answer: Answer },
    /// The wrapper that this process is executes this next, as a person has allowed.
    Allow { call: CallNumber, process: i32, exec: Arc<Exec> },
    /// Nobody attends to this call any more.
    Leave { call: CallNumber },
    /// End by a panic, with the events of a call.
    #[cfg(test)]
    Break { events: mpsc::UnboundedSender<io::Result<Event>> },
}

/// What becomes of an `execve` that waits.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// It happens.
    Happens,
    /// It does not simply happen: its process becomes the wrapper.
    Turns,
    /// Its process becomes the wrapper, which says why it does not happen.
    Refused(String),
    /// It fails.
    Fails(i32),
}

/// Who asks, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asks {
    pub(super) notification: Notification,
    /// The process of the thread that asks.
    pub(super) process: i32,
}

/// What the door of a call has to do.
pub(crate) struct Event {
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
    /// To read what is asked for, which may take as long as a file system does.
    Read(Reading),
    /// To say whether it simply runs.
    Judge(Arc<Exec>, Waiting),
    /// To answer it while it waits.
    Decide(Arc<Exec>, Waiting),
    /// To lead the dialogue with the wrapper that its process has become; the answer, where there is one already.
    Lead {
        exec: Arc<Exec>,
        stream: UnixStream,
        process: i32,
        file: Vec<u8>,
        refusal: Option<String>,
        /// Held until the dialogue begins.
        starting: Option<Starting>,
    },
}

impl Task {
    /// Bytes that it holds.
    pub(super) fn size(&self) -> usize {
        match self {
            Task::Read(_) => 0,
            Task::Judge(exec, _) | Task::Decide(exec, _) | Task::Lead { exec, .. } => exec.size(),
        }
    }
}

/// A request that is to be read elsewhere.
pub(super) struct Reading {
    pub(super) mailbox: Mailbox,
    pub(super) call: CallNumber,
    pub(super) asks: Asks,
    pub(super) root: Option<Arc<OwnedFd>>,
}

impl Reading {
    /// Reads it, and tells the thread.
    pub(super) fn read(self) {
        let Reading { mailbox, call, asks, root } = self;
        let how = (&mut Beginnings::default(), Reach::FileSystems);
        let read = Request::read(&asks.notification, root.as_deref(), how).map_err(|unread| match unread {
            Unread::Fails(errno) => errno,
            // What has no answer in the end.
            Unread::Farther => Errno::EIO,
        });
        mailbox.send(Command::Read {
            call,
            asks,
            read: read.map(|(request, exec)| Box::new((request, exec.far()))),
        });
    }
}

/// An `execve` that waits for an answer. Without one it fails.
pub(super) struct Waiting {
    mailbox: Mailbox,
    call: CallNumber,
    listener: Weak<Listener>,
    id: u64,
    answer: Answer,
}

impl Waiting {
    pub(super) fn new(mailbox: &Mailbox, call: CallNumber, listener: &Arc<Listener>, id: u64) -> Waiting {
        let (mailbox, listener) = (mailbox.clone(), Arc::downgrade(listener));
        Waiting { mailbox, call, listener, id, answer: Answer::Fails(libc::EPERM) }
    }

    /// Completes when nobody waits for the answer any more.
    pub(super) async fn is_moot(&self) {
        while self.listener.upgrade().is_some_and(|listener| listener.is_waiting(self.id)) {
            tokio::time::sleep(PATIENCE).await;
        }
    }

    pub(super) fn answer(mut self, answer: Answer) {
        self.answer = answer;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let answer = std::mem::replace(&mut self.answer, Answer::Fails(libc::EPERM));
        let Waiting { call, id, .. } = *self;
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
    /// How many calls it attends to, or is about to.
    pub(super) calls: Arc<AtomicUsize>,
}

impl Mailbox {
    /// Tells the thread; when it is gone, all that waited for it has failed.
    pub(super) fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            ring(&self.bell);
        }
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// One call more.
    pub(super) fn reserve(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// One call less.
    pub(super) fn is_left(&self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.strong_count() > 0
    }
}

fn ring(mut bell: &UnixStream) {
    // One that cannot be rung is ringing.
    let _ = bell.write(&[1]);
}
