//! Connections: HTTP/1.1 and 2, with bounds on all that a stranger could stretch.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::crowd::{Crowd, Present};
use super::listener::{Listener, Peer, Stream};
use super::stalled::Stalled;

/// How long the head of a request may take, and how long a connection is kept that has none.
const HEAD: Duration = Duration::from_secs(30);

/// The longest head, in bytes: the longest token, and room for what proxies add.
const HEAD_BYTES: usize = 32 << 10;

/// The most lines of a head.
const HEAD_LINES: usize = 100;

/// Requests at a time on one connection of HTTP/2.
const STREAMS: u32 = 128;

/// How often a silent client of HTTP/2 is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);

/// How long to wait when the system gives no descriptor for a connection.
const NO_DESCRIPTOR: Duration = Duration::from_millis(50);

/// How long to wait for a connection to make room before another one has to.
const NO_PLACE: Duration = Duration::from_millis(100);

/// Serves all connections, at most so many at a time, until the future is dropped. With `stop` each ends as soon as its
/// requests are answered.
pub(super) async fn accept_all(
    listener: Listener,
    router: Router,
    most: usize,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    let (builder, crowd) = (builder(), Crowd::default());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Who comes after this one waits in the system's queue.
                let Ok(place) = place(&places, &crowd).await else { return };
                let present = crowd.come(peer);
                let serving = serve(builder.clone(), stream, (peer, present), router.clone(), stop.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(NO_DESCRIPTOR).await;
            }
        }
    }
}

/// Waits for a place, and has others make room.
async fn place(places: &Arc<Semaphore>, crowd: &Crowd) -> Result<OwnedSemaphorePermit, AcquireError> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Ok(place);
    }
    loop {
        crowd.make_room();
        tokio::select! {
            place = Arc::clone(places).acquire_owned() => return place,
            () = tokio::time::sleep(NO_PLACE) => {}
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEAD_LINES)
        .max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}

async fn serve(
    builder: Builder<TokioExecutor>,
    stream: Box<dyn Stream>,
    (peer, present): (Peer, Present),
    router: Router,
    stop: CancellationToken,
) {
    let present = Arc::new(present);
    let here = Arc::clone(&present);
    let service = router.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(here.asking());
        request
    });
    let stream = TokioIo::new(Stalled::new(stream));
    let mut connection = std::pin::pin!(builder.serve_connection(stream, TowerToHyperService::new(service)));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        // What was asked on it is a stranger's.
        () = present.leave.cancelled() => return,
        () = present.is_strangers() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection.as_mut() => served,
                () = present.leave.cancelled() => return,
            }
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        // Clients leave as they like, and strangers say what they like.
        tracing::debug!(error = %Causes(&*error), "a connection broke");
    }
}

/// An error and what caused it, in one line.
struct Causes<'e>(&'e (dyn std::error::Error + 'static));

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut error = self.0;
        write!(formatter, "{error}")?;
        while let Some(cause) = error.source() {
            write!(formatter, ": {cause}")?;
            error = cause;
        }
        Ok(())
    }
}
