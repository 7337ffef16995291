//! Each request's name and trace in logs: given by whoever has sent it, or made here, and told with the answer.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use super::crowd::{Answering, Asking};
use super::principal::Identity;
use super::secret;
use super::site::Site;
use crate::mcp::RequestName;

/// Where a request's name is, in what comes and what goes.
pub(super) const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// The longest name that a sender may give.
const MAX_NAME: usize = 128;

/// Names a request, counts it, and says in the log what became of it. The log has the way that was asked for, never the
/// secret in it.
pub(super) async fn attend(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let name = given(request.headers()).or_else(|| secret::random().ok()).unwrap_or_default();
    request.extensions_mut().insert(RequestName(name.clone()));
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let asking = request.extensions().get::<Asking>().cloned();
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    site.metrics.answered(status);
    let principal = response.extensions_mut().remove::<Identity>();
    let principal = principal.as_ref().map(tracing::field::display);
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    // What is passed on is told by whoever passes it on.
    if !site.gate.is_told() {
        tracing::info!(request = name, %method, path, status, principal, milliseconds, "answered");
    }
    if let Ok(name) = HeaderValue::try_from(name) {
        response.headers_mut().insert(NAME, name);
    }
    response.map(|body| Body::new(Answering::new(body, asking)))
}

/// The name that the sender gives, if it is one that can stand in a log.
fn given(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(NAME)?.to_str().ok()?;
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
    (!name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(is_one)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_deceive_in_a_log_is_none() {
        let named = |name: &str| given(&HeaderMap::from_iter([(NAME, HeaderValue::from_str(name).unwrap())]));
        assert_eq!(named("4f0e-1.a:b/c").as_deref(), Some("4f0e-1.a:b/c"));
        for name in ["", "a b", "a\"b", "a\tb", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(named(name), None, "{name:?}");
        }
        assert_eq!(given(&HeaderMap::new()), None);
    }
}
