//! What the thread knows of one call.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use execpolicy::Ancestry;
use tokio::sync::{mpsc, oneshot};

use super::descent::Descent;
use super::family::{Image, process_of};
use super::files;
use super::messages::{Asks, Event, Load, Task, Weight};
use super::names::Broker;
use super::proof::Expected;
use super::request::Request;
use crate::interception::call::InterceptedCall;
use crate::judgement::{Exec, Lineage};
use crate::programs::FileIdentity;
use crate::sandboxes::Sandbox;
use crate::sys::notifications::{Listener, Notification};

/// Threads of one call that may wait for another of their process at once.
const MOST_BEHIND: usize = 512;

/// One call.
pub(super) struct Attended {
    pub(super) listener: Arc<Listener>,
    /// Where its processes are.
    pub(super) sandbox: Weak<Sandbox>,
    /// Who answers for names, where protected ones are held.
    pub(super) broker: Option<Broker>,
    pub(super) facts: Arc<InterceptedCall>,
    /// The wrapper, which asks by itself.
    pub(super) wrapper: FileIdentity,
    pub(super) events: mpsc::UnboundedSender<io::Result<Event>>,
    pub(super) load: Arc<Load>,
    /// Who waits to hear whether the shell has started.
    pub(super) opened: Option<oneshot::Sender<Result<(), String>>>,
    /// The shell, once it has.
    pub(super) shell: Option<Shell>,
    /// What wrappers execute next, by process, as a person has allowed.
    pub(super) allowed: HashMap<i32, Arc<Exec>>,
    /// What waits for an answer from elsewhere, by its notification.
    pub(super) waiting: HashMap<u64, Asked>,
    /// What waits because another thread of its process is executing a program.
    pub(super) behind: Vec<Notification>,
    /// What its processes are.
    pub(super) descent: Descent,
    /// One of its processes has been stopped before, so all of them can be.
    pub(super) was_proved: bool,
}

/// The call's own shell.
pub(super) struct Shell {
    pub(super) process: i32,
    pub(super) image: Option<Image>,
    /// The root directory of all processes of the call, where the sandbox lets none have another.
    pub(super) root: Option<Arc<OwnedFd>>,
}

impl Shell {
    /// Remembers what it looks like. At the first `execve` after its own it still is what it was started as.
    pub(super) fn look(&mut self, call: &InterceptedCall) {
        if call.apart.is_none() && self.image.is_none() && Expected::is_program(self.process, call.bash) {
            self.image = Image::of(self.process);
            self.root =
                call.facts.trust.is_enforced().then(|| files::root(self.process).map(Arc::new)).flatten();
        }
    }
}

/// One `execve` that waits.
pub(super) struct Asked {
    pub(super) asks: Asks,
    pub(super) request: Request,
    pub(super) exec: Arc<Exec>,
}

impl Attended {
    /// Lets the first of all happen: that of the session's own process, which becomes the shell. Nothing of the command's has run.
    pub(super) fn start_shell(&mut self, notification: &Notification) {
        self.shell = Some(Shell { process: notification.thread, image: None, root: None });
        let looks = self.facts.judge.looks_at_ancestry();
        self.descent = match &self.facts.apart {
            None => Descent::of(notification.thread, looks),
            Some(apart) => {
                let program = &apart.program.exec;
                let names = Arc::new(self.facts.facts.trust.ancestor(program));
                Descent::of_program(notification.thread, looks, &program.lineage, names)
            }
        };
        let started = self.listener.let_happen(notification.id);
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(started.map_err(|error| error.to_string()));
        }
    }

    /// Where what a process is about to execute stands among the programs of the call.
    pub(super) fn lineage(&self, process: i32) -> Lineage {
        let (parent, ancestry) = self.descent.of_process(process);
        Lineage { ancestry, place: Some(self.facts.record.place(parent)), process: Some(process) }
    }

    /// The programs that a thread is of, and that have started it, where rules go by names.
    pub(super) fn ancestry(&self, thread: i32) -> Ancestry {
        if !self.descent.goes_by_names() {
            return Ancestry::default();
        }
        self.descent.of_process(process_of(thread).unwrap_or(thread)).1
    }

    /// A process is about to become this.
    pub(super) fn becomes(&mut self, process: i32, exec: &Exec) {
        if let Some(place) = exec.lineage.place {
            let names = || Arc::new(self.facts.facts.ancestor(exec));
            self.descent.becomes(process, place.number, names);
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.load.has_room() && self.behind.len() < MOST_BEHIND
    }

    /// Whether a process is the shell, or a fork of it that has executed nothing since. While that is not known, it is.
    pub(super) fn is_shell(&self, process: i32) -> bool {
        if self.facts.apart.is_some() {
            return false;
        }
        let image = self.shell.as_ref().and_then(|shell| shell.image.as_ref());
        image.is_none_or(|image| Image::of(process).as_ref() == Some(image))
    }

    /// Has the call end, and no other: nobody of it is judged any more.
    pub(super) fn give_up(&self, why: &str) {
        let _ = self.events.send(Err(io::Error::new(io::ErrorKind::PermissionDenied, why.to_owned())));
    }

    /// Hands something to the call's door. Where nobody attends to it any more, the answer is that it fails.
    pub(super) fn tell(&self, task: Task) {
        let weight = Weight::of(&self.load, task.size());
        let _ = self.events.send(Ok(Event { task, weight }));
    }
}
