//! Answers that flow to clients as fast as these take them.

use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::room::{Room, Taken};

/// How long a client may leave lie what it is sent.
pub(super) const TAKING: Duration = Duration::from_secs(60);

/// Parts of an answer that lie ready for a client that is slow to take them.
const READY: usize = 4;

#[derive(Debug, thiserror::Error)]
#[error("too much lies ready for this client")]
struct GivenUp;

/// Passes an answer on as it is taken. A client that does not take it loses the stream, and nobody waits for it; so does one
/// that has too much of others lie, for which there is no `room` then.
pub(super) fn flowing(mut body: Body, room: Room, held: impl Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(READY);
    tokio::spawn(async move {
        let (_held, mut taken) = (held, Taken::default());
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = sender.closed() => return,
            };
            let Some(frame) = frame else { return };
            let length = frame.as_ref().ok().and_then(|frame| frame.data_ref()).map_or(0, Bytes::len);
            let frame = if room.cover(&mut taken, length) {
                frame
            } else {
                tracing::warn!("a principal does not take the answers that there are; one was given up");
                // So that what has come of it is not taken for the whole.
                Err(axum::Error::new(GivenUp))
            };
            let is_last = frame.is_err();
            if !matches!(tokio::time::timeout(TAKING, sender.send(frame)).await, Ok(Ok(()))) || is_last {
                return;
            }
        }
    });
    Body::new(StreamBody::new(ReceiverStream::new(receiver)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::life::Life;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_given_up() {
        let life = Life::default();
        let (sender, receiver) = mpsc::channel::<Result<_, axum::Error>>(1);
        let body = Body::new(StreamBody::new(ReceiverStream::new(receiver)));
        let _flowing = flowing(body, Room::new(), life.answering());
        let frame = || hyper::body::Frame::data(Bytes::from_static(b"x"));
        while sender.send(Ok(frame())).await.is_ok() {}
        life.all_answered().await;
    }
}
