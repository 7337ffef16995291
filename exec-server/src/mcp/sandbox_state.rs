//! What the client says about the sandbox: its roots, and its own sandbox state.
//!
//! Three ways lead here: the client's roots (`roots/list`); a request, `codex/sandbox-state/update`, for all calls that
//! follow; and a key in the `_meta` of one call, which is what Codex sends today. All of them are the client
//! *program's* words: it started this server and could start anything else. Whether they may widen what the user allows
//! is decided below.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    ClientResult, CustomRequest, CustomResult, ErrorData, JsonObject, ProtocolVersion, ServerRequest,
};
use rmcp::service::{OriginatingRequestId, RequestContext};
use sandbox::policy::CLIENT_STATE_KEYS;
use sandbox::{ClientState, PolicyError};
use serde_json::{Value, json};

use shell_engine::config::{Sandboxing, Wanted};

/// The request that replaces the state for all calls that follow.
pub(crate) const UPDATE: &str = "codex/sandbox-state/update";

/// How long a client may take to list its roots; after that the folder that the server was started in stands for them.
const ROOTS_TIMEOUT: Duration = Duration::from_secs(3);

/// More roots than any client has; each costs time with every new sandbox.
const MAX_ROOTS: usize = 64;

/// What the client has said so far.
#[derive(Debug, Default)]
pub(super) struct SandboxState {
    /// As text, which takes the least memory.
    updated: Mutex<Option<String>>,
    roots: tokio::sync::Mutex<Option<Vec<PathBuf>>>,
}

/// What is declared among the experimental capabilities, so that clients send their state.
pub(super) fn capabilities() -> Vec<(String, JsonObject)> {
    let version = |value: Value| value.as_object().cloned().unwrap_or_default();
    let declared =
        CLIENT_STATE_KEYS.iter().map(|key| ((*key).to_owned(), version(json!({"version": "1.0.0"}))));
    declared.collect()
}

impl SandboxState {
    /// Takes `codex/sandbox-state/update`.
    pub(super) fn update(
        &self,
        sandboxing: &Sandboxing,
        request: CustomRequest,
    ) -> Result<CustomResult, ErrorData> {
        let Some(state) = request.params else {
            return Err(ErrorData::invalid_params("missing params for sandbox state request", None));
        };
        ClientState::from_json(&state, &sandboxing.workspace(&[])).map_err(|error| bad(UPDATE, &error))?;
        *self.updated.lock().unwrap_or_else(PoisonError::into_inner) = Some(state.to_string());
        Ok(CustomResult::new(json!({})))
    }

    /// The roots may have changed: asks anew before the next call.
    pub(super) async fn forget_roots(&self) {
        *self.roots.lock().await = None;
    }

    /// What one call gets, and the folder that it starts in unless it says otherwise: the client's own, else its first
    /// root, else the one that the server was started in.
    pub(super) async fn wanted(
        &self,
        sandboxing: &Arc<Sandboxing>,
        context: &RequestContext<RoleServer>,
    ) -> Result<(Wanted, PathBuf), ErrorData> {
        let sent =
            CLIENT_STATE_KEYS.iter().rev().find_map(|key| Some((*key, context.meta.get(*key)?.clone())));
        let updated = || {
            let updated = self.updated.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
            Some((UPDATE, serde_json::from_str(&updated).ok()?))
        };
        let roots = match sandboxing.takes_client_roots() {
            true => self.roots(context).await,
            false => Vec::new(),
        };
        let client = match sent.or_else(updated) {
            None => None,
            Some((source, state)) => Some(
                ClientState::from_json(&state, &sandboxing.workspace(&roots))
                    .map_err(|error| bad(source, &error))?,
            ),
        };
        let own = client.as_ref().and_then(|client| client.sandbox_cwd.clone());
        let start =
            own.or_else(|| roots.first().cloned()).unwrap_or_else(|| sandboxing.started_in().to_owned());
        Ok((sandboxing.wanted(&roots, client), start))
    }

    /// The client's roots, asked for once. None where it has none, or cannot be asked: since MCP 2026-07-28 servers
    /// send no requests.
    #[expect(deprecated, reason = "the revisions that have roots are still spoken")]
    async fn roots(&self, context: &RequestContext<RoleServer>) -> Vec<PathBuf> {
        let modern =
            context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        let declared = context.client_capabilities().is_some_and(|capabilities| capabilities.roots.is_some());
        if modern || !declared {
            return Vec::new();
        }
        let mut known = self.roots.lock().await;
        if let Some(roots) = &*known {
            return roots.clone();
        }
        let mut request = rmcp::model::ListRootsRequest::default();
        request.extensions.insert(OriginatingRequestId(context.id.clone()));
        let asked = context.peer.send_request(ServerRequest::ListRootsRequest(request));
        let roots = match tokio::time::timeout(ROOTS_TIMEOUT, asked).await {
            Ok(Ok(ClientResult::ListRootsResult(listed))) => {
                let paths =
                    listed.roots.iter().filter_map(|root| sandbox::policy::absolute_path(&root.uri).ok());
                paths.filter(|path| path.is_dir()).take(MAX_ROOTS).collect()
            }
            Ok(Ok(_)) => {
                tracing::warn!("the client answers something else than its roots");
                Vec::new()
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the client does not list its roots");
                Vec::new()
            }
            Err(_) => {
                tracing::warn!("the client takes too long to list its roots");
                Vec::new()
            }
        };
        known.insert(roots).clone()
    }
}

fn bad(source: &str, error: &PolicyError) -> ErrorData {
    ErrorData::invalid_params(format!("failed to deserialize sandbox state ({source}): {error}"), None)
}
