//! Sockets, and descriptors that come over them, which no program inherits unless it is given them.
//!
//! Linux does this with flags; elsewhere they are marked afterwards, and forks mark everything once more.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Result;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, ReturnFlags, SocketType, recvmsg, socketpair,
};

use crate::sys::{NEW_SOCKET, RECEIVE};

/// One message, and the descriptors that travelled with it.
pub(super) struct Message {
    pub(super) length: usize,
    pub(super) flags: ReturnFlags,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// Makes two sockets that are connected to each other.
pub(super) fn pair(kind: SocketType) -> Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(AddressFamily::UNIX, kind, NEW_SOCKET, None)?;
    if NEW_SOCKET.is_empty() {
        close_on_exec(&pair.0)?;
        close_on_exec(&pair.1)?;
    }
    Ok(pair)
}

/// Receives one message. `space` is for the descriptors; the flags say when more came than fit.
pub(super) fn receive(
    socket: impl AsFd,
    payload: &mut [u8],
    space: &mut [MaybeUninit<u8>],
) -> Result<Message> {
    let mut control = RecvAncillaryBuffer::new(space);
    let message = recvmsg(socket, &mut [IoSliceMut::new(payload)], &mut control, RECEIVE)?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    if RECEIVE.is_empty() {
        descriptors.iter().try_for_each(close_on_exec)?;
    }
    Ok(Message { length: message.bytes, flags: message.flags, descriptors })
}

fn close_on_exec(descriptor: &OwnedFd) -> Result<()> {
    rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)
}
