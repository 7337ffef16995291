//! The MCP server: which requests there are, and what they attach to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestMethod, CompleteRequestParams, CompleteResult,
    CustomRequest, CustomResult, ErrorCode, ErrorData, InitializeRequestParams, InitializeResult,
    ListPromptsRequestMethod, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;

use super::client::{ClientChannel, Way};
use super::progress::{self, Progress};
use super::rounds::{Rounds, Ticket};
use super::sandbox_state::{self, SandboxState};
use super::shell_tool::ShellArguments;
use super::{background, read_output, resources, result, shell_tool, signature};
use crate::approval::{ApprovalSettings, Channel, ChannelKind, CommandChannel, Desk, Ladder};
use crate::config::{Config, Wanted};
use crate::private::runtime_folders;
use crate::shell::{Ending, Shell, Turn};
use crate::terminal::TerminalChannel;

const INSTRUCTIONS: &str = "Gives a tool, `shell`, that runs a Bash command and returns its output. Each program that the \
    command executes is checked against the user's rules: it may run, need the user's approval, or be refused.";

/// For whoever has cancelled a command that was still waiting, or has ended the server.
const NOT_STARTED: &str = "the command was cancelled before it started";

/// For whoever pipes requests into the server.
const CLOSED: &str =
    "the command was ended because the server's input was closed; keep it open until the result has come";

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
    initialized: Arc<AtomicBool>,
    /// Messages are wanted about all requests.
    messages: Arc<AtomicBool>,
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
            messages: Arc::default(),
        })
    }

    /// The server for one more client, for transports that several clients share (HTTP): each session needs one of its own.
    ///
    /// Commands, rules, and what a person has allowed for the session are the same for all of them: they are one user's.
    #[must_use]
    pub fn for_another_client(&self) -> ShellServer {
        ShellServer {
            client_gone: self.client_gone.child_token(),
            sandbox_state: Arc::default(),
            initialized: Arc::default(),
            messages: Arc::default(),
            ..self.clone()
        }
    }

    /// What runs the commands. [`Shell::close`] ends them all, which is for whoever serves to do when the serving ends.
    #[must_use]
    pub fn shell(&self) -> &Shell {
        &self.shell
    }

    /// Cancelled when the client is gone: nothing may wait for it any more.
    pub(super) fn client_gone(&self) -> &CancellationToken {
        &self.client_gone
    }

    /// One `tools/call`, of whichever tool.
    async fn call_any(
        self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.as_ref();
        match &*request.name {
            shell_tool::NAME => self.call_shell(request, context).await,
            read_output::NAME => Ok(read_output::call(arguments, self.shell.outputs()).await.into()),
            background::LIST => Ok(background::list(arguments, self.shell.background()).await.into()),
            background::KILL => Ok(background::kill(arguments, self.shell.background()).await.into()),
            other => {
                let tools = [shell_tool::NAME, read_output::NAME, background::LIST, background::KILL];
                let text = format!("tool not found: {other:?}; this server has {tools:?}");
                Err(ErrorData::invalid_params(text, None))
            }
        }
    }

    /// One `tools/call` of `shell`: starts a call, or finds the one that it resumes, and attends to it.
    async fn call_shell(
        self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let way = Way::of(&context, &self.client_gone);
        let mut progress = Progress::of(&context, self.messages.load(Ordering::Relaxed));
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
                match self.start(&request, &wanted, way, &mut progress, &context).await {
                    Ok(ticket) => ticket,
                    Err(problem) => return Ok(result::problem(problem).into()),
                }
            }
        };
        self.attend(ticket, &request, &mut progress, context).await
    }

    /// Reads the arguments and starts a call; a problem is told in words that reach the agent.
    async fn start(
        &self,
        request: &CallToolRequestParams,
        wanted: &Wanted,
        way: Way,
        progress: &mut Progress,
        context: &RequestContext<RoleServer>,
    ) -> Result<Ticket, String> {
        let config = self.shell.config();
        if let Some(terminal) = &self.terminal {
            terminal.listen();
        }
        let ShellArguments { request, shown } = shell_tool::read(request.arguments.as_ref(), &config.limits)
            .map_err(|error| error.to_string())?;
        let turn = self.turn(progress, context).await.ok_or(NOT_STARTED)?;
        // Whoever has to come back may never do so.
        let patience = matches!(way, Way::Rounds { .. }).then_some(ApprovalSettings::PARKED);
        let timeout = config.approvals.timeout.or(patience);
        let client = Arc::new(ClientChannel::new(way));
        let desk = Desk::new(Arc::clone(&self.ladder), Arc::clone(&client) as Arc<dyn Channel>, timeout);
        // Start-up files may take a while, and end with the wish to have them.
        let started = tokio::select! {
            biased;
            () = self.unwanted(context) => return Err(NOT_STARTED.into()),
            started = self.shell.start_in(wanted, request, Arc::new(desk), turn) => started,
        };
        match started {
            Ok(call) => Ok(Ticket { call, client, shown: Arc::new(shown) }),
            Err(error) => Err(format!("the command did not start: {:#}", anyhow::Error::new(error))),
        }
    }

    /// Completes when a command that has not started must not start any more.
    async fn unwanted(&self, context: &RequestContext<RoleServer>) {
        tokio::select! {
            () = context.ct.cancelled() => {}
            () = self.client_gone.cancelled() => {}
            () = self.shell.closing() => {}
        }
    }

    /// Waits until the command may start. `None`: nobody wants the command any more.
    async fn turn(&self, progress: &mut Progress, context: &RequestContext<RoleServer>) -> Option<Turn> {
        let queue = || {
            let (running, waiting) = self.shell.load();
            format!("waiting: {running} commands are running, {waiting} wait for one of them to end")
        };
        let turn = tokio::select! {
            biased;
            () = self.unwanted(context) => None,
            turn = self.shell.turn() => Some(turn),
            never = progress.tell(queue) => match never {},
        };
        progress.settle(&self.client_gone).await;
        turn
    }

    /// Attaches a request to a call until the call ends, or has questions for the client to take along.
    async fn attend(
        &self,
        mut ticket: Ticket,
        request: &CallToolRequestParams,
        progress: &mut Progress,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let client = Arc::clone(&ticket.client);
        let shown = Arc::clone(&ticket.shown);
        let watched = ticket.call.clone();
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = ticket.call.finished() => break outcome,
                () = context.ct.cancelled() => break ticket.end().await,
                () = self.client_gone.cancelled() => break ticket.end().await,
                () = client.has_questions() => {}
                never = progress.tell(|| progress::of_call(&watched)) => match never {},
            }
            progress.settle(&self.client_gone).await;
            let rules = self.shell.config().rules.current().await;
            if context.ct.is_cancelled() || self.client_gone.is_cancelled() {
                continue; // Nobody would get the result.
            }
            if let Some(waiting) = self.rounds.park(&ticket, request, &rules)? {
                return Ok(waiting.into());
            }
        };
        progress.settle(&self.client_gone).await;
        client.end();
        let outcome = outcome
            .ok_or_else(|| ErrorData::internal_error("the call's task ended without an outcome", None))?;
        let mut shown = (*shown).clone();
        if outcome.ending == Ending::Cancelled && self.client_gone.is_cancelled() {
            shown.notes.push(CLOSED.to_owned());
        }
        let result = result::encode(&outcome, &shown, self.shell.outputs()).await;
        result.map(Into::into).map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }
}

