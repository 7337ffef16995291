//! Reading and writing one connection's stream, with every size checked before memory is set aside for it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use escalation_protocol::DecodeError;
use escalation_protocol::frame::{HEADER_BYTES, Header, Kind};
use escalation_protocol::handover::{Handover, MAX_DESCRIPTORS};
use escalation_protocol::inherited::InheritedAttributes;
use rustix::net::ReturnFlags;
use sandbox::Inherited;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::socket;

/// How much of a long body is read, and set memory aside for, at a time.
const PIECE_KIB: u32 = 16;
const PIECE_BYTES: usize = (PIECE_KIB as usize) << 10;

/// The highest number that a descriptor of an escalated program may have; the wrapper hands over no higher ones, and
/// numbers above are ours while the program is being started.
const HIGHEST_NUMBER: i32 = 255;

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(in crate::interception) enum WireError {
    /// The wrapper broke the protocol.
    #[error("the wrapper broke the protocol")]
    Protocol(#[from] DecodeError),
    /// As many descriptors as numbers must come.
    #[error("the wrapper attached {attached} descriptors and numbered {numbered}")]
    Descriptors { attached: usize, numbered: usize },
    /// A descriptor cannot have this number.
    #[error("the wrapper numbered a descriptor {0}")]
    Number(u32),
    /// The wrapper says nothing, or reads nothing.
    #[error("the wrapper takes too long")]
    TooSlow,
    /// What was said to be a stream is not one.
    #[error("the wrapper's stream is no stream socket")]
    NotAStream,
    /// Reading or writing failed; also when the wrapper is gone.
    #[error("the wrapper's stream is broken")]
    Io(#[from] io::Error),
}

/// Takes over what a stranger calls its stream: it must be a socket of the right kind, and must not block us.
pub(super) fn adopt(stream: OwnedFd) -> Result<UnixStream, WireError> {
    use rustix::net::{AddressFamily, SocketType, sockopt};
    if sockopt::socket_type(&stream).ok() != Some(SocketType::STREAM)
        || rustix::net::getsockname(&stream).map(|address| address.address_family()).ok()
            != Some(AddressFamily::UNIX)
    {
        return Err(WireError::NotAStream);
    }
    let stream = std::os::unix::net::UnixStream::from(stream);
    stream.set_nonblocking(true)?;
    Ok(UnixStream::from_std(stream)?)
}

/// Reads the header of a message of `kind`.
pub(super) async fn read_header(stream: &mut UnixStream, kind: Kind) -> Result<Header, WireError> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    Ok(Header::decode_expecting(&header, kind)?)
}

/// Reads a long body, piece by piece, each within what `memory` (in KiB) still has: a claim costs nothing until it is
/// made good. What is held is given back when the second value is dropped.
pub(super) async fn read_body_within<'m>(
    stream: &mut UnixStream,
    header: Header,
    memory: &'m Semaphore,
) -> Result<(Vec<u8>, SemaphorePermit<'m>), WireError> {
    let length = usize::try_from(header.length).map_err(|_| DecodeError::Malformed)?;
    let mut body = Vec::new();
    let mut held = memory.acquire_many(0).await.map_err(io::Error::other)?;
    while body.len() < length {
        held.merge(memory.acquire_many(PIECE_KIB).await.map_err(io::Error::other)?);
        let end = length.min(body.len() + PIECE_BYTES);
        let piece = u64::try_from(end - body.len()).map_err(|_| DecodeError::Malformed)?;
        body.reserve_exact(end - body.len());
        (&mut *stream).take(piece).read_to_end(&mut body).await?;
        if body.len() < end {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok((body, held))
}

/// Reads a short body, whose limit was checked with its header.
pub(super) async fn read_body(stream: &mut UnixStream, header: Header) -> Result<Vec<u8>, WireError> {
    let length = usize::try_from(header.length).map_err(|_| DecodeError::Malformed)?;
    let mut body = Vec::with_capacity(length);
    (&mut *stream).take(u64::from(header.length)).read_to_end(&mut body).await?;
    if body.len() == length { Ok(body) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) }
}

/// Sends one message.
pub(super) async fn write(stream: &mut UnixStream, kind: Kind, body: &[u8]) -> Result<(), WireError> {
    let length = u32::try_from(body.len()).map_err(|_| DecodeError::Malformed)?;
    let mut message = Vec::with_capacity(HEADER_BYTES + body.len());
    message.extend_from_slice(&Header { kind, length }.encode());
    message.extend_from_slice(body);
    Ok(stream.write_all(&message).await?)
}

/// Reads what an escalated program inherits: the shell's settings, and descriptors with their numbers, which travel
/// with the header.
pub(super) async fn read_handover(
    stream: &mut UnixStream,
) -> Result<(Inherited, Vec<(OwnedFd, i32)>), WireError> {
    let (header, descriptors) =
        stream.async_io(Interest::READABLE, || receive_header(stream.as_fd())).await?;
    let header = Header::decode_expecting(&header, Kind::Handover)?;
    let handover = Handover::decode(&read_body(stream, header).await?)?;
    let numbers = handover.numbers();
    if numbers.len() != descriptors.len() {
        return Err(WireError::Descriptors { attached: descriptors.len(), numbered: numbers.len() });
    }
    let place = |(ours, number): (OwnedFd, &u32)| match i32::try_from(*number) {
        Ok(known @ ..=HIGHEST_NUMBER) => Ok((ours, known)),
        Ok(_) | Err(_) => Err(WireError::Number(*number)),
    };
    let descriptors = descriptors.into_iter().zip(numbers).map(place).collect::<Result<_, _>>()?;
    Ok((inherited(&handover.inherited), descriptors))
}

/// What a shell has set, without what its sandbox has.
///
/// Granting it to a hostile asker is harmless: everything in it makes the program less able.
fn inherited(attributes: &InheritedAttributes) -> Inherited {
    // The sandbox's own: a limit of processes that would count those outside too, and one that stands for no core
    // files.
    const NPROC: usize = libc::RLIMIT_NPROC as usize;
    const CORE: usize = libc::RLIMIT_CORE as usize;
    let limits = attributes.limits.iter().enumerate().filter(|(number, limit)| match *number {
        NPROC => false,
        CORE => limit.soft == 0,
        _ => true,
    });
    Inherited {
        umask: Some(attributes.umask),
        niceness: Some(attributes.niceness),
        ignored: attributes.ignored,
        blocked: attributes.blocked,
        limits: limits
            .filter_map(|(number, limit)| Some((u8::try_from(number).ok()?, limit.soft, limit.hard)))
            .collect(),
        terminal: false,
    }
}

fn receive_header(stream: impl AsFd) -> io::Result<([u8; HEADER_BYTES], Vec<OwnedFd>)> {
    let mut header = [0; HEADER_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let message = socket::receive(stream, &mut header, &mut space)?;
    // The wrapper sends the header in one piece; whoever does not is no wrapper of ours.
    if message.length != HEADER_BYTES || message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((header, message.descriptors))
}
