//! Standard input and output as non-blocking streams, whatever they are.
//!
//! Pipes (Rust and Python hosts) and sockets (Node hosts) are read and written by the runtime itself; only terminals
//! and files go through helper threads. With one thread, messages are handled in the order in which they came.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use rmcp::transport::io::stdio_pipes;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FileType;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::UnixStream;

use crate::sys::watch_broken;

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Opens both. Must be called within the runtime.
pub(super) fn open() -> (Reader, Writer) {
    match (socket(std::io::stdin()), socket(std::io::stdout())) {
        (Some(input), Some(output)) => (Box::new(input), Box::new(output)),
        _ => {
            let (input, output) = stdio_pipes();
            (Box::new(input), Box::new(output))
        }
    }
}

/// Whether standard output leads nowhere: where it was closed when the program started, there is the null device now.
pub(super) fn leads_nowhere() -> bool {
    let device = |file: &dyn AsFd| {
        let status = rustix::fs::fstat(file.as_fd()).ok()?;
        (FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice).then_some(status.st_rdev)
    };
    let null = std::fs::File::open("/dev/null").ok().and_then(|file| device(&file));
    null.is_some() && device(&std::io::stdout()) == null
}

/// Completes when nobody reads standard output any more, if the system tells.
pub(super) async fn nobody_reads() {
    if !is_broken().await {
        std::future::pending::<()>().await;
    }
}

async fn is_broken() -> bool {
    let stdout = std::io::stdout();
    let Ok(status) = rustix::fs::fstat(&stdout) else { return false };
    // Of the rest only terminals have another end, and what is typed there is not for us.
    if !matches!(FileType::from_raw_mode(status.st_mode), FileType::Fifo | FileType::Socket) {
        return false;
    }
    let Ok(watched) = stdout.as_fd().try_clone_to_owned().and_then(watch_broken) else { return false };
    let Ok(_ready) = watched.ready(Interest::READABLE | Interest::ERROR).await else { return false };
    // A host that has only said that it sends nothing here may still read.
    let mut polled = [PollFd::new(&watched, PollFlags::empty())];
    let polled = rustix::event::poll(&mut polled, Some(&Timespec::default())).map(|_| polled[0].revents());
    polled.is_ok_and(|told| told.intersects(PollFlags::HUP | PollFlags::ERR))
}

/// The descriptor as a stream socket, if it is one. Its open file description becomes non-blocking for everybody who
/// shares it, so children never inherit it: they get their own standard streams.
fn socket(stream: impl AsFd) -> Option<UnixStream> {
    let owned = stream.as_fd().try_clone_to_owned().ok()?;
    if rustix::net::sockopt::socket_type(&owned).ok()? != rustix::net::SocketType::STREAM {
        return None;
    }
    let socket = StdUnixStream::from(owned);
    socket.set_nonblocking(true).ok()?;
    UnixStream::from_std(socket).ok()
}
