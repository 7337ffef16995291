//! Our server under the names that the suite uses. Everything else goes to it as it is.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use exec_server::ShellServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CustomRequest,
    CustomResult, ErrorData, InitializeRequestParams, InitializeResult, InputRequiredResult, JsonObject,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ServerConfig, Tool,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Value, json};

use crate::plain;
use crate::tools::{TOOLS, TestTool};

const TEMPLATE: (&str, &str) = ("test://template/", "/data");

/// One client's server.
pub(crate) struct Fixture {
    server: ShellServer,
    workdir: PathBuf,
    /// From a state to the server's own name of the question that came with it.
    questions: Arc<Mutex<HashMap<String, String>>>,
}

impl Fixture {
    pub(crate) fn new(server: ShellServer, workdir: PathBuf) -> Fixture {
        Fixture { server, workdir, questions: Arc::default() }
    }

    pub(crate) fn for_another_client(&self) -> Fixture {
        Fixture {
            server: self.server.for_another_client(),
            workdir: self.workdir.clone(),
            questions: Arc::clone(&self.questions),
        }
    }

    /// A request of `shell` for this command.
    fn shell(&self, mut request: CallToolRequestParams, command: Option<&str>) -> CallToolRequestParams {
        let mut arguments = JsonObject::new();
        arguments.insert("workdir".into(), json!(self.workdir));
        arguments.insert("login".into(), json!(false));
        if let Some(command) = command {
            arguments.insert("command".into(), json!(command));
        }
        request.name = "shell".into();
        request.arguments = Some(arguments);
        request
    }

    /// Calls `shell` in place of a tool of the suite.
    async fn call(
        &self,
        tool: TestTool,
        mut request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(name) = tool.question {
            self.restore(&mut request, name);
        }
        let mut response = self.server.call_tool(self.shell(request, tool.command), context).await?;
        if let (Some(name), CallToolResponse::InputRequired(result)) = (tool.question, &mut response) {
            self.rename(result, name);
        }
        Ok(response)
    }

    /// Gives the question the name that the suite insists on.
    fn rename(&self, result: &mut InputRequiredResult, name: &str) {
        let Some(requests) = &mut result.input_requests else { return };
        if let (Some((own, question)), Some(state)) = (requests.pop_first(), &result.request_state) {
            requests.insert(name.to_owned(), question);
            let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
            questions.insert(state.clone(), own);
        }
    }

    /// Gives the answer the name that the server knows.
    fn restore(&self, request: &mut CallToolRequestParams, name: &str) {
        let (Some(state), Some(responses)) = (&request.request_state, &mut request.input_responses) else {
            return;
        };
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(own), Some(answer)) = (questions.remove(state), responses.remove(name)) {
            responses.insert(own, answer);
        }
    }

    /// Reads a resource of the suite's: a command prints it, and its output is read as the resource that it then is.
    async fn read(
        &self,
        command: String,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let mut request = self.shell(CallToolRequestParams::new("shell"), Some(&command));
        if let Some(arguments) = &mut request.arguments {
            // What is left out of a result can be read.
            arguments.insert("max_output_tokens".into(), json!(1));
        }
        let response = self.server.call_tool(request, context.clone()).await?;
        let CallToolResponse::Complete(result) = response else {
            return Err(ErrorData::internal_error("the command asked a question", None));
        };
        let link = result.content.iter().find_map(|block| block.as_resource_link());
        let link = link.ok_or_else(|| ErrorData::internal_error("the output is not kept", None))?;
        self.server.read_resource(ReadResourceRequestParams::new(link.uri.clone()), context).await
    }
}

/// A tool of the suite as it is listed.
fn describe(name: &'static str) -> Tool {
    let mut schema = JsonObject::new();
    schema.insert("type".into(), Value::from("object"));
    Tool::new(name, "A tool of the conformance suite's.", Arc::new(schema))
}

impl ServerHandler for Fixture {
    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = self.server.list_tools(request, context).await?;
        let names = TOOLS.iter().map(|tool| tool.name).chain(plain::NAMES);
        list.tools.extend(names.map(describe));
        Ok(list)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(tool) = TOOLS.iter().find(|tool| tool.name == request.name) {
            return self.call(*tool, request, context).await;
        }
        if plain::NAMES.contains(&&*request.name) {
            return plain::call(&request.name, &context).await.map(Into::into);
        }
        self.server.call_tool(request, context).await
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let long = "yes 'a resource of text' | head -n 100";
        if request.uri == "test://static-text" {
            return self.read(long.into(), context).await;
        }
        let id = request.uri.strip_prefix(TEMPLATE.0).and_then(|rest| rest.strip_suffix(TEMPLATE.1));
        match id.and_then(|id| id.parse::<u64>().ok()) {
            Some(id) => self.read(format!("echo number {id}; {long}"), context).await,
            None => self.server.read_resource(request, context).await,
        }
    }

    // What follows is the server's own.

    fn get_info(&self) -> ServerConfig {
        self.server.get_info()
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        self.server.initialize(request, context).await
    }

    #[expect(deprecated, reason = "clients of the revisions that have it still say it")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.server.set_level(request, context).await
    }

    async fn on_roots_list_changed(&self, context: NotificationContext<RoleServer>) {
        self.server.on_roots_list_changed(context).await;
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.server.list_resources(request, context).await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.server.list_resource_templates(request, context).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.server.list_prompts(request, context).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        self.server.complete(request, context).await
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        self.server.on_custom_request(request, context).await
    }
}