impl ServerHandler for ShellServer {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        capabilities.logging = Some(rmcp::model::JsonObject::new());
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
        if self.initialized.swap(true, Ordering::Relaxed) {
            return Err(ErrorData::invalid_request("already initialized", None));
        }
        context.peer.set_peer_info(request.clone());
        self.negotiate_initialize(&request)
    }

    #[expect(deprecated, reason = "clients of the revisions that have it still say it")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.messages.store(progress::wants(&request.level), Ordering::Relaxed);
        Ok(())
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        one_page(request)?;
        let mut tools = vec![shell_tool::describe(&self.shell.config().limits), read_output::describe()];
        tools.extend(background::describe());
        let mut tools = ListToolsResult::with_all_items(tools);
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
        let signed = signature::is_wanted(&context);
        // A task of its own: rmcp would never answer if this panicked.
        let call = tokio::spawn(self.clone().call_any(request, context));
        let mut response = call.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call broke");
            Err(ErrorData::internal_error("the call broke inside the server; its log says where", None))
        })?;
        match &mut response {
            CallToolResponse::Complete(result) if signed => signature::sign(&mut result.meta),
            CallToolResponse::InputRequired(result) if signed => signature::sign(&mut result.meta),
            CallToolResponse::Complete(_) | CallToolResponse::InputRequired(_) => {}
            // This program makes no others.
            CallToolResponse::Task(_) | _ => {}
        }
        Ok(response)
    }

    async fn on_roots_list_changed(&self, _context: NotificationContext<RoleServer>) {
        self.sandbox_state.forget_roots().await;
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        one_page(request)?;
        let mut list = ListResourcesResult::with_all_items(resources::list(self.shell.outputs()));
        signature::sign_if_wanted(&context, &mut list.meta);
        Ok(list)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        one_page(request)?;
        let mut list = ListResourceTemplatesResult::with_all_items(vec![resources::template()]);
        signature::sign_if_wanted(&context, &mut list.meta);
        Ok(list)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let mut read = resources::read(self.shell.outputs(), &request.uri).await?;
        signature::sign_if_wanted(&context, &mut read.meta);
        Ok(read.into())
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
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method == sandbox_state::UPDATE {
            return self.sandbox_state.update(&self.shell.config().sandboxing, request);
        }
        let expected = match (request.method.as_str(), signature::is_wanted(&context)) {
            ("tools/call" | "tools/list", _) => Some("name must be a string, arguments an object"),
            ("resources/read", _) => Some("uri must be a string"),
            ("resources/list" | "resources/templates/list", _) => Some("cursor must be a string"),
            // Each of these is known in one era only.
            ("logging/setLevel", false) => Some("level must be one of MCP's, such as info"),
            ("initialize", false) => Some("protocolVersion, capabilities and clientInfo are needed"),
            ("subscriptions/listen", true) => Some("notifications must be an object"),
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
