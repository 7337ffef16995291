//! The MCP server: which requests there are, and what they attach to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
    CustomRequest, CustomResult, DiscoverResult, ErrorCode, ErrorData, GetTaskParams, GetTaskResult,
    InitializeRequestParams, InitializeResult, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, SubscriptionFilter, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::elsewhere::{self, Elsewhere};
use super::kept_tasks::KeptTasks;
use super::listeners::{Subscriptions, TaskChanges};
use super::offer::Offer;
use super::origin::origin;
use super::parked_calls::ParkedCalls;
use super::progress;
use super::sandbox_state::{self, SandboxState};
use super::session::{self, FirstResult};
use super::session_clients::SessionClients;
use super::token::Token;
use super::workdir::ToldWorkdir;
use super::{instructions, resources, server_info};
use shell_engine::approval::ApprovalChain;
use shell_engine::audit::Origin;
use shell_engine::config::{ApprovalSettings, Limits, ResultFormat};
use shell_engine::shell::Shell;

/// How long clients of 2026-07-28 may keep the list of tools, in milliseconds.
const TOOLS_FRESH_MS: u64 = 60 * 60 * 1000;

/// Serves MCP over any transport of rmcp's.
#[derive(Clone)]
pub struct ShellServer {
    pub(super) shell: Shell,
    pub(super) approvals: Arc<ApprovalChain>,
    pub(super) parked_calls: Arc<ParkedCalls>,
    pub(super) client_gone: CancellationToken,
    pub(super) sandbox_state: Arc<SandboxState>,
    initialized: Arc<AtomicBool>,
    /// Messages are wanted about all requests.
    pub(super) messages: Arc<AtomicBool>,
    pub(super) workdir_told: ToldWorkdir,
    pub(super) first_result: FirstResult,
    pub(super) session_clients: SessionClients,
    pub(super) tasks: KeptTasks,
    pub(super) task_changes: TaskChanges,
    pub(super) subscriptions: Arc<Subscriptions>,
    /// By which later clients find its sessions, where they are kept.
    pub(super) token: Option<Token>,
    pub(super) elsewhere: Arc<Elsewhere>,
    pub(super) offer: Arc<Offer>,
}

impl ShellServer {
    /// A server whose commands run in `shell`, and which asks people by `approvals`.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn new(shell: Shell, approvals: ApprovalChain) -> std::io::Result<ShellServer> {
        let timeout = shell.config().approvals.timeout.unwrap_or(ApprovalSettings::PARKED);
        Ok(ShellServer {
            parked_calls: Arc::new(ParkedCalls::new(timeout, shell.config().server_name.as_deref())?),
            shell,
            approvals: Arc::new(approvals),
            client_gone: CancellationToken::new(),
            sandbox_state: Arc::default(),
            initialized: Arc::default(),
            messages: Arc::default(),
            workdir_told: ToldWorkdir::default(),
            first_result: FirstResult::default(),
            session_clients: SessionClients::default(),
            tasks: KeptTasks::default(),
            task_changes: TaskChanges::default(),
            subscriptions: Arc::default(),
            token: None,
            elsewhere: Arc::default(),
            offer: Arc::default(),
        })
    }

    /// The same server, which offers these tools.
    #[must_use]
    pub fn offering(self, offer: Offer) -> ShellServer {
        ShellServer { offer: Arc::new(offer), ..self }
    }

    /// The same server, whose sessions outlive their client and are found by this token.
    pub(super) fn keeping(self, token: Token) -> ShellServer {
        ShellServer { token: Some(token), ..self }
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
            workdir_told: ToldWorkdir::default(),
            first_result: FirstResult::default(),
            subscriptions: Arc::default(),
            ..self.clone()
        }
    }

    /// What runs the commands. [`Shell::close`] ends them all, which is for whoever serves to do when the serving ends.
    #[must_use]
    pub fn shell(&self) -> &Shell {
        &self.shell
    }

    /// Ends everything; open questions are answered for those who could not come back to another server.
    pub(crate) async fn leave(&self, timeout: Duration) {
        self.parked_calls.give_up("the server is leaving");
        self.shell.close(timeout).await;
    }

    /// Cancelled when the client is gone: nothing may wait for it any more.
    pub(super) fn client_gone(&self) -> &CancellationToken {
        &self.client_gone
    }
}

impl ServerHandler for ShellServer {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tasks()
            .build();
        capabilities.logging = Some(rmcp::model::JsonObject::new());
        capabilities.experimental = Some(sandbox_state::capabilities().into_iter().collect());
        ServerConfig::new(capabilities)
            .with_server_info(server_info::server_info())
            .with_instructions(instructions::text(&self.shell.config().sandboxing))
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

