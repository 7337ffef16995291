//! Requests of principals that have processes of their own are passed on to these, when it is known who asks.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::Full;

use super::endpoint::MAX_BODY;
use super::entry::{asked_by, begins_something, leaving, too_many, whole};
use super::flowing::flowing;
use super::principal::{Principal, Scope};
use super::requests::NAME;
use super::runtime::MAX_UPLOAD;
use super::site::{Served, Site};
use super::workers::{NoAnswer, Workers};
use crate::mcp::RequestName;

/// The way by which files are sent, which may be longer than other messages.
const UPLOAD: &str = "/upload";

/// Passes a request on where processes of their own serve principals; else goes on with it here.
pub(super) async fn pass_on(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let Served::Apart(workers) = &site.served else { return next.run(request).await };
    let (mut head, body) = request.into_parts();
    // By which it is found in both logs.
    if let Some(name) = head.extensions.get::<RequestName>()
        && let Ok(name) = HeaderValue::try_from(&name.0)
    {
        head.headers.insert(NAME, name);
    }
    let entered = site.gate.enter(&head.extensions, None, &head.headers).await;
    let allowed = entered.and_then(|principal| site.gate.require(&principal, Scope::Run).map(|()| principal));
    match allowed {
        Ok(principal) => asked_by(answer(&site, workers, &principal, head, body).await, &principal.identity),
        Err(refused) => refused.into_response(),
    }
}

async fn answer(
    site: &Site,
    workers: &Arc<Workers>,
    principal: &Principal,
    head: Parts,
    body: axum::body::Body,
) -> Response {
    let version = head.version;
    if site.life.is_leaving() && !site.served.has(&principal.identity) {
        return leaving(version).await;
    }
    let (requests, room) = match workers.places(&principal.identity) {
        Ok(places) => places,
        Err(error) => return not_served(&error, principal),
    };
    let Ok(place) = requests.try_acquire_owned() else { return too_many() };
    // Streams that wait for whatever may come are no requests that must be answered.
    let answering = (head.method == Method::POST).then(|| site.life.answering());
    let most = if head.uri.path() == UPLOAD { MAX_UPLOAD } else { MAX_BODY };
    let (body, taken) = match whole(body, most, &room).await {
        Ok(whole) => whole,
        Err(refused) => return refused,
    };
    let begins = !head.uri.path().starts_with("/mcp") || begins_something(&body);
    if site.life.is_leaving() && begins {
        return leaving(version).await;
    }
    match workers.answer(&principal.identity, Request::from_parts(head, Full::new(body))).await {
        Ok(response) => response.map(|body| flowing(body, room, (answering, place, taken))),
        Err(error @ NoAnswer::NotBegun(_)) => not_served(&error, principal),
        Err(error @ NoAnswer::Broken(_)) => {
            tracing::error!(error = &error as &dyn std::error::Error, principal = %principal.identity, "not answered");
            (StatusCode::BAD_GATEWAY, format!("{error}\n")).into_response()
        }
    }
}

fn not_served(error: &(dyn std::error::Error + 'static), principal: &Principal) -> Response {
    tracing::error!(error, principal = %principal.identity, "not served");
    let text = "what the server needs for you cannot be made, or the server is full; ask again later\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], text).into_response()
}
