//! What there is to be asked for, and what is checked before: the host, then who asks, then the message's size.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::approvals;
use super::endpoint::MAX_BODY;
use super::listener::Peer;
use super::metrics::{CONTENT_TYPE, Now};
use super::principal::{Principal, Scope};
use super::requests;
use super::site::Site;
use super::tenants::Tenant;

/// How long a message may take to come.
const BODY: Duration = Duration::from_secs(30);

/// How long a client may leave lie what it is sent.
const TAKING: Duration = Duration::from_secs(60);

/// Parts of an answer that lie ready for a client that is slow to take them.
const READY: usize = 4;

/// How long a server that leaves keeps what it refuses: a balancer that hashes sends it here again at once, until it has
/// seen that the server is not ready.
const HELD: Duration = Duration::from_millis(500);

/// How many seconds later a client may ask again, another server most likely.
const RETRY_AFTER: &str = "1";

/// All that can be asked for.
pub(super) fn router(site: Arc<Site>) -> Router {
    let checked = Router::new()
        .route("/mcp", any(mcp))
        .route("/mcp/{secret}", any(mcp_by_secret))
        .route("/.well-known/oauth-protected-resource", get(metadata))
        .route("/.well-known/oauth-protected-resource/mcp", get(metadata))
        .route("/approve", get(approvals::page))
        .route("/approve/events", get(approvals::events))
        .route("/approve/answers", post(approvals::answers))
        .route("/approve/{secret}", get(approvals::page))
        .route("/approve/{secret}/events", get(approvals::events))
        .route("/approve/{secret}/answers", post(approvals::answers))
        .route("/metrics", get(metrics))
        .layer(from_fn_with_state(Arc::clone(&site), check_host));
    // Whoever looks after the server asks these by whatever name; they say nothing else.
    let life = Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready));
    let named = from_fn_with_state(Arc::clone(&site), requests::attend);
    checked.merge(life).layer(named).with_state(site)
}

async fn check_host(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    match site.hosts.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(foreign) => {
            tracing::warn!(%foreign, "a request was refused");
            (StatusCode::FORBIDDEN, format!("{foreign}\n")).into_response()
        }
    }
}

async fn ready(State(site): State<Arc<Site>>) -> Response {
    if site.life.is_leaving() {
        (StatusCode::SERVICE_UNAVAILABLE, "the server is leaving\n").into_response()
    } else {
        "ready\n".into_response()
    }
}

async fn metadata(State(site): State<Arc<Site>>) -> Response {
    match &site.metadata {
        Some(metadata) => {
            ([(header::CONTENT_TYPE, "application/json")], metadata.to_string()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What the server has counted. Nothing in it is anybody's, so that whoever can ask a server that knows nobody may; where
/// clients say who they are, this is for who looks after the server.
async fn metrics(State(site): State<Arc<Site>>, request: Request) -> Response {
    if site.gate.knows_people() {
        let peer = request.extensions().get::<Peer>().copied();
        let entered = site.gate.enter(peer, None, request.headers()).await;
        let allowed = entered.and_then(|principal| site.gate.require(&principal, Scope::Admin));
        if let Err(refusal) = allowed {
            return refusal.into_response();
        }
    }
    let now = Now { connections: site.connections.len(), ..site.tenants.now().await };
    match site.metrics.text(now) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn mcp(State(site): State<Arc<Site>>, request: Request) -> Response {
    enter(&site, None, request).await
}

async fn mcp_by_secret(
    State(site): State<Arc<Site>>,
    Path(secret): Path<String>,
    request: Request,
) -> Response {
    enter(&site, Some(&secret), request).await
}

/// Finds out who asks, and lets him in.
async fn enter(site: &Site, secret: Option<&str>, request: Request) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let principal = match site.gate.enter(peer, secret, request.headers()).await {
        Ok(principal) => principal,
        Err(refusal) => return refusal.into_response(),
    };
    let mut response = enter_as(site, &principal, request).await;
    response.extensions_mut().insert(principal.identity);
    response
}

/// Lets somebody in who may run commands.
async fn enter_as(site: &Site, principal: &Principal, request: Request) -> Response {
    if let Err(refusal) = site.gate.require(principal, Scope::Run) {
        return refusal.into_response();
    }
    if site.life.is_leaving() && !site.tenants.has(&principal.identity) {
        return leaving(request.version()).await;
    }
    match site.tenants.of(&principal.identity).await {
        Ok(tenant) => answer(site, &tenant, request).await,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, principal = %principal.identity, "not served");
            let text = format!("{error}\n");
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], text).into_response()
        }
    }
}

