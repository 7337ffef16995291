//! `forge-connections COUNT FILE ARG… <&SOCKET`: speaks the wrapper's part of the escalation protocol as it must not be
//! spoken.
//!
//! Its standard input is the socket that the shell has from the server. None of the connections asks rightly for FILE
//! to be run outside, so it must not run. Prints how many connections the server let in that far that it answered.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use escalation_protocol::frame::{Header, Kind, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES};
use escalation_protocol::handover::{Handover, MAX_HANDOVER};
use escalation_protocol::hello::Hello;
use escalation_protocol::inherited::InheritedAttributes;
use escalation_protocol::request::{ExecRequest, encode_counts};
use escalation_protocol::response::Response;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// A server that answers takes milliseconds; one that waits for more must not keep the forger for ever.
const PATIENCE: Duration = Duration::from_millis(20);

/// Ways to speak wrongly.
const WAYS: usize = 16;

type Failed = Box<dyn std::error::Error>;

struct Forger {
    socket: OwnedFd,
    request: Vec<u8>,
    /// Streams on which the server waits for more.
    held: Vec<UnixStream>,
}

fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args_os().skip(1);
    let count = arguments.next().ok_or("no count")?.to_str().ok_or("not a number")?.parse::<usize>()?;
    let argv: Vec<_> = arguments.collect();
    let argv: Vec<&[u8]> = argv.iter().map(|argument| argument.as_bytes()).collect();
    let file = argv.first().ok_or("no file")?;
    let request = ExecRequest::encode(file, &argv, &[b"PATH=/usr/bin:/bin"]).ok_or("a NUL byte")?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    let mut forger = Forger { socket, request, held: Vec::new() };
    let answered = (0..count).filter(|way| forger.forge(way % WAYS).unwrap_or(false)).count();
    Ok(std::io::stdout().write_all(format!("{answered} answered\n").as_bytes())?)
}

impl Forger {
    /// Makes one connection; returns whether the server has said anything.
    fn forge(&mut self, way: usize) -> Result<bool, Failed> {
        let hello = Hello { has_directory: false, has_file: false, has_input: false };
        let (mut ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        ours.set_write_timeout(Some(PATIENCE))?;
        let null = std::fs::File::open("/dev/null")?;
        let length = u32::try_from(self.request.len())?;
        let header = Header { kind: Kind::Request, length }.encode();
        match way {
            0 => self.say(b"junk", &[])?,
            1 => self.say(hello.encode().get(..1).unwrap_or_default(), &[theirs.as_fd()])?,
            2 => self.say(
                &Hello { has_directory: true, has_file: true, has_input: true }.encode(),
                &[theirs.as_fd()],
            )?,
            3 => self.say(&hello.encode(), &[null.as_fd()])?,
            4 => self.say(&hello.encode(), &[theirs.as_fd(), null.as_fd()])?,
            5 => {
                self.say(&hello.encode(), &[theirs.as_fd()])?;
                drop(ours);
                return Ok(false);
            }
            6 => {
                self.say(&hello.encode(), &[theirs.as_fd()])?;
                let mut claim = header;
                claim.get_mut(4..).ok_or("short")?.copy_from_slice(&(MAX_REQUEST_BYTES + 1).to_le_bytes());
                ours.write_all(&claim)?;
            }
            7 => {
                self.say(&hello.encode(), &[theirs.as_fd()])?;
                ours.write_all(&Header { kind: Kind::Request, length: MAX_REQUEST_BYTES }.encode())?;
                ours.write_all(b"and then nothing")?;
                self.held.push(ours);
                return Ok(false);
            }
            8 => {
                self.say(&hello.encode(), &[theirs.as_fd()])?;
                ours.write_all(&Header { kind: Kind::Request, length: 16 }.encode())?;
                ours.write_all(&encode_counts(u32::MAX, u32::MAX))?;
                ours.write_all(b"1234567\0")?;
            }
            9 => {
                self.say(&hello.encode(), &[theirs.as_fd()])?;
                hand_over(&ours, &[0, 1, 2], &[null.as_fd(); 3])?;
            }
            10 => {
                self.say(&hello.encode(), &[theirs.as_fd()])?;
                ours.write_all(&Header { kind: Kind::Signal, length: 1 }.encode())?;
                ours.write_all(&[9])?;
            }
            11 => {
                // The same request twice: the second is where an answer is waited for.
                self.say(&hello.encode(), &[theirs.as_fd()])?;
                for _ in 0..2 {
                    ours.write_all(&header)?;
                    ours.write_all(&self.request)?;
                }
            }
            12 => {
                // Truncated.
                self.say(&hello.encode(), &[theirs.as_fd()])?;
                ours.write_all(&header)?;
                ours.write_all(self.request.get(..self.request.len() / 2).unwrap_or_default())?;
                ours.shutdown(std::net::Shutdown::Write)?;
            }
            13 => {
                // The server's own answer, from another connection or made up, and then as if it had been given here.
                self.say(&hello.encode(), &[theirs.as_fd()])?;
                let mut space = [0; MAX_RESPONSE_BYTES as usize];
                let answer = Response::Escalate.encode(&mut space);
                let length = u32::try_from(answer.len())?;
                ours.write_all(&Header { kind: Kind::Response, length }.encode())?;
                ours.write_all(answer)?;
                hand_over(&ours, &[0, 1, 2], &[null.as_fd(); 3])?;
            }
            14 => {
                // Asked, answered, and the answer said back, as if it were somebody's leave.
                self.say(&hello.encode(), &[theirs.as_fd()])?;
                ours.write_all(&header)?;
                ours.write_all(&self.request)?;
                let mut answer = [0; 4096];
                let length = ours.read(&mut answer)?;
                ours.write_all(answer.get(..length).unwrap_or_default())?;
                hand_over(&ours, &[0, 1, 2], &[null.as_fd(); 3])?;
                return Ok(length > 0);
            }
            _ => {
                // All as it should be, but nobody has seen the file or the directory; then impossible descriptors.
                self.say(&hello.encode(), &[theirs.as_fd()])?;
                ours.write_all(&header)?;
                ours.write_all(&self.request)?;
                let answered = ours.read(&mut [0; 64]).is_ok_and(|length| length > 0);
                let _ = hand_over(&ours, &[0, 4_000_000_000, 1], &[null.as_fd(); 2]);
                return Ok(answered);
            }
        }
        drop(theirs);
        Ok(ours.read(&mut [0; 64]).is_ok_and(|length| length > 0))
    }

    fn say(&self, hello: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Failed> {
        send(self.socket.as_fd(), hello, descriptors)
    }
}

fn hand_over(stream: &UnixStream, numbers: &[u32], descriptors: &[BorrowedFd<'_>]) -> Result<(), Failed> {
    let mut handover = Handover::new(InheritedAttributes::PLAIN);
    for number in numbers {
        let _ = handover.push(*number);
    }
    let mut buffer = [0; MAX_HANDOVER];
    let body = handover.encode(&mut buffer);
    let header = Header { kind: Kind::Handover, length: u32::try_from(body.len())? }.encode();
    send(stream.as_fd(), &header, descriptors)?;
    send(stream.as_fd(), body, &[])
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Failed> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err("too many descriptors".into());
    }
    // No signal comes of it where nobody reads: Rust ignores that one in its programs.
    sendmsg(socket, &[std::io::IoSlice::new(bytes)], &mut control, SendFlags::empty())?;
    Ok(())
}
