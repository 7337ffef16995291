//! One principal's MCP server behind HTTP, for the revisions with sessions and those without.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Bytes;
use rmcp::model::ProtocolVersion;
use rmcp::transport::streamable_http_server::session::SessionStore;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use super::session_store::FolderStore;
use super::sessions::Sessions;
use crate::mcp::ShellServer;

/// The most that one message may have, in bytes.
pub(super) const MAX_BODY: usize = 4 << 20;

/// In which revision a request is written.
const VERSION: &str = "mcp-protocol-version";

type Service = StreamableHttpService<ShellServer, Sessions>;

/// One principal's server.
#[derive(Clone)]
pub(super) struct Endpoint {
    with_sessions: Service,
    without: Service,
}

impl Endpoint {
    /// Serves `server`, keeps its sessions in `store`, and ends all streams with `stop`.
    pub(super) fn new(
        server: ShellServer,
        sessions: &Sessions,
        store: Option<FolderStore>,
        stop: CancellationToken,
    ) -> Endpoint {
        let mut config = StreamableHttpServerConfig::default()
            // Hosts and origins are checked before anybody is asked who he is.
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_max_request_body_bytes(MAX_BODY)
            .with_cancellation_token(stop);
        config.session_store = store.map(|store| Arc::new(store) as Arc<dyn SessionStore>);
        let service = |sessions: Sessions| {
            let server = server.clone();
            Service::new(move || Ok(server.for_another_client()), Arc::new(sessions), config.clone())
        };
        Endpoint { with_sessions: service(sessions.clone()), without: service(sessions.without_resuming()) }
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Full<Bytes>>) -> Response<Body> {
        let service =
            if is_without_sessions(request.headers()) { &self.without } else { &self.with_sessions };
        service.handle(request).await.map(Body::new)
    }
}

fn is_without_sessions(headers: &HeaderMap) -> bool {
    let version = headers.get(VERSION).and_then(|version| version.to_str().ok());
    version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28.as_str())
}