    async fn discover(&self, _context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        Ok(server_info::discovered(&self.supported_protocol_versions(), self.get_info()))
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
        let config = self.shell.config();
        let mut tools = list_tools(request, &self.offer, &config.limits, config.results.format)?;
        if self.token.is_some() {
            tools.tools.iter_mut().for_each(elsewhere::describe_token);
        }
        if server_info::is_wanted(&context) {
            server_info::add(&mut tools.meta);
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
        let is_wanted = server_info::is_wanted(&context);
        // A task of its own: rmcp would never answer if this panicked.
        let (origin, begun) = (origin(&context), Instant::now());
        let Origin { request: name, trace } = origin;
        let span = tracing::info_span!("call", tool = ?request.name, request = name, trace);
        let call = tokio::spawn(self.clone().call_any(request, context).instrument(span.clone()));
        let mut response = call.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call broke");
            Err(ErrorData::internal_error("the call broke inside the server; its log says where", None))
        })?;
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(parent: &span, milliseconds, "a call was answered");
        match &mut response {
            CallToolResponse::Complete(result) if is_wanted => server_info::add(&mut result.meta),
            CallToolResponse::InputRequired(result) if is_wanted => server_info::add(&mut result.meta),
            CallToolResponse::Complete(_) | CallToolResponse::InputRequired(_) => {}
            CallToolResponse::Task(task) if is_wanted => server_info::add(&mut task.meta),
            // This program makes no others.
            CallToolResponse::Task(_) | _ => {}
        }
        Ok(response)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let mut task = GetTaskResult::new(self.tasks.get_task(&request.task_id)?);
        server_info::add_if_wanted(&context, &mut task.meta);
        Ok(task)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
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
        let mut list =
            ListResourcesResult::with_all_items(resources::list(self.shell.outputs(), self.shell.sessions()));
        server_info::add_if_wanted(&context, &mut list.meta);
        Ok(list)
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(self.can_be_told(requested))
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        self.tell(subscription).await
    }

    async fn subscribe(
        &self,
        request: rmcp::model::SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.begin_to_tell(request.uri, context.peer)
    }

    async fn unsubscribe(
        &self,
        request: rmcp::model::UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.end_to_tell(&request.uri);
        Ok(())
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        one_page(request)?;
        let mut list = ListResourceTemplatesResult::with_all_items(resources::templates());
        server_info::add_if_wanted(&context, &mut list.meta);
        Ok(list)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let mut read = match request.uri.as_str() {
            resources::SESSION => {
                session::read(&self.shell, (&self.sandbox_state, self.token.as_ref()), &context).await?
            }
            uri => resources::read(uri, self.shell.outputs(), self.shell.sessions()).await?,
        };
        server_info::add_if_wanted(&context, &mut read.meta);
        Ok(read.into())
    }

    // What is not offered is refused; rmcp would answer with empty lists.

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(not_offered("prompts/list"))
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(not_offered("completion/complete"))
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
        let expected = match (request.method.as_str(), server_info::is_wanted(&context)) {
            ("tools/call" | "tools/list", _) => Some("name must be a string, arguments an object"),
            ("resources/read", _) => Some("uri must be a string"),
            ("resources/list" | "resources/templates/list", _) => Some("cursor must be a string"),
            // Each of these is known in one era only.
            ("logging/setLevel", false) => Some("level must be one of MCP's, such as info"),
            ("initialize", false) => Some("protocolVersion, capabilities and clientInfo are needed"),
            ("tasks/get" | "tasks/update" | "tasks/cancel", true) => Some("taskId must be a string"),
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

/// The tools of this program.
pub(super) fn list_tools(
    request: Option<PaginatedRequestParams>,
    offer: &Offer,
    limits: &Limits,
    format: ResultFormat,
) -> Result<ListToolsResult, ErrorData> {
    one_page(request)?;
    Ok(ListToolsResult::with_all_items(offer.tools(limits, format)))
}

fn not_offered(method: &str) -> ErrorData {
    ErrorData::new(
        ErrorCode::METHOD_NOT_FOUND,
        format!("method not found: {method}; this server does not offer it"),
        None,
    )
}

fn one_page(request: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match request.and_then(|request| request.cursor) {
        Some(_) => Err(ErrorData::invalid_params("unknown cursor: the list has one page", None)),
        None => Ok(()),
    }
}
