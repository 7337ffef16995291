//! Questions over HTTP: the page `/approve`, the stream of what is open, and answers to it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::principal::{Principal, Scope};
use super::site::{Served, Site};
use crate::channels::{FromTerminal, NoAnswer};

/// Bytes of an answer, which has some words.
const MAX_ANSWER: usize = 64 << 10;

/// How long an answer may take to come.
const BODY: Duration = Duration::from_secs(10);

/// How often a view hears something, so that proxies keep its connection.
const BEAT: Duration = Duration::from_secs(15);

/// How long a view may leave lie what it is sent.
const TAKING: Duration = Duration::from_secs(10);

/// Parts of a stream that lie ready.
const READY: usize = 4;

/// What begins an answer that is JSON.
const JSON: &str = "application/json";

/// The rest of the path, where it has the secret.
type Secret = Option<Path<String>>;

/// The page. It has nothing that is anybody's: who may see questions is found out when it asks for them.
pub(super) async fn page(State(site): State<Arc<Site>>, secret: Secret, request: Request) -> Response {
    if site.gate.knows_people() && secret.is_none() {
        return site.page.response();
    }
    match enter(&site, secret, &request.into_parts().0).await {
        Ok(_) => site.page.response(),
        Err(refused) => refused,
    }
}

/// The stream of what is open.
pub(super) async fn events(State(site): State<Arc<Site>>, secret: Secret, request: Request) -> Response {
    match enter(&site, secret, &request.into_parts().0).await {
        Ok(_) => stream(&site),
        Err(refused) => refused,
    }
}

/// Takes an answer.
pub(super) async fn answers(State(site): State<Arc<Site>>, secret: Secret, request: Request) -> Response {
    let (head, body) = request.into_parts();
    match enter(&site, secret, &head).await {
        Ok(principal) => answer(&site, &principal, &head, body).await,
        Err(refused) => refused,
    }
}

/// Lets somebody in who may answer questions.
async fn enter(site: &Site, secret: Secret, head: &Parts) -> Result<Principal, Response> {
    let secret = secret.map(|Path(secret)| secret);
    let entered = site.gate.enter(&head.extensions, secret.as_deref(), &head.headers).await;
    let allowed =
        entered.and_then(|principal| site.gate.require(&principal, Scope::Approve).map(|()| principal));
    allowed.map_err(IntoResponse::into_response)
}

/// What is open now, and from now on what changes, as events.
fn stream(site: &Site) -> Response {
    let hub = site.desk.hub();
    let Some(mut messages) = hub.attach() else {
        let text = "too many pages are open on this server\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let attending = hub.attend();
    let mut elsewhere = match &site.served {
        Served::Here(_) => None,
        Served::Apart(workers) => Some(workers.questions()),
    };
    let (sender, receiver) = mpsc::channel::<Result<_, std::convert::Infallible>>(READY);
    let stop = site.streams.clone();
    tokio::spawn(async move {
        let _attending = attending;
        loop {
            let of_workers = async {
                match &mut elsewhere {
                    Some(elsewhere) => elsewhere.recv().await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => [b"data: ", &*message, b"\n\n"].concat(),
                    None => return,
                },
                message = of_workers => match message {
                    Some(message) => [b"data: ", &*message, b"\n\n"].concat(),
                    None => return,
                },
                () = tokio::time::sleep(BEAT) => b":\n\n".to_vec(),
                () = sender.closed() => return,
                () = stop.cancelled() => return,
            };
            let frame = Ok(Frame::data(Bytes::from(event)));
            if !matches!(tokio::time::timeout(TAKING, sender.send(frame)).await, Ok(Ok(()))) {
                return;
            }
        }
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, Body::new(StreamBody::new(ReceiverStream::new(receiver)))).into_response()
}

/// Takes an answer. Only JSON: a form of another page cannot send that.
async fn answer(site: &Site, principal: &Principal, head: &Parts, body: Body) -> Response {
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_none_or(|kind| !kind.trim().to_ascii_lowercase().starts_with(JSON)) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "an answer is application/json\n").into_response();
    }
    let reading = Limited::new(body, MAX_ANSWER).collect();
    let Ok(Ok(body)) = tokio::time::timeout(BODY, reading).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the answer is too long, or did not come\n").into_response();
    };
    let Ok(answer) = serde_json::from_slice::<FromTerminal>(&body.to_bytes()) else {
        let text = "an answer is {\"say\": \"answer\", \"id\": …, \"choice\": …, \"reason\": …}\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let FromTerminal::Answer { id, choice, .. } = &answer;
    let (id, choice) = (id.clone(), choice.clone());
    let answered = match &site.served {
        Served::Here(_) => site.desk.hub().answer(answer),
        Served::Apart(workers) => workers.answered(answer).await,
    };
    match answered {
        Ok(()) => {
            tracing::info!(principal = %principal.identity, question = id, choice, "a question was answered");
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error @ NoAnswer::NotOpen) => (StatusCode::CONFLICT, format!("{error}\n")).into_response(),
        Err(error @ NoAnswer::NoChoice) => {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")).into_response()
        }
    }
}
