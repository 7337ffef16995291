//! The MCP server: which requests there are, and what they attach to.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestMethod, CompleteRequestParams,
    CompleteResult, CustomRequest, CustomResult, ErrorCode, ErrorData, Implementation,
    InitializeRequestParams, InitializeResult, ListPromptsRequestMethod, ListPromptsResult,
    ListResourceTemplatesRequestMethod, ListResourceTemplatesResult, ListResourcesRequestMethod,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;

use super::attachment::{Questions, desk};
use super::elicitation::Channel;
use super::sandbox_state::{self, SandboxState};
use super::{result, shell_tool};
use crate::config::Config;
use crate::shell::{Call, Shell};

const INSTRUCTIONS: &str = "Gives a tool, `shell`, that runs a Bash command and returns its output. Each program that the \
    command executes is checked against the user's rules: it may run, need the user's approval, or be refused.";

/// Serves MCP over any transport of rmcp's.
#[derive(Clone)]
pub struct ShellServer {
    shell: Shell,
    client_gone: CancellationToken,
    sandbox_state: Arc<SandboxState>,
    initialized: Arc<std::sync::atomic::AtomicBool>,
}

impl ShellServer {
    /// A server that runs commands as `config` says.
    #[must_use]
    pub fn new(config: Config) -> ShellServer {
        ShellServer {
            shell: Shell::new(Arc::new(config)),
            client_gone: CancellationToken::new(),
            sandbox_state: Arc::default(),
            initialized: Arc::default(),
        }
    }

    pub(super) fn shell(&self) -> &Shell {
        &self.shell
    }

    /// Cancelled when the client is gone: nothing may wait for it any more.
    pub(super) fn client_gone(&self) -> &CancellationToken {
        &self.client_gone
    }

    /// One `tools/call` of `shell`: reads the arguments, starts a call, attends to it until its end.
    async fn call_shell(
        self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let config = self.shell.config();
        let request = match shell_tool::read(request.arguments.as_ref(), config.default_timeout) {
            Ok(request) => request,
            Err(error) => return Ok(result::problem(error.to_string())),
        };
        let wanted = self.sandbox_state.wanted(&config.sandboxing, &context).await?;
        let (desk, questions) = desk();
        match self.shell.start_in(&wanted, request, Arc::new(desk)).await {
            Ok(call) => self.attend(call, questions, context).await,
            Err(error) => {
                Ok(result::problem(format!("the command did not start: {:#}", anyhow::Error::new(error))))
            }
        }
    }

    /// Attaches a request to a call: carries the call's questions to the client, and the client's wishes to the call.
    async fn attend(
        &self,
        mut call: Call,
        mut questions: Questions,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let channel = Channel::of(&context);
        let outcome = loop {
            tokio::select! {
                outcome = call.finished() => break outcome,
                Some(pending) = questions.recv() => {
                    tokio::spawn(channel.clone().carry(pending, self.client_gone.clone()));
                }
                () = context.ct.cancelled() => {
                    call.cancel();
                    break call.finished().await;
                }
                () = self.client_gone.cancelled() => {
                    call.cancel();
                    break call.finished().await;
                }
            }
        };
        let outcome = outcome
            .ok_or_else(|| ErrorData::internal_error("the call's task ended without an outcome", None))?;
        result::encode(&outcome).map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }
}

impl ServerHandler for ShellServer {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder().enable_tools().build();
        capabilities.experimental = Some(sandbox_state::capabilities().into_iter().collect());
        ServerConfig::new(capabilities)
            .with_server_info(
                Implementation::new("shell-tool-mcp", env!("CARGO_PKG_VERSION")).with_title("Shell tool"),
            )
            .with_instructions(INSTRUCTIONS)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        // A second one would replace what the client said that it can do.
        if self.initialized.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return Err(ErrorData::invalid_request("already initialized", None));
        }
        context.peer.set_peer_info(request.clone());
        self.negotiate_initialize(&request)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        if request.is_some_and(|request| request.cursor.is_some()) {
            return Err(ErrorData::invalid_params("unknown cursor: the list has one page", None));
        }
        Ok(ListToolsResult::with_all_items(vec![shell_tool::describe()]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name != shell_tool::NAME {
            let text = format!(
                "tool not found: {:?}; this server has one tool, {:?}",
                request.name,
                shell_tool::NAME
            );
            return Err(ErrorData::invalid_params(text, None));
        }
        // A task of its own: rmcp would never answer if this panicked.
        let call = tokio::spawn(self.clone().call_shell(request, context));
        match call.await {
            Ok(result) => result.map(CallToolResponse::from),
            Err(error) => {
                tracing::error!(%error, "a call broke");
                Err(ErrorData::internal_error("the call broke inside the server; its log says where", None))
            }
        }
    }

    async fn on_roots_list_changed(&self, _context: NotificationContext<RoleServer>) {
        self.sandbox_state.forget_roots().await;
    }

    // What is not offered is refused; rmcp would answer with empty lists.

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourceTemplatesRequestMethod>())
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }

    /// rmcp takes a known method with parameters that it cannot read for an unknown one.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method == sandbox_state::UPDATE {
            return self.sandbox_state.update(&self.shell.config().sandboxing, request);
        }
        if matches!(request.method.as_str(), "tools/call" | "tools/list") {
            let text = format!(
                "invalid parameters of {}: name must be a string, arguments an object",
                request.method
            );
            return Err(ErrorData::invalid_params(text, None));
        }
        let text = format!("method not found: {}", request.method);
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, text, None))
    }
}
