//! The server's side of a call: the socket to its supervisor, and init's for when that does not answer.

use super::packet::{self, Packet};
use super::wire::{self, InitCommand};
use crate::backend::BackendCall;
use crate::event::{CallCommand, CallEvent};
use crate::session_error::SessionError;
use rustix::net::RecvFlags;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// A call's socket; when it closes, the supervisor kills everything in the call.
#[derive(Debug)]
pub(crate) struct Call {
    socket: OwnedFd,
    control: Arc<OwnedFd>,
    number: u64,
    listener: Mutex<Option<OwnedFd>>,
}

impl Call {
    pub(super) fn new(socket: OwnedFd, control: Arc<OwnedFd>, number: u64) -> Self {
        Call { socket, control, number, listener: Mutex::default() }
    }

    fn take_apart(&self, packet: Packet) -> Result<CallEvent, SessionError> {
        let event = wire::decode(&packet.bytes).map_err(|_| SessionError::Malformed)?;
        if event == CallEvent::Reports {
            let mut descriptors = packet.descriptors.into_iter();
            let (Some(listener), None) = (descriptors.next(), descriptors.next()) else {
                return Err(SessionError::Malformed);
            };
            *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
        }
        Ok(event)
    }
}

impl BackendCall for Call {
    fn try_event(&self) -> Result<Option<CallEvent>, SessionError> {
        match packet::receive(&self.socket, RecvFlags::DONTWAIT) {
            Ok(Some(packet)) => self.take_apart(packet).map(Some),
            Ok(None) => Err(SessionError::Lost),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(SessionError::Channel(error)),
        }
    }

    fn take_listener(&self) -> Option<OwnedFd> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn command(&self, command: &CallCommand) -> Result<(), SessionError> {
        packet::send_soon(&self.socket, command, &[]).map_err(|_| SessionError::Lost)
    }

    fn destroy(&self) {
        // A session that is gone has nothing left to destroy.
        let _ = packet::send_soon(&*self.control, &InitCommand::Destroy { call: self.number }, &[]);
    }
}

impl AsFd for Call {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
