//! A connection that is given up when its other end does nothing: it says too little at first, or does not take what it
//! is sent. What waits in between is HTTP's business: idle clients are good ones.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The protocol is told by so many bytes: HTTP/2's preface.
const TELLING: usize = 24;

/// How long the first bytes may take.
const FIRST_BYTES: Duration = Duration::from_secs(15);

/// How long nothing of what was sent may be taken.
const TAKING: Duration = Duration::from_secs(60);

/// A connection with these bounds.
pub(super) struct Stalled<S> {
    stream: S,
    read: usize,
    first: Pin<Box<Sleep>>,
    taking: Option<Pin<Box<Sleep>>>,
}

impl<S> Stalled<S> {
    /// One that has just begun.
    pub(super) fn new(stream: S) -> Stalled<S> {
        Stalled { stream, read: 0, first: Box::pin(sleep_until(Instant::now() + FIRST_BYTES)), taking: None }
    }

    /// What came of sending; it may not take for ever.
    fn taken<T>(&mut self, context: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.taking = None;
            return sent;
        }
        let taking = self.taking.get_or_insert_with(|| Box::pin(sleep(TAKING)));
        ready!(taking.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.read = self.read.saturating_add(buffer.filled().len() - before);
        if read.is_pending() && self.read < TELLING && self.first.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client says nothing")));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.taken(context, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.taken(context, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.stream).poll_flush(context);
        self.taken(context, sent)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.stream).poll_shutdown(context);
        self.taken(context, sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn who_says_too_little_at_first_is_given_up() {
        for said in ["", "P", "PRI * HTTP/2.0"] {
            let (mut client, server) = tokio::io::duplex(64);
            client.write_all(said.as_bytes()).await.unwrap();
            let mut text = Vec::new();
            let error = Stalled::new(server).read_to_end(&mut text).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_something_may_be_silent() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(&[b'x'; TELLING]).await.unwrap();
        let mut server = Stalled::new(server);
        server.read_exact(&mut [0; TELLING]).await.unwrap();
        let silent = tokio::time::timeout(FIRST_BYTES * 10, server.read_u8()).await;
        assert!(silent.is_err(), "it waits");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_what_is_sent_is_given_up_and_who_takes_a_little_is_not() {
        let (mut client, server) = tokio::io::duplex(8);
        let mut server = Stalled::new(server);
        let slow = tokio::spawn(async move {
            for _ in 0..8 {
                sleep(TAKING / 2).await;
                client.read_exact(&mut [0; 8]).await.unwrap();
            }
            client
        });
        server.write_all(&[0; 64]).await.unwrap();
        let _client = slow.await.unwrap();
        let error = server.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
