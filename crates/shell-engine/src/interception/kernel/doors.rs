//! The kernel's door as a server has it: a few threads, each of which attends to one call where there are so few calls.
//!
//! Who looks at a file may have to wait for it, on a network that is gone or in a file system that some program serves. So
//! that no other call waits with it, calls share a thread only when there are many.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use signal_hook::consts::SIGCHLD;
use tokio::sync::{mpsc as events, oneshot};

use super::beginnings::Beginnings;
use super::connections::Connector;
use super::door::KernelDoor;
use super::messages::{Command, Mailbox};
use super::names::Names;
use super::seized::AllSeized;
use super::thread::Thread;
use super::turning::Wrapper;
use super::watched::AllWatched;
use crate::interception::call::InterceptedCall;
use crate::programs::{FileIdentity, look};
use crate::sandboxes::Sandbox;

/// Threads at most. Each is woken whenever a process changes that any of them has seized.
const MOST_THREADS: usize = 8;

/// Opens a door for each call.
#[derive(Debug)]
pub(crate) struct KernelDoors {
    wrapper: PathBuf,
    threads: Mutex<Vec<Mailbox>>,
    next: AtomicU64,
}

impl KernelDoors {
    /// None is open yet. `wrapper` is what a process becomes that does not simply execute what it wants.
    pub(crate) fn new(wrapper: PathBuf) -> KernelDoors {
        KernelDoors { wrapper, threads: Mutex::default(), next: AtomicU64::new(1) }
    }

    /// Attends to a call whose processes report to this listener, its shell first, and says when that has started.
    ///
    /// # Errors
    ///
    /// Why it cannot: then the shell has not started either.
    pub(crate) async fn open(
        &self,
        listener: OwnedFd,
        sandbox: &Arc<Sandbox>,
        facts: Arc<InterceptedCall>,
    ) -> Result<KernelDoor, String> {
        let mailbox = self.mailbox().map_err(|error| error.to_string())?;
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = events::unbounded_channel();
        let (opened, outcome) = oneshot::channel();
        let names = Names::of(sandbox);
        let sandbox = Arc::downgrade(sandbox);
        mailbox.send(Command::Attend { call, listener, sandbox, facts, names, events: tell, opened });
        let door = KernelDoor::new(mailbox, call, told);
        match outcome.await {
            Ok(Ok(())) => Ok(door),
            Ok(Err(why)) => Err(why),
            Err(_) => Err("the shell did not start".into()),
        }
    }

    /// A thread for one more call: one that has none, a new one, or that which has the fewest.
    fn mailbox(&self) -> io::Result<Mailbox> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(Mailbox::is_alive);
        threads.sort_by_key(Mailbox::calls);
        // One is kept that has nothing to do.
        while threads.len() > 1 && threads.get(1).is_some_and(|thread| thread.calls() == 0) {
            end(threads.remove(1));
        }
        let chosen = match threads.first() {
            Some(least) if least.calls() == 0 || threads.len() >= MOST_THREADS => least.clone(),
            Some(_) | None => {
                let started = self.start()?;
                threads.push(started.clone());
                started
            }
        };
        chosen.reserve();
        Ok(chosen)
    }

    fn start(&self) -> io::Result<Mailbox> {
        if nobody_may_trace() {
            return Err(io::Error::other(
                "no process may be stopped to see what it executes (kernel.yama.ptrace_scope is 3)",
            ));
        }
        let identity = look(&self.wrapper).and_then(FileIdentity::of).ok_or(io::ErrorKind::NotFound)?;
        let wrapper = Wrapper { path: self.wrapper.clone(), identity };
        let (bell, button) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        button.set_nonblocking(true)?;
        // Stops are told to the process as a whole, like ends of children.
        let rings = signal_hook::low_level::pipe::register(SIGCHLD, button.try_clone()?)?;
        let (send, commands) = mpsc::channel();
        let alive = Arc::new(());
        let mailbox = Mailbox {
            commands: send,
            bell: Arc::new(button),
            alive: Arc::downgrade(&alive),
            calls: Arc::default(),
        };
        let thread = Thread {
            commands,
            bell,
            mailbox: mailbox.clone(),
            wrapper,
            calls: HashMap::new(),
            seized: AllSeized::default(),
            watched: AllWatched::default(),
            later: Vec::new(),
            connector: Connector::default(),
            beginnings: Beginnings::default(),
            #[cfg(test)]
            held_in_tests: Vec::new(),
            _alive: alive,
        };
        std::thread::Builder::new().name("kernel-door".into()).spawn(move || {
            let rings = Rings(rings);
            thread.run();
            drop(rings);
        })?;
        Ok(mailbox)
    }
}

/// Whether Yama forbids ptrace(2) to everybody, until the machine starts anew (admin-guide/LSM/Yama in the kernel's
/// documentation).
fn nobody_may_trace() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").is_ok_and(|scope| scope.trim() == "3")
}

impl Drop for KernelDoors {
    fn drop(&mut self) {
        self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(end);
    }
}

/// A thread ends when nobody can tell it anything any more.
fn end(mailbox: Mailbox) {
    let Ok(mut bell) = mailbox.bell.try_clone() else { return };
    drop(mailbox);
    let _ = bell.write(&[1]);
}

/// As long as a thread hears signals of children.
struct Rings(signal_hook::SigId);

impl Drop for Rings {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interception::door::Door;

    /// What its processes wait for fails with the listener that the thread held.
    #[tokio::test]
    async fn a_thread_that_breaks_fails_its_calls_and_is_followed_by_another() {
        let doors = KernelDoors::new("/bin/true".into());
        for call in 0..20 {
            let mailbox = doors.mailbox().unwrap();
            let (events, told) = events::unbounded_channel();
            let door = KernelDoor::new(mailbox.clone(), call, told);
            mailbox.send(Command::Break { events });
            let broken = door.next().await;
            assert!(broken.is_err_and(|error| error.to_string().contains("thread that judges")));
            assert!(!mailbox.is_alive());
        }
        assert!(doors.mailbox().unwrap().is_alive());
    }
}
