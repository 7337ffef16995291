//! One call in a session: a descriptor to wait on, its events, and the ways to end it.

use crate::event::CallEvent;
use crate::linux::packet;
use crate::linux::wire::{self, CallCommand, InitCommand};
use crate::session_error::SessionError;
use rustix::net::RecvFlags;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// One program in a session and everything that it starts. Dropping it kills all of them.
#[derive(Debug)]
pub struct Call {
    socket: OwnedFd,
    control: Arc<OwnedFd>,
    number: u64,
}

impl Call {
    pub(crate) fn new(socket: OwnedFd, control: Arc<OwnedFd>, number: u64) -> Self {
        Call { socket, control, number }
    }

    /// Takes the next event, if there is one; never blocks. Wait for the descriptor to be readable in between.
    ///
    /// # Errors
    /// [`SessionError::Lost`] when the supervisor is gone without having said [`CallEvent::Gone`]: a command killed it (then
    /// init kills the rest of the call), or the session ended. [`SessionError::Malformed`] for nonsense.
    pub fn try_event(&self) -> Result<Option<CallEvent>, SessionError> {
        match packet::receive(&self.socket, RecvFlags::DONTWAIT) {
            Ok(Some(packet)) => wire::decode(&packet.bytes).map(Some).map_err(|_| SessionError::Malformed),
            Ok(None) => Err(SessionError::Lost),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(SessionError::Channel(error)),
        }
    }

    /// Asks for the processes that are alive; [`CallEvent::Alive`] follows.
    ///
    /// # Errors
    /// [`SessionError::Lost`] when the call is over.
    pub fn ask_alive(&self) -> Result<(), SessionError> {
        self.command(&CallCommand::List)
    }

    /// Asks for every process to be ended: SIGTERM, and SIGKILL after the grace (at once when it is zero).
    /// [`CallEvent::Gone`] follows when none is left.
    ///
    /// # Errors
    /// [`SessionError::Lost`] when the call is over.
    pub fn ask_end(&self, grace: Duration) -> Result<(), SessionError> {
        self.command(&CallCommand::EndAll { grace })
    }

    /// Sends a signal to the program alone.
    ///
    /// # Errors
    /// [`SessionError::Lost`] when the call is over.
    pub fn signal(&self, number: i32) -> Result<(), SessionError> {
        self.command(&CallCommand::Signal { number })
    }

    /// Kills the call's supervisor, which makes init kill everything in the call: the way out when the supervisor does not
    /// answer (a command may have stopped it). [`Call::try_event`] then says [`SessionError::Lost`].
    pub fn destroy(&self) {
        // A session that is gone has nothing left to destroy.
        let _ = packet::send_soon(&*self.control, &InitCommand::Destroy { call: self.number }, &[]);
    }

    fn command(&self, command: &CallCommand) -> Result<(), SessionError> {
        packet::send_soon(&self.socket, command, &[]).map_err(|_| SessionError::Lost)
    }
}

impl AsFd for Call {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Call {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