/// Answers a request of somebody who may ask.
async fn answer(site: &Site, tenant: &Tenant, request: Request) -> Response {
    let Ok(place) = Arc::clone(&tenant.requests).try_acquire_owned() else {
        let text = "too many of your requests are being answered; ask again later\n";
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, RETRY_AFTER)], text).into_response();
    };
    // Streams that wait for whatever may come are no requests that must be answered.
    let answering = (request.method() == Method::POST).then(|| site.life.answering());
    let version = request.version();
    let (head, body) = request.into_parts();
    let body = match whole(body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    if site.life.is_leaving() && begins_something(&body) {
        return leaving(version).await;
    }
    let response = tenant.endpoint.answer(Request::from_parts(head, Full::new(body))).await;
    response.map(|body| flowing(body, (answering, place)))
}

/// Reads a message that comes in time, and is not too long.
async fn whole(body: Body) -> Result<Bytes, Response> {
    let late = |_| (StatusCode::REQUEST_TIMEOUT, "the message takes too long to come\n").into_response();
    let collected = tokio::time::timeout(BODY, Limited::new(body, MAX_BODY).collect()).await.map_err(late)?;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            let text = format!("a message may have {MAX_BODY} bytes\n");
            return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
        }
        (StatusCode::BAD_REQUEST, "the message did not come whole\n").into_response()
    })
}

/// Whether a message would begin what a server that leaves must not begin: a call, or a session. Answers, and requests
/// that go on with a call, are welcome.
fn begins_something(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Message {
        id: Option<IgnoredAny>,
        method: Option<String>,
        params: Option<Parameters>,
    }
    #[derive(Deserialize)]
    struct Parameters {
        #[serde(rename = "requestState")]
        state: Option<IgnoredAny>,
    }
    let Ok(message) = serde_json::from_slice::<Message>(body) else { return true };
    let goes_on = message.params.is_some_and(|parameters| parameters.state.is_some());
    message.id.is_some() && message.method.is_some_and(|method| method != "ping") && !goes_on
}

/// The request has not begun, and a balancer may send it to another server.
async fn leaving(version: Version) -> Response {
    tokio::time::sleep(HELD).await;
    let text = "the server is leaving; the request has not begun, send it to another one\n";
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    if version <= Version::HTTP_11 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Passes an answer on as it is taken. A client that does not take it loses the stream, and nobody waits for it.
fn flowing(mut body: Body, held: impl Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(READY);
    tokio::spawn(async move {
        let _held = held;
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = sender.closed() => return,
            };
            let Some(frame) = frame else { return };
            if !matches!(tokio::time::timeout(TAKING, sender.send(frame)).await, Ok(Ok(()))) {
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

    #[test]
    fn what_begins_something_is_known_from_what_goes_on() {
        for (message, begins) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shell"}}"#, true),
            (r#"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{}}"#, true),
            ("not JSON", true),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"requestState":"x"}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}"#, false),
            (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, false),
        ] {
            assert_eq!(begins_something(message.as_bytes()), begins, "{message}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_given_up() {
        let life = Life::default();
        let (sender, receiver) = mpsc::channel::<Result<_, axum::Error>>(1);
        let body = Body::new(StreamBody::new(ReceiverStream::new(receiver)));
        let _flowing = flowing(body, life.answering());
        let frame = || hyper::body::Frame::data(Bytes::from_static(b"x"));
        while sender.send(Ok(frame())).await.is_ok() {}
        life.all_answered().await;
    }
}
