//! The bytes of one connection, both ways, until both sides have said their last.
//!
//! What the program says is read as long as it can name a host; the rest is passed on unread. An end is passed on as an end of
//! that direction alone; a reset, as a reset.
//!
//! The rest is copied through one piece of memory, which stays in the processor's cache. Moving it through a pipe (splice(2))
//! takes half as long again: the pages go from processor to processor, each of which finds them cold.

use crate::hello::{Hearing, Inspector, Step};
use crate::judge::Failure;
use rustix::net::{RecvFlags, recv};
use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes that are read at once where they are looked at.
const PIECE: usize = 16 << 10;
/// Bytes that are passed on at once where they are not: as many as the link into a sandbox takes in few packets, and as
/// stay in a processor's cache.
const MOST_PASSED: usize = 256 << 10;

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
    let heard = Mutex::new(Hearing::default());
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
    heard: &Mutex<Hearing>,
    count: &AtomicU64,
) -> Result<bool, Broken> {
    // So much of it has gone out although it is not understood yet.
    let mut gone = 0;
    let mut piece = vec![0; PIECE];
    let mut has_ended = false;
    loop {
        if has_ended {
            if !inspector.may_end(&held) {
                return Err(Broken::Forbidden(Failure::Unreadable("a beginning without an end")));
            }
            send(server, held.get(gone..).unwrap_or_default(), count).await?;
            finish(server);
            return Ok(false);
        }
        loop {
            let server_says = lock(heard).says();
            let step = inspector.inspect(&held, server_says).map_err(Broken::Forbidden)?;
            if !held.is_empty() {
                lock(heard).program_is(inspector.read_as());
            }
            match step {
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
        if inspector.is_harmless_so_far(&held) {
            send(server, held.get(gone..).unwrap_or_default(), count).await?;
            gone = held.len();
        }
        let length = receive(program, &mut piece).await?;
        held.extend_from_slice(piece.get(..length).unwrap_or_default());
        has_ended = length == 0;
    }
}

fn lock(heard: &Mutex<Hearing>) -> MutexGuard<'_, Hearing> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on what the server says as long as it matters what it answers; false at its last word.
async fn listen(
    server: &TcpStream,
    program: &TcpStream,
    heard: &Mutex<Hearing>,
    count: &AtomicU64,
) -> Result<bool, Broken> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = receive(server, &mut piece).await?;
        if length == 0 {
            finish(program);
            return Ok(false);
        }
        let words = piece.get(..length).unwrap_or_default();
        lock(heard).hear(words).map_err(Broken::Forbidden)?;
        // The program hears it only now, so what it says next is read as an answer.
        send(program, words, count).await?;
        if lock(heard).is_enough() {
            return Ok(true);
        }
    }
}

/// Passes on everything, unread.
async fn pass(from: &TcpStream, to: &TcpStream, count: &AtomicU64) -> Result<(), Broken> {
    let mut at_once = PIECE;
    loop {
        match PASSING
            .with_borrow_mut(|piece| pass_piece(from, to, piece.get_mut(..at_once).unwrap_or_default()))?
        {
            Passed::Bytes(length) => {
                count.fetch_add(u64::try_from(length).unwrap_or_default(), Ordering::Relaxed);
                // What cannot go on is copied in vain: not much more than what could the last time.
                at_once = (2 * length).clamp(PIECE, MOST_PASSED);
                if length >= PIECE {
                    // Whoever has much to say lets the others speak, too.
                    tokio::task::yield_now().await;
                }
            }
            Passed::NothingThere => from.readable().await?,
            Passed::NoRoom => to.writable().await?,
            Passed::Last => {
                finish(to);
                return Ok(());
            }
        }
    }
}

/// What of a connection's bytes could be passed on.
enum Passed {
    Bytes(usize),
    NothingThere,
    NoRoom,
    /// There is no more.
    Last,
}

thread_local! {
    /// One for all connections of the thread: bytes that cannot go on stay in their socket.
    static PASSING: RefCell<Vec<u8>> = RefCell::new(vec![0; MOST_PASSED]);
}

/// Passes on what is there, as far as there is room for it, and takes no more than that out of its socket.
fn pass_piece(from: &TcpStream, to: &TcpStream, piece: &mut [u8]) -> io::Result<Passed> {
    let there = from.try_io(Interest::READABLE, || Ok(recv(from, &mut *piece, RecvFlags::PEEK)?.0));
    let there = match there {
        Ok(0) => return Ok(Passed::Last),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Passed::NothingThere),
        other => other?,
    };
    let passed = match to.try_write(piece.get(..there).unwrap_or_default()) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Passed::NoRoom),
        other => other?,
    };
    let mut left = passed;
    while left > 0 {
        // Linux copies nothing of it (tcp(7), MSG_TRUNC).
        let (_, taken) = recv(from, piece.get_mut(..left).unwrap_or_default(), RecvFlags::TRUNC)?;
        left = left.checked_sub(taken).filter(|_| taken > 0).ok_or(io::ErrorKind::InvalidData)?;
    }
    Ok(Passed::Bytes(passed))
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
