//! What every system must offer.

use crate::enforcement::Enforcement;
use crate::event::{CallCommand, CallEvent};
use crate::findings::{Hint, Probe};
use crate::gateway::Gateway;
use crate::launcher::Launcher;
use crate::listening::Listening;
use crate::plan::Plan;
use crate::session_error::SessionError;
use crate::spawn_request::SpawnRequest;
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A system's sandbox.
pub(crate) trait Backend {
    /// What enforces one plan.
    type Session: BackendSession;

    /// Sets up what enforces the plan, all of it or nothing, and tells what is in force. Blocks for some milliseconds.
    fn start(launcher: &Launcher, plan: &Plan) -> Result<(Self::Session, Enforcement), SessionError>;

    /// Runs the process that a [`Launcher`] starts.
    fn run_session_process() -> !;

    /// Tries every form of the sandbox.
    fn probe(launcher: &Launcher) -> Probe;

    /// Takes from this thread what programs inside do not have either. `enforcement` is that of their session.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn limit_this_thread(_enforcement: &Enforcement) -> io::Result<()> {
        Ok(())
    }

    /// Explains why no session starts, from facts alone.
    fn explain_refusal() -> Vec<Hint>;
}

/// What enforces one plan. Dropping it ends every process in it.
pub(crate) trait BackendSession: Debug + Send + Sync {
    /// One program and everything that it starts.
    type Call: BackendCall;

    /// Tells whether programs can still be started.
    fn is_alive(&self) -> bool;

    /// Ends every process in it, also those that do not answer, and takes no more. Blocks for some milliseconds.
    fn retire(&self);

    /// Returns the number of the process that holds the session, outside the sandbox, if there is one.
    fn guard_pid(&self) -> Option<u32>;

    /// Returns the place where terminals of its own are made, if it has any.
    fn terminals(&self) -> Option<&OwnedFd> {
        None
    }

    /// Tells whether the socket is of the session's own network namespace; false where it has none.
    fn has_network_of(&self, socket: BorrowedFd<'_>) -> bool;

    /// Tells who listens on the socket that a file is, which a process of the session means.
    fn who_listens(&self, file: BorrowedFd<'_>, process: i32) -> io::Result<Listening>;

    /// Hands out the sockets of the session's gateway, once, where it has one.
    fn take_gateway(&self) -> Option<Gateway> {
        None
    }

    /// Lists the addresses on which programs of the session listen for TCP connections, where it has a network of its own.
    fn listening(&self) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes TCP sockets of the session's own network.
    fn make_sockets(&self, _count: u16) -> io::Result<Vec<OwnedFd>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes TCP sockets of the session's gateway, where it has one that makes more.
    fn make_gateway_sockets(&self, _count: u16) -> io::Result<Vec<OwnedFd>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes a folder in a held one writable, if it is not.
    ///
    /// # Errors
    /// Where no folders are held, or when it cannot be.
    fn bind_writable(&self, _folder: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Puts back whatever protects or hides and is not in its place.
    ///
    /// # Errors
    /// When not all is in place.
    fn mend(&self) -> io::Result<()> {
        Ok(())
    }

    /// Starts a program, without waiting for it.
    fn spawn(&self, request: SpawnRequest) -> Result<Self::Call, SessionError>;

    /// Does before the next call what does not depend on it, for one of which something is reported or not.
    fn make_ready(&self, _is_reported: bool) {}
}

/// One program and everything that it starts. Dropping it kills the program at least. The descriptor is readable when there is
/// an event.
pub(crate) trait BackendCall: AsFd + Debug + Send + Sync {
    /// Takes the next event, if there is one.
    fn try_event(&self) -> Result<Option<CallEvent>, SessionError>;

    /// Takes the descriptor that came with [`CallEvent::Reports`].
    fn take_listener(&self) -> Option<OwnedFd>;

    /// Asks for something.
    fn command(&self, command: &CallCommand) -> Result<(), SessionError>;

    /// Kills everything in it, when it does not end otherwise.
    fn destroy(&self);
}
