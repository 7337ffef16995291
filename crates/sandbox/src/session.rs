//! The server's side of a session: one set of processes per effective policy, entered by every call.
//!
//! On Linux, [`Session::start`] executes the launcher once; [`Session::spawn`] then only sends a message, so a call costs two
//! forks of a small process and no start of a large binary, and after [`Session::make_ready`] not even those. Dropping a session, or the server's death by any means, closes its
//! socket, and everything in the session is killed.
//!
//! Keep a session for as long as the *policy* is the same, not the plan: resolving again may find other sockets to hide, and
//! a new session cannot reach what the old one left in the background.
//!
//! No async runtime here: a [`Call`] is a descriptor to wait on, with a method that never blocks.

use crate::backend::{Backend, BackendSession, Platform};
use crate::call::Call;
use crate::enforcement::{Enforcement, Namespace};
use crate::gateway::Gateway;
use crate::launcher::Launcher;
use crate::listening::Listening;
use crate::names::NameRules;
use crate::plan::Plan;
use crate::session_error::SessionError;
use crate::spawn_request::SpawnRequest;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// A set of processes that enforce one plan for many calls.
#[derive(Debug)]
pub struct Session {
    inner: <Platform as Backend>::Session,
    enforcement: Enforcement,
    names: Option<Arc<NameRules>>,
}

impl Session {
    /// Sets a session up and returns when everything that the plan asks for is in force.
    ///
    /// Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`SessionError::NotEnforceable`] when the system does not allow what was asked; there is no downgrade.
    pub fn start(launcher: &Launcher, plan: &Plan) -> Result<Self, SessionError> {
        let (inner, enforcement) = Platform::start(launcher, plan)?;
        let names =
            enforcement.brokered.then(|| Arc::new(NameRules::of(plan, enforcement.has(Namespace::Mount))));
        Ok(Session { inner, enforcement, names })
    }

    /// Returns what is in force.
    #[must_use]
    pub fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Returns the rules for names, in a session whose reported programs wait for an answer to every call that makes one, too.
    /// A call that is let happen meets the read-only mounts of held folders, where there are such ([`NameRules::has_mounts`]).
    #[must_use]
    pub fn names(&self) -> Option<&Arc<NameRules>> {
        self.names.as_ref()
    }

    /// Hands out the sockets of the session's gateway, once, where [`Enforcement::by_name`] says that it has one. Who has
    /// them makes connections outside for programs inside, or refuses them.
    #[must_use]
    pub fn take_gateway(&self) -> Option<Gateway> {
        self.inner.take_gateway()
    }

    /// Tells whether calls that are refused to all are reported, too, to be refused by whoever answers.
    #[must_use]
    pub fn reports_refusals(&self) -> bool {
        self.names.is_some()
    }

    /// Lists the addresses on which programs of the session listen for TCP connections.
    ///
    /// # Errors
    /// When the session has no network of its own, or the kernel does not tell.
    pub fn listening(&self) -> io::Result<Vec<SocketAddr>> {
        self.inner.listening()
    }

    /// Makes TCP sockets of the session's own network, for connections to programs in it. Blocks for less than a millisecond.
    ///
    /// # Errors
    /// When it has none, or its init does not answer.
    pub fn make_sockets(&self, count: u16) -> io::Result<Vec<OwnedFd>> {
        self.inner.make_sockets(count)
    }

    /// Makes more TCP sockets of the session's gateway, to listen on ports. Blocks for about a millisecond.
    ///
    /// # Errors
    /// When it has none, has got all at once, or its guard does not answer.
    pub fn make_gateway_sockets(&self, count: u16) -> io::Result<Vec<OwnedFd>> {
        self.inner.make_gateway_sockets(count)
    }

    /// Makes a folder in a held one writable for the programs inside, if it is not. Blocks for less than a millisecond.
    ///
    /// # Errors
    /// Where no folders are held, or when it cannot be: it is gone, or is a link.
    pub fn bind_writable(&self, folder: &Path) -> io::Result<()> {
        if !self.enforcement.has(Namespace::Mount) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.inner.bind_writable(folder)
    }

    /// Looks whether all mounts that protect or hide are in place, and puts back those that are not. Blocks for about a millisecond.
    ///
    /// # Errors
    /// When not all is in place.
    pub fn mend(&self) -> io::Result<()> {
        if self.enforcement.has(Namespace::Mount) { self.inner.mend() } else { Ok(()) }
    }

    /// Takes from this thread the capabilities that programs inside do not have.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn limit_this_thread(&self) -> io::Result<()> {
        Platform::limit_this_thread(&self.enforcement)
    }

    /// Returns the number of the session's guard process, outside the sandbox, where there is one.
    #[must_use]
    pub fn guard_pid(&self) -> Option<u32> {
        self.inner.guard_pid()
    }

    /// Returns the place (`O_PATH`) where the session's own terminals are made, by opening it once more. Programs inside find
    /// such a terminal under its name (`ttyname`), one of the host's not. `None`: the host's are theirs.
    #[must_use]
    pub fn terminals(&self) -> Option<&OwnedFd> {
        self.inner.terminals()
    }

    /// Tells whether [`CallEvent::Gone`](crate::CallEvent::Gone) means that no descendant is left; else only the program
    /// itself is followed to its end.
    #[must_use]
    pub fn follows_descendants(&self) -> bool {
        self.inner.guard_pid().is_some()
    }

    /// Tells whether the session's processes are still there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.inner.is_alive()
    }

    /// Ends every process of the session and starts no more: the way out when it does not answer, because a command has stopped
    /// what belongs to it. Blocks for some milliseconds, 2 seconds at most.
    pub fn retire(&self) {
        self.inner.retire();
    }

    /// Tells whether a socket is of the session's own network namespace; false where it has none. Where it
    /// has one, what is reported of a program ([`SpawnRequest::reported`]) includes each `connect`, and Unix
    /// datagram sockets are refused.
    #[must_use]
    pub fn has_network_of(&self, socket: BorrowedFd<'_>) -> bool {
        self.inner.has_network_of(socket)
    }

    /// Tells who listens on the Unix socket that a file is (opened with `O_PATH`), which `process` of this
    /// session means, by its number outside. The file is known by device and inode, not by its path.
    ///
    /// # Errors
    /// When the kernel does not list the session's own sockets, or it has no network namespace of its own.
    pub fn who_listens(&self, file: BorrowedFd<'_>, process: i32) -> io::Result<Listening> {
        self.inner.who_listens(file, process)
    }

    /// Starts a program; our copies of its descriptors are closed, whatever happens. Does not wait for it: [`crate::CallEvent::Started`] or [`crate::CallEvent::NotStarted`] follows on the call, usually
    /// within a millisecond. When nothing comes for seconds, the session is broken (without a PID namespace a command can
    /// stop its init): retire it and start another. Without [`crate::CallEvent::Accepted`] nothing of the program has run by then.
    ///
    /// # Errors
    /// [`SessionError::BadRequest`] for what can never work, [`SessionError::Lost`] when the session has ended.
    pub fn spawn(&self, request: SpawnRequest) -> Result<Call, SessionError> {
        self.inner.spawn(request).map(Call::new)
    }

    /// Does before the next call what does not depend on it, so that it starts sooner. It will have to be one of which something
    /// is reported or not ([`SpawnRequest::reported`]). Never waits.
    pub fn make_ready(&self, is_reported: bool) {
        self.inner.make_ready(is_reported);
    }
}

/// Runs a session's own process. The launcher's program calls this first thing: before threads, before an async
/// runtime, with the control socket as standard input.
pub fn run_session_process() -> ! {
    Platform::run_session_process()
}
