//! The bytes of one connection, both ways, until both sides have said their last.
//!
//! What the program says is read as long as it can name a host; the rest goes through a pipe, in the kernel. An end is passed
//! on as an end of that direction alone; a reset, as a reset.

use crate::hello::{FirstWords, Inspector, ServerSays, Step};
use crate::judge::Failure;
use crate::sys::Pipe;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes that are read at once where they are looked at.
const PIECE: usize = 16 << 10;

/// How many bytes went either way.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
}

/// Why an exchange did not end in order.
#[derive(Debug)]
pub(crate) enum Broken {
    /// One side was reset or is gone; so shall be the other.
    Reset,
    /// What the program said is not to go out.
    Forbidden(Failure),
}

/// Passes on what either side says, and first what the program has `said` already. When it returns an error, both connections
/// are to be reset.
pub(crate) async fn exchange(
    program: &TcpStream,
    server: &TcpStream,
    said: Vec<u8>,
    inspector: Option<Inspector>,
    counts: &Counts,
) -> Result<(), Broken> {
    let is_read = inspector.is_some();
    let heard = Mutex::new(ServerSays::Nothing);
    let up = async {
        match inspector {
            Some(inspector) => {
                if !read_along(program, server, said, inspector, &heard, &counts.sent).await? {
                    return Ok(());
                }
            }
            None => send(server, &said, &counts.sent).await?,
        }
        pass(program, server, &counts.sent).await
    };
    let down = async {
        if is_read && !listen(server, program, &heard, &counts.received).await? {
            return Ok(());
        }
        pass(server, program, &counts.received).await
    };
    tokio::try_join!(up, down).map(|_| ())
}

/// Passes on what may go out until nothing can name a host any more; false at the program's last word.
async fn read_along(
    program: &TcpStream,
    server: &TcpStream,
    mut held: Vec<u8>,
    mut inspector: Inspector,
    heard: &Mutex<ServerSays>,
    count: &AtomicU64,
) -> Result<bool, Broken> {
    // So much of it has gone out although it is not understood yet.
    let mut gone = 0;
    let mut piece = vec![0; PIECE];
    let mut has_ended = false;
    loop {
        if has_ended {
            if inspector.may_end() {
                send(server, held.get(gone..).unwrap_or_default(), count).await?;
            } else if !held.is_empty() {
                return Err(Broken::Forbidden(Failure::Unreadable("a beginning without an end")));
            }
            finish(server);
            return Ok(false);
        }
        loop {
            let server_says = *heard.lock().unwrap_or_else(PoisonError::into_inner);
            match inspector.inspect(&held, server_says).map_err(Broken::Forbidden)? {
                Step::Hold => break,
                Step::Forward(length) => {
                    send(server, held.get(gone.min(length)..length).unwrap_or_default(), count).await?;
                    held.drain(..length);
                    gone = gone.saturating_sub(length);
                }
                Step::Through => {
                    send(server, held.get(gone..).unwrap_or_default(), count).await?;
                    return Ok(true);
                }
            }
        }
        if inspector.is_harmless_so_far() {
            send(server, held.get(gone..).unwrap_or_default(), count).await?;
            gone = held.len();
        }
        let length = receive(program, &mut piece).await?;
        held.extend_from_slice(piece.get(..length).unwrap_or_default());
        has_ended = length == 0;
    }
}

/// Passes on what the server says until its first words are clear; false at its last word.
async fn listen(
    server: &TcpStream,
    program: &TcpStream,
    said: &Mutex<ServerSays>,
    count: &AtomicU64,
) -> Result<bool, Broken> {
    let mut words = FirstWords::default();
    let mut piece = vec![0; PIECE];
    loop {
        let length = receive(server, &mut piece).await?;
        if length == 0 {
            finish(program);
            return Ok(false);
        }
        let heard = piece.get(..length).unwrap_or_default();
        let meaning = words.hear(heard);
        *said.lock().unwrap_or_else(PoisonError::into_inner) = meaning;
        // The program hears it only now, so what it says next is read as an answer.
        send(program, heard, count).await?;
        if meaning != ServerSays::Nothing {
            return Ok(true);
        }
    }
}

/// Passes on everything, unread.
async fn pass(from: &TcpStream, to: &TcpStream, count: &AtomicU64) -> Result<(), Broken> {
    loop {
        from.readable().await?;
        let mut pipe = Pipe::take()?;
        loop {
            match from.try_io(Interest::READABLE, || pipe.fill(from)) {
                Ok(0) => {
                    pipe.give_back();
                    finish(to);
                    return Ok(());
                }
                Ok(length) => {
                    count.fetch_add(u64::try_from(length).unwrap_or_default(), Ordering::Relaxed);
                    empty(&mut pipe, to).await?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        // Who is silent holds no pipe.
        pipe.give_back();
    }
}

async fn empty(pipe: &mut Pipe, to: &TcpStream) -> io::Result<()> {
    loop {
        match to.try_io(Interest::WRITABLE, || pipe.drain(to)) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
}

pub(crate) async fn receive(from: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match from.try_read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

async fn send(to: &TcpStream, bytes: &[u8], count: &AtomicU64) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        to.writable().await?;
        match to.try_write(rest) {
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    count.fetch_add(u64::try_from(bytes.len()).unwrap_or_default(), Ordering::Relaxed);
    Ok(())
}

/// Says something that is counted nowhere.
pub(crate) async fn send_all(to: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    send(to, bytes, &AtomicU64::new(0)).await
}

/// Says that nothing more comes. The other side may have more to say all the same.
fn finish(to: &TcpStream) {
    // It may be gone already, which reading from it tells.
    let _ = rustix::net::shutdown(to, rustix::net::Shutdown::Write);
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Broken {
        Broken::Reset
    }
}

/// Has a connection end with a reset when it is dropped, whatever has not been read or sent.
pub(crate) fn reset(stream: &TcpStream) {
    // What cannot be reset is closed, which tells less.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(std::time::Duration::ZERO));
}
