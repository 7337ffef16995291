//! The name server's sockets, which are inside while it is outside.

use super::answer::answer;
use crate::range::Names;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

/// A question over UDP: a name has 255 bytes at most, and options are few (RFC 6891, section 6.2.5).
const LONGEST_DATAGRAM: usize = 4096;
/// Streams that are open at once, and how long one may be silent (RFC 7766, section 6.2.3).
const MOST_STREAMS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers datagrams until the socket breaks.
pub(crate) async fn serve_datagrams(socket: UdpSocket, names: Arc<Names>) -> io::Result<()> {
    let mut buffer = vec![0; LONGEST_DATAGRAM];
    loop {
        // Whoever asked may be gone, and then its port says so here.
        let Ok((length, asker)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if let Some(answered) = buffer.get(..length).and_then(|question| answer(question, &names)) {
            // Not awaited: who does not read its answers gets none.
            let _ = socket.try_send_to(&answered, asker);
        }
    }
}

/// Answers over streams.
pub(crate) async fn serve_streams(listener: TcpListener, names: Arc<Names>) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(MOST_STREAMS));
    loop {
        let Ok(room) = Arc::clone(&room).acquire_owned().await else { return Ok(()) };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let names = Arc::clone(&names);
        tokio::spawn(async move {
            // Whatever goes wrong ends this stream alone.
            let _ = converse(stream, &names).await;
            drop(room);
        });
    }
}

async fn converse(mut stream: TcpStream, names: &Names) -> io::Result<()> {
    loop {
        let question = tokio::time::timeout(PATIENCE, async {
            let length = stream.read_u16().await?;
            let mut question = vec![0; length.into()];
            stream.read_exact(&mut question).await?;
            io::Result::Ok(question)
        });
        let Some(answered) = answer(&question.await??, names) else { return Ok(()) };
        let Ok(length) = u16::try_from(answered.len()) else { return Ok(()) };
        let framed = [&length.to_be_bytes(), answered.as_slice()].concat();
        tokio::time::timeout(PATIENCE, stream.write_all(&framed)).await??;
    }
}
