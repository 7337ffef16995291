//! The MCP server: which requests there are, and what they attach to.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestMethod, CompleteRequestParams, CompleteResult,
    CustomRequest, CustomResult, ErrorCode, ErrorData, InitializeRequestParams, InitializeResult,
    ListPromptsRequestMethod, ListPromptsResult, ListResourceTemplatesRequestMethod,
    ListResourceTemplatesResult, ListResourcesRequestMethod, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;

use super::client::{ClientChannel, Way};
use super::rounds::{Rounds, Ticket};
use super::sandbox_state::{self, SandboxState};
use super::{result, shell_tool, signature};
use crate::approval::{ApprovalSettings, Channel, ChannelKind, CommandChannel, Desk, Ladder};
use crate::config::{Config, Wanted};
use crate::private::runtime_folders;
use crate::shell::Shell;
use crate::terminal::TerminalChannel;

const INSTRUCTIONS: &str = "Gives a tool, `shell`, that runs a Bash command and returns its output. Each program that the \
    command executes is checked against the user's rules: it may run, need the user's approval, or be refused.";

/// How long clients of 2026-07-28 may keep the list of tools, in milliseconds.
const TOOLS_FRESH_MS: u64 = 60 * 60 * 1000;

/// Serves MCP over any transport of rmcp's.
#[derive(Clone)]
pub struct ShellServer {
    shell: Shell,
    ladder: Arc<Ladder>,
    rounds: Arc<Rounds>,
    terminal: Option<Arc<TerminalChannel>>,
    client_gone: CancellationToken,
    sandbox_state: Arc<SandboxState>,
    initialized: Arc<std::sync::atomic::AtomicBool>,
}

impl ShellServer {
    /// A server that runs commands as `config` says.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn new(config: Config) -> std::io::Result<ShellServer> {
        let shell = Shell::new(Arc::new(config));
        let config = shell.config();
        let ApprovalSettings { command, timeout, .. } = &config.approvals;
        let command = command.clone().map(|program| {
            Arc::new(CommandChannel::new(program, Arc::clone(shell.places()))) as Arc<dyn Channel>
        });
        let channels = config.approvals.channels();
        let terminal = channels.contains(&ChannelKind::Terminal).then(|| {
            let folders = runtime_folders(&config.codex_home);
            Arc::new(TerminalChannel::new(&folders, config.codex_home.clone()))
        });
        let in_terminals = terminal.clone().map(|terminal| terminal as Arc<dyn Channel>);
        let ladder = Ladder::new(&channels, in_terminals, command, config.default_rules());
        let rounds = Rounds::new(timeout.unwrap_or(ApprovalSettings::PARKED))?;
        Ok(ShellServer {
            shell,
            ladder: Arc::new(ladder),
            rounds: Arc::new(rounds),
            terminal,
            client_gone: CancellationToken::new(),
            sandbox_state: Arc::default(),
            initialized: Arc::default(),
        })
    }

    pub(super) fn shell(&self) -> &Shell {
        &self.shell
    }

    /// Cancelled when the client is gone: nothing may wait for it any more.
    pub(super) fn client_gone(&self) -> &CancellationToken {
        &self.client_gone
    }

    /// One `tools/call` of `shell`: starts a call, or finds the one that it resumes, and attends to it.
    async fn call_shell(
        self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let way = Way::of(&context, &self.client_gone);
        let ticket = match &request.request_state {
            // A request that brings a state never starts anything.
            Some(state) => {
                let ticket =
                    self.rounds.resume(&request, state, &self.shell.config().rules.current().await)?;
                ticket.client.attach(way);
                ticket
            }
            None => {
                let wanted = self.sandbox_state.wanted(&self.shell.config().sandboxing, &context).await?;
                match self.start(&request, &wanted, way).await {
                    Ok(ticket) => ticket,
                    Err(problem) => return Ok(result::problem(problem).into()),
                }
            }
        };
        self.attend(ticket, &request, context).await
    }

    /// Reads the arguments and starts a call; a problem is told in words that reach the agent.
    async fn start(
        &self,
        request: &CallToolRequestParams,
        wanted: &Wanted,
        way: Way,
    ) -> Result<Ticket, String> {
        let config = self.shell.config();
        if let Some(terminal) = &self.terminal {
            terminal.listen();
        }
        let arguments = shell_tool::read(request.arguments.as_ref(), config.default_timeout)
            .map_err(|error| error.to_string())?;
        // Whoever has to come back may never do so.
        let patience = matches!(way, Way::Rounds { .. }).then_some(ApprovalSettings::PARKED);
        let timeout = config.approvals.timeout.or(patience);
        let client = Arc::new(ClientChannel::new(way));
        let desk = Desk::new(Arc::clone(&self.ladder), Arc::clone(&client) as Arc<dyn Channel>, timeout);
        match self.shell.start_in(wanted, arguments, Arc::new(desk)).await {
            Ok(call) => Ok(Ticket { call, client }),
            Err(error) => Err(format!("the command did not start: {:#}", anyhow::Error::new(error))),
        }
    }

    /// Attaches a request to a call until the call ends, or has questions for the client to take along.
    async fn attend(
        &self,
        mut ticket: Ticket,
        request: &CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let client = Arc::clone(&ticket.client);
        let outcome = tokio::select! {
            biased;
            outcome = ticket.call.finished() => outcome,
            () = context.ct.cancelled() => ticket.end().await,
            () = self.client_gone.cancelled() => ticket.end().await,
            () = client.has_questions() => {
                let rules = self.shell.config().rules.current().await;
                let waiting = self.rounds.park(ticket, request, &rules)?;
                return Ok(waiting.into());
            }
        };
        client.end();
        let outcome = outcome
            .ok_or_else(|| ErrorData::internal_error("the call's task ended without an outcome", None))?;
        let result = result::encode(&outcome);
        result.map(Into::into).map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }
}

impl ServerHandler for ShellServer {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder().enable_tools().build();
        capabilities.experimental = Some(sandbox_state::capabilities().into_iter().collect());
        ServerConfig::new(capabilities)
            .with_server_info(signature::server_info())
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
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        if request.is_some_and(|request| request.cursor.is_some()) {
            return Err(ErrorData::invalid_params("unknown cursor: the list has one page", None));
        }
        let mut tools = ListToolsResult::with_all_items(vec![shell_tool::describe()]);
        if signature::is_wanted(&context) {
            signature::sign(&mut tools.meta);
            // The list is a part of this program.
            tools.ttl_ms = Some(TOOLS_FRESH_MS);
        }
        Ok(tools)
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
        let signed = signature::is_wanted(&context);
        let call = tokio::spawn(self.clone().call_shell(request, context));
        match call.await {
            Ok(Ok(CallToolResponse::Complete(mut result))) if signed => {
                signature::sign(&mut result.meta);
                Ok(result.into())
            }
            Ok(Ok(CallToolResponse::InputRequired(mut result))) if signed => {
                signature::sign(&mut result.meta);
                Ok(result.into())
            }
            Ok(result) => result,
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
