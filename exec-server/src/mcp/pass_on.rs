//! Passes requests on to the server that keeps the session which they are about, and its questions to our client.

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientResult, ErrorData, InputRequest,
    InputRequests, InputResponses, ServerRequest,
};
use rmcp::service::{Peer, PeerRequestOptions, RequestContext};
use serde_json::json;

use super::client::ElicitationMode;
use super::elsewhere::{Meant, ask, unreachable};
use super::encoding::problem;
use super::server::ShellServer;
use super::token::Token;
use shell_engine::private::runtime_folders;

/// Questions of one request that are passed on in turn.
const MOST_ROUNDS: usize = 64;

impl ShellServer {
    /// Passes a request on that is about a session of another server. `None`: it is for this one.
    pub(super) async fn pass_on(
        &self,
        request: &mut CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Option<Result<CallToolResponse, ErrorData>> {
        match self.elsewhere.meant(request, &self.shell, self.token.as_ref()) {
            Meant::Us => None,
            Meant::Nobody(why) => Some(Ok(problem(why).into())),
            Meant::Other(token) => Some(tokio::select! {
                response = self.exchange(request, &token, self.elicitation_mode(context)) => response,
                // The other server hears of it by its connection.
                () = self.unwanted(context) => Ok(problem("nobody waits for this any more; the session goes on").into()),
            }),
        }
    }

    /// Has another server answer a request. Its questions go to our client.
    async fn exchange(
        &self,
        request: &CallToolRequestParams,
        token: &Token,
        mode: ElicitationMode,
    ) -> Result<CallToolResponse, ErrorData> {
        let broken = |error: serde_json::Error| ErrorData::internal_error(error.to_string(), None);
        let mut parameters = serde_json::to_value(request).map_err(broken)?;
        let can_ask = !matches!(mode, ElicitationMode::Unsupported(_));
        let capabilities = if can_ask { json!({"elicitation": {"form": {}}}) } else { json!({}) };
        parameters["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": capabilities,
            "io.modelcontextprotocol/clientInfo": {"name": "shell-tool-mcp", "version": env!("CARGO_PKG_VERSION")}
        });
        for _ in 0..MOST_ROUNDS {
            let folders = runtime_folders(&self.shell.config().codex_home);
            let answer = match ask(&folders, token, &parameters).await {
                Ok(answer) => answer,
                Err(error) => return Ok(problem(unreachable(&error)).into()),
            };
            if let Some(error) = answer.get("error") {
                return Err(serde_json::from_value(error.clone()).map_err(broken)?);
            }
            let result = answer.get("result").cloned().unwrap_or_default();
            if result["resultType"] != "input_required" {
                self.elsewhere.learn(&result, token);
                let mut result: CallToolResult = serde_json::from_value(result).map_err(broken)?;
                result.meta = None; // Who answers is this server.
                return Ok(result.into());
            }
            let ElicitationMode::Requests { peer, .. } = &mode else {
                return Ok(CallToolResponse::InputRequired(serde_json::from_value(result).map_err(broken)?));
            };
            let requests = serde_json::from_value(result["inputRequests"].clone()).map_err(broken)?;
            let answers = put(requests, peer).await;
            parameters["requestState"] = result["requestState"].clone();
            parameters["inputResponses"] = serde_json::to_value(answers).map_err(broken)?;
        }
        Ok(problem("the server that keeps the session asks without end").into())
    }
}

/// Puts questions to a client, one after the other.
async fn put(requests: InputRequests, peer: &Peer<RoleServer>) -> InputResponses {
    let mut answers = InputResponses::default();
    for (id, request) in requests {
        let InputRequest::Elicitation(request) = request else { continue };
        let request = ServerRequest::ElicitRequest(request);
        let handle = peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
        let answer = match handle {
            Ok(handle) => handle.await_response().await,
            Err(error) => Err(error),
        };
        // What was not answered counts as closed.
        let answer = match answer {
            Ok(ClientResult::ElicitResult(result)) => serde_json::to_value(result).ok(),
            Ok(_) | Err(_) => None,
        };
        answers.insert(id, answer.unwrap_or_else(|| json!({"action": "cancel"})));
    }
    answers
}
