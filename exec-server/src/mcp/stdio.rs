//! Standard input and output as non-blocking streams, whatever they are.
//!
//! Pipes (Rust and Python hosts) and sockets (Node hosts) are read and written by the runtime itself; only terminals and
//! files go through helper threads. With one thread, messages are handled in the order in which they came.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use rmcp::transport::io::stdio_pipes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

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
