//! One call in a session: a descriptor to wait on, its events, and the ways to end it.

use crate::backend::{Backend, BackendCall, BackendSession, Platform};
use crate::event::{CallCommand, CallEvent};
use crate::session_error::SessionError;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// One program in a session and everything that it starts. Dropping it kills all of them.
#[derive(Debug)]
pub struct Call(Inner);

type Inner = <<Platform as Backend>::Session as BackendSession>::Call;

impl Call {
    pub(crate) fn new(inner: Inner) -> Self {
        Call(inner)
    }

    /// Takes the next event, if there is one; never blocks. Wait for the descriptor to be readable in between.
    ///
    /// # Errors
    /// [`SessionError::Lost`] when the supervisor is gone without having said [`CallEvent::Gone`]: a command killed it
    /// (then init kills the rest of the call), or the session ended. [`SessionError::Malformed`] for nonsense.
    pub fn try_event(&self) -> Result<Option<CallEvent>, SessionError> {
        self.0.try_event()
    }

    /// Takes the descriptor that [`CallEvent::Reports`] has announced: the listener of seccomp_unotify(2).
    #[must_use]
    pub fn take_listener(&self) -> Option<OwnedFd> {
        self.0.take_listener()
    }

    /// Asks for the processes that are alive; [`CallEvent::Alive`] follows.
    ///
    /// # Errors
    /// [`SessionError::Lost`] when the call is over.
    pub fn ask_alive(&self) -> Result<(), SessionError> {
        self.0.command(&CallCommand::List)
    }

    /// Asks for every process to be ended: SIGTERM, and SIGKILL after the grace (at once when it is zero).
    /// [`CallEvent::Gone`] follows when none is left.
    ///
    /// # Errors
    /// [`SessionError::Lost`] when the call is over.
    pub fn ask_end(&self, grace: Duration) -> Result<(), SessionError> {
        self.0.command(&CallCommand::EndAll { grace })
    }

    /// Sends a signal to the program alone.
    ///
    /// # Errors
    /// [`SessionError::Lost`] when the call is over.
    pub fn signal(&self, number: i32) -> Result<(), SessionError> {
        self.0.command(&CallCommand::Signal { number })
    }

    /// Sends a signal to the program and those of its process group.
    ///
    /// # Errors
    /// [`SessionError::Lost`] when the call is over.
    pub fn signal_group(&self, number: i32) -> Result<(), SessionError> {
        self.0.command(&CallCommand::SignalGroup { number })
    }

    /// Kills the call's supervisor, which makes init kill everything in the call: the way out when the supervisor does
    /// not answer (a command may have stopped it). [`Call::try_event`] then says [`SessionError::Lost`].
    pub fn destroy(&self) {
        self.0.destroy();
    }
}

impl AsFd for Call {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Call {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
