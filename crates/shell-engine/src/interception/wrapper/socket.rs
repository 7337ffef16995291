//! Sockets, and descriptors that come over them, which no program inherits unless it is given them.
//!
//! Linux does this with flags; elsewhere they are marked afterwards, and forks mark everything once more.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Result;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, SocketFlags,
    SocketType, recvmsg, socketpair,
};

/// For sending to somebody who may be gone: an error instead of a signal, which the server ignores anyway.
#[cfg(target_os = "linux")]
pub(super) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(target_os = "linux"))]
pub(super) const NO_SIGNAL: SendFlags = SendFlags::empty();

/// One message, and the descriptors that travelled with it.
pub(super) struct Message {
    pub(super) length: usize,
    pub(super) flags: ReturnFlags,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// Makes two sockets that are connected to each other.
#[cfg(target_os = "linux")]
pub(super) fn pair(kind: SocketType) -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
}

/// Makes two sockets that are connected to each other.
#[cfg(not(target_os = "linux"))]
pub(super) fn pair(kind: SocketType) -> Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(AddressFamily::UNIX, kind, SocketFlags::empty(), None)?;
    close_on_exec(&pair.0)?;
    close_on_exec(&pair.1)?;
    Ok(pair)
}

/// Receives one message. `space` is for the descriptors; the flags say when more came than fit.
pub(super) fn receive(
    socket: impl AsFd,
    payload: &mut [u8],
    space: &mut [MaybeUninit<u8>],
) -> Result<Message> {
    #[cfg(target_os = "linux")]
    let flags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = RecvFlags::empty();
    let mut control = RecvAncillaryBuffer::new(space);
    let message = recvmsg(socket, &mut [IoSliceMut::new(payload)], &mut control, flags)?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    #[cfg(not(target_os = "linux"))]
    for descriptor in &descriptors {
        close_on_exec(descriptor)?;
    }
    Ok(Message { length: message.bytes, flags: message.flags, descriptors })
}

#[cfg(not(target_os = "linux"))]
fn close_on_exec(descriptor: &OwnedFd) -> Result<()> {
    rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)
}
