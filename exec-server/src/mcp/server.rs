//! The MCP server: which requests there are, and what they attach to.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestMethod, CompleteRequestParams,
    CompleteResult, CustomRequest, CustomResult, ErrorCode, ErrorData, Implementation,
    InitializeRequestParams, InitializeResult, ListPromptsRequestMethod, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;

use super::attachment::{Questions, desk};
use super::elicitation::Channel;
use super::progress::{self, Progress};
use super::sandbox_state::{self, SandboxState};
use super::{background, read_output, resources, result, shell_tool};
use crate::config::Config;
use crate::shell::{Call, CallOutcome, Shell, Turn};

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
        let arguments = match shell_tool::read(request.arguments.as_ref(), &config.limits) {
            Ok(arguments) => arguments,
            Err(error) => return Ok(result::problem(error.to_string())),
        };
        let mut progress = Progress::of(&context);
        let Some(turn) = self.turn(&mut progress, &context).await else {
            return Ok(result::problem("the command was cancelled before it started"));
        };
        let wanted = self.sandbox_state.wanted(&config.sandboxing, &context).await?;
        let (desk, questions) = desk();
        let call = match self.shell.start_in(&wanted, arguments.request, Arc::new(desk), turn).await {
            Ok(call) => call,
            Err(error) => {
                let text = format!("the command did not start: {:#}", anyhow::Error::new(error));
                return Ok(result::problem(text));
            }
        };
        let outcome = self.attend(call, questions, &mut progress, context).await?;
        result::encode(&outcome, arguments.presentation, arguments.notes, self.shell.outputs())
            .await
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }

    /// Waits until the command may start. `None`: nobody wants the command any more.
    async fn turn(&self, progress: &mut Progress, context: &RequestContext<RoleServer>) -> Option<Turn> {
        let queue = || {
            let (running, waiting) = self.shell.load();
            format!("waiting: {running} commands are running, {waiting} wait for one of them to end")
        };
        let turn = tokio::select! {
            biased;
            turn = self.shell.turn() => Some(turn),
            () = context.ct.cancelled() => None,
            () = self.client_gone.cancelled() => None,
            never = progress.tell(queue) => match never {},
        };
        progress.settle(&self.client_gone).await;
        turn
    }

    /// Attaches a request to a call: carries the call's questions to the client, and the client's wishes to the call.
    async fn attend(
        &self,
        mut call: Call,
        mut questions: Questions,
        progress: &mut Progress,
        context: RequestContext<RoleServer>,
    ) -> Result<Arc<CallOutcome>, ErrorData> {
        let channel = Channel::of(&context);
        let watched = call.clone();
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
                never = progress.tell(|| progress::of_call(&watched)) => match never {},
            }
        };
        progress.settle(&self.client_gone).await;
        outcome.ok_or_else(|| ErrorData::internal_error("the call's task ended without an outcome", None))
    }
}

impl ServerHandler for ShellServer {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
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
        one_page(request)?;
        let mut tools = vec![shell_tool::describe(&self.shell.config().limits), read_output::describe()];
        tools.extend(background::describe());
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.as_ref();
        match &*request.name {
            background::LIST => {
                return Ok(background::list(arguments, self.shell.background()).await.into());
            }
            background::KILL => {
                return Ok(background::kill(arguments, self.shell.background()).await.into());
            }
            read_output::NAME => {
                return Ok(read_output::call(arguments, self.shell.outputs()).await.into());
            }
            _ => {}
        }
        if request.name != shell_tool::NAME {
            let tools = [shell_tool::NAME, read_output::NAME, background::LIST, background::KILL];
            let text = format!("tool not found: {:?}; this server has {tools:?}", request.name);
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

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        one_page(request)?;
        Ok(ListResourcesResult::with_all_items(resources::list(self.shell.outputs())))
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        one_page(request)?;
        Ok(ListResourceTemplatesResult::with_all_items(vec![resources::template()]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(self.shell.outputs(), &request.uri).await.map(ReadResourceResponse::from)
    }

    // What is not offered is refused; rmcp would answer with empty lists.

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
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
        let expected = match request.method.as_str() {
            "tools/call" | "tools/list" => Some("name must be a string, arguments an object"),
            "resources/read" => Some("uri must be a string"),
            _ => None,
        };
        if let Some(expected) = expected {
            let text = format!("invalid parameters of {}: {expected}", request.method);
            return Err(ErrorData::invalid_params(text, None));
        }
        let text = format!("method not found: {}", request.method);
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, text, None))
    }
}

fn one_page(request: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match request.and_then(|request| request.cursor) {
        Some(_) => Err(ErrorData::invalid_params("unknown cursor: the list has one page", None)),
        None => Ok(()),
    }
}
