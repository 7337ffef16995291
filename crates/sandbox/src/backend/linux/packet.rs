//! One packet with descriptors over a `SOCK_SEQPACKET` socket: sending and receiving, bounded on receipt.

use super::wire::{self, MAX_PACKET, MAX_PASSED};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a full socket may stay full: dozens of packets wait in it by then.
const SEND_TIMEOUT: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

thread_local! {
    /// Where packets arrive: clearing so much memory for each would cost more than receiving it.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What arrived.
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Makes a connected pair, both ends close-on-exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message. A peer that is gone is an error, never a signal.
pub(crate) fn send(
    socket: impl AsFd,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    send_with(socket, &wire::encode(message)?, descriptors, SendFlags::empty())
}

/// Sends one message without ever blocking for long: a peer that does not read (a command may have stopped it) is an
/// error.
pub(crate) fn send_soon(
    socket: impl AsFd,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = wire::encode(message)?;
    let attempt = || send_with(&socket, &bytes, descriptors, SendFlags::DONTWAIT);
    match attempt() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let mut polled = [PollFd::new(&socket, PollFlags::OUT)];
            let _ = rustix::event::poll(&mut polled, Some(&SEND_TIMEOUT));
            attempt()
        }
        other => other,
    }
}

/// Sends one message to whom there is room for.
pub(crate) fn send_at_once(socket: impl AsFd, message: &impl Serialize) -> io::Result<()> {
    send_with(socket, &wire::encode(message)?, &[], SendFlags::DONTWAIT)
}

fn send_with(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSED))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, flags | SendFlags::NOSIGNAL)
    })?;
    if sent == bytes.len() { Ok(()) } else { Err(io::Error::other("a packet was cut")) }
}

/// Receives one packet; `None` when the peer is gone.
pub(crate) fn receive(socket: impl AsFd, flags: RecvFlags) -> io::Result<Option<Packet>> {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(MAX_PACKET, 0);
        receive_into(socket, flags, buffer)
    })
}

/// Waits for one packet, without what is kept for others to come.
pub(crate) fn receive_alone(socket: impl AsFd) -> io::Result<Option<Packet>> {
    receive_into(socket, RecvFlags::empty(), &mut vec![0; MAX_PACKET])
}

fn receive_into(socket: impl AsFd, flags: RecvFlags, buffer: &mut [u8]) -> io::Result<Option<Packet>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSED))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let slices = &mut [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(&socket, slices, &mut control, flags | RecvFlags::CMSG_CLOEXEC) {
            // A peer that ended with unread packets: told once, and before the packets that it sent.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            other => break other?,
        }
    };
    let descriptors: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        })
        .flatten()
        .collect();
    if message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet was cut on receipt"));
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    let bytes = buffer.get(..message.bytes).unwrap_or_default().to_vec();
    Ok(Some(Packet { bytes, descriptors }))
}

/// Waits once. An interrupted wait only means another turn; any other failure, that nothing is heard any more.
pub(crate) fn wait_any(polled: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> io::Result<()> {
    match rustix::event::poll(polled, timeout) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits until a packet can be received, or the peer is gone; false when the time is over.
pub(crate) fn wait_readable(descriptor: BorrowedFd<'_>, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
        let Ok(timeout) = Timespec::try_from(left) else { return false };
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::CallEvent;

    #[test]
    fn what_a_peer_said_is_heard_though_it_ended_before_it_listened() {
        let (ours, theirs) = pair().unwrap();
        send(&theirs, &CallEvent::Gone, &[]).unwrap();
        send(&ours, &CallEvent::Gone, &[]).unwrap();
        drop(theirs);
        let packet = receive(&ours, RecvFlags::DONTWAIT).unwrap();
        assert_eq!(wire::decode::<CallEvent>(&packet.expect("it was sent").bytes).unwrap(), CallEvent::Gone);
        assert!(receive(&ours, RecvFlags::DONTWAIT).unwrap().is_none());
    }
}
