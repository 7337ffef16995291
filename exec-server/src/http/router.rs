//! What there is to be asked for, and what is checked before: the host, then who asks, then the message's size.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

use http_body_util::Full;

use super::approvals;
use super::crowd::Asking;
use super::endpoint::MAX_BODY;
use super::entry::{admit, asked_by, begins_something, leaving, too_many, whole};
use super::flowing::flowing;
use super::metrics::{CONTENT_TYPE, Now};
use super::passing_on;
use super::principal::Scope;
use super::requests;
use super::runtime;
use super::site::{Served, Site};
use super::tenants::Tenant;
use super::weight;

/// All that can be asked for.
pub(super) fn router(site: Arc<Site>) -> Router {
    let of_tenants = Router::new()
        .route("/mcp", any(mcp))
        .route("/mcp/{secret}", any(mcp_by_secret))
        .merge(runtimes())
        .layer(from_fn_with_state(Arc::clone(&site), passing_on::pass_on));
    let checked = Router::new()
        .merge(of_tenants)
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

/// What agent-sandbox's clients ask for: at the root, where its runtime has it, and below a secret.
fn runtimes() -> Router<Arc<Site>> {
    let routes = Router::new()
        .route("/execute", post(runtime::execute))
        .route("/upload", post(runtime::upload))
        .route("/download/{*path}", get(runtime::download))
        .route("/list", get(runtime::list))
        .route("/list/", get(runtime::list))
        .route("/list/{*path}", get(runtime::list))
        .route("/exists/{*path}", get(runtime::exists));
    Router::new().nest("/runtime/{secret}", routes.clone()).merge(routes)
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
        let entered = site.gate.enter(request.extensions(), None, request.headers()).await;
        let allowed = entered.and_then(|principal| site.gate.require(&principal, Scope::Admin));
        if let Err(refusal) = allowed {
            return refusal.into_response();
        }
    }
    let now = Now { connections: site.connections.len(), ..site.served.now().await };
    let text = match (site.metrics.text(now), &site.served) {
        (Ok(text), Served::Apart(workers)) => Ok(workers.metrics(&text).await),
        (text, _) => text,
    };
    match text {
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

async fn enter(site: &Site, secret: Option<&str>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let admitted = admit(site, secret, &head).await;
    // A session keeps what its first request had.
    head.extensions.remove::<Asking>();
    match admitted {
        Ok(tenant) => asked_by(answer(site, &tenant, head, body).await, &tenant.identity),
        Err(refused) => refused,
    }
}

/// Answers a request of somebody who may ask.
async fn answer(site: &Site, tenant: &Tenant, head: Parts, body: Body) -> Response {
    let Ok(place) = Arc::clone(&tenant.requests).try_acquire_owned() else { return too_many() };
    // Streams that wait for whatever may come are no requests that must be answered.
    let answering = (head.method == Method::POST).then(|| site.life.answering());
    let (body, taken) = match whole(body, MAX_BODY, &tenant.room).await {
        Ok(whole) => whole,
        Err(refused) => return refused,
    };
    if let Err(refused) = weight::check(&body) {
        return refused.into_response();
    }
    if site.life.is_leaving() && begins_something(&body) {
        return leaving(head.version).await;
    }
    let response = tenant.endpoint.answer(Request::from_parts(head, Full::new(body))).await;
    response.map(|body| flowing(body, tenant.room.clone(), (answering, place, taken)))
}
