//! Coming in: who asks, what is his, whether anything may begin, and what he sends, whole.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::principal::{Identity, Principal, Scope};
use super::room::{Room, Taken};
use super::site::{Served, Site};
use super::tenants::Tenant;

/// How long a message may take to come.
const BODY: Duration = Duration::from_secs(30);

/// How long a server that leaves keeps what it refuses: a balancer that hashes sends it here again at once, until it has
/// seen that the server is not ready.
const HELD: Duration = Duration::from_millis(500);

/// How many seconds later a client may ask again, another server most likely.
const RETRY_AFTER: &str = "1";

/// Finds out who asks, and lets him in to what is his, if he may run commands. `secret` is the rest of the path.
pub(super) async fn admit(site: &Site, secret: Option<&str>, head: &Parts) -> Result<Arc<Tenant>, Response> {
    let principal = site
        .gate
        .enter(&head.extensions, secret, &head.headers)
        .await
        .map_err(IntoResponse::into_response)?;
    admit_as(site, &principal, head.version).await.map_err(|refused| asked_by(refused, &principal.identity))
}

async fn admit_as(site: &Site, principal: &Principal, version: Version) -> Result<Arc<Tenant>, Response> {
    site.gate.require(principal, Scope::Run).map_err(IntoResponse::into_response)?;
    if site.life.is_leaving() && !site.served.has(&principal.identity) {
        return Err(leaving(version).await);
    }
    // What others serve is passed on before it comes here.
    let Served::Here(tenants) = &site.served else { return Err(StatusCode::NOT_FOUND.into_response()) };
    tenants.of(&principal.identity).await.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, principal = %principal.identity, "not served");
        let text = format!("{error}\n");
        (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], text).into_response()
    })
}

/// Says in the log whose request this answers.
pub(super) fn asked_by(mut response: Response, identity: &Identity) -> Response {
    response.extensions_mut().insert(identity.clone());
    response
}

/// Somebody has more requests answered than he may.
pub(super) fn too_many() -> Response {
    let text = "too many of your requests are being answered, or too long ones; ask again later\n";
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, RETRY_AFTER)], text).into_response()
}

/// Reads a message that comes in time, is not longer than `most` bytes, and has room; it has it until what is returned beside
/// it is dropped.
pub(super) async fn whole(body: Body, most: usize, room: &Room) -> Result<(Bytes, Taken), Response> {
    let late = |_| (StatusCode::REQUEST_TIMEOUT, "the message takes too long to come\n").into_response();
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| {
        if error.is::<LengthLimitError>() {
            return too_long(most);
        }
        (StatusCode::BAD_REQUEST, "the message did not come whole\n").into_response()
    };
    let reading = async {
        let (mut body, mut message, mut taken) = (Limited::new(body, most), Vec::new(), Taken::default());
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            if !room.cover(&mut taken, message.len() + data.len()) {
                return Err(too_many());
            }
            message.extend_from_slice(&data);
        }
        Ok((Bytes::from(message), taken))
    };
    tokio::time::timeout(BODY, reading).await.map_err(late)?
}

/// A message is longer than such ones may be.
fn too_long(most: usize) -> Response {
    (StatusCode::PAYLOAD_TOO_LARGE, format!("such a message may have {most} bytes\n")).into_response()
}

/// The request has not begun, and a balancer may send it to another server.
pub(super) async fn leaving(version: Version) -> Response {
    tokio::time::sleep(HELD).await;
    let text = "the server is leaving; the request has not begun, send it to another one\n";
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    if version <= Version::HTTP_11 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether a message would begin what a server that leaves must not begin: a call, or a session. Answers, and requests
/// that go on with a call, are welcome.
pub(super) fn begins_something(body: &[u8]) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
