//! One call in a session: a descriptor to wait on, its events, and the ways to end it.

use crate::linux::packet;
use crate::session_error::SessionError;
use crate::wire::{CallCommand, CallEvent, InitCommand, LiveProcesses};
use rustix::net::RecvFlags;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After this much more than the grace, a supervisor that has not ended its call is taken for broken.
const SUPERVISOR_PATIENCE: Duration = Duration::from_millis(400);

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
            Ok(Some(packet)) => {
                CallEvent::decode(&packet.bytes).map(Some).map_err(|_| SessionError::Malformed)
            }
            Ok(None) => Err(SessionError::Lost),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(SessionError::Channel(error)),
        }
    }

    /// Waits for the next event; `None` when the time is over.
    ///
    /// # Errors
    /// As [`Call::try_event`].
    pub fn event_within(&self, timeout: Duration) -> Result<Option<CallEvent>, SessionError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(event) = self.try_event()? {
                return Ok(Some(event));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !packet::wait_readable(self.socket.as_fd(), left) {
                return Ok(None);
            }
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
        let _ = packet::send_soon(&*self.control, &InitCommand::Destroy { call: self.number }.encode(), &[]);
    }

    /// Waits for an answer to the question which processes are alive, dropping other events; for blocking callers.
    ///
    /// # Errors
    /// [`SessionError::Lost`] when the call is over or does not answer in time.
    pub fn alive_within(&self, timeout: Duration) -> Result<LiveProcesses, SessionError> {
        self.ask_alive()?;
        let deadline = Instant::now() + timeout;
        loop {
            match self.event_within(deadline.saturating_duration_since(Instant::now()))? {
                Some(CallEvent::Alive(processes)) => return Ok(processes),
                Some(CallEvent::Gone) => return Ok(LiveProcesses::default()),
                Some(CallEvent::Started { .. } | CallEvent::NotStarted { .. } | CallEvent::Ended { .. }) => {}
                None => return Err(SessionError::Lost),
            }
        }
    }

    /// Ends the whole call and waits until nothing is left; for blocking callers. Returns the events on the way.
    pub fn end_and_wait(&self, grace: Duration) -> Vec<CallEvent> {
        let mut events = Vec::new();
        let mut deadline = Instant::now() + grace + SUPERVISOR_PATIENCE;
        let mut destroyed = self.ask_end(grace).is_err();
        loop {
            match self.event_within(deadline.saturating_duration_since(Instant::now())) {
                Ok(Some(event)) => {
                    let over = matches!(event, CallEvent::Gone | CallEvent::NotStarted { .. });
                    events.push(event);
                    if over {
                        return events;
                    }
                }
                Err(_) => return events,
                Ok(None) if destroyed => return events,
                Ok(None) => {
                    self.destroy();
                    destroyed = true;
                    deadline = Instant::now() + SUPERVISOR_PATIENCE;
                }
            }
        }
    }

    fn command(&self, command: &CallCommand) -> Result<(), SessionError> {
        packet::send_soon(&self.socket, &command.encode(), &[]).map_err(|_| SessionError::Lost)
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
