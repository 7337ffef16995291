//! Our server, and beside its tools and resources those of the suite.

use std::sync::Arc;

use exec_server::ShellServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CustomRequest,
    CustomResult, ErrorData, InitializeRequestParams, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerConfig, Tool,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{RoleServer, ServerHandler};

use crate::input_required::Rounds;
use crate::{elicitation, resources, results};

/// One client's server.
#[derive(Clone)]
pub(crate) struct Fixture {
    shell: ShellServer,
    rounds: Arc<Rounds>,
}

impl Fixture {
    pub(crate) fn new(shell: ShellServer) -> anyhow::Result<Fixture> {
        Ok(Fixture { shell, rounds: Arc::new(Rounds::new()?) })
    }

    pub(crate) fn for_another_client(&self) -> Fixture {
        Fixture { shell: self.shell.for_another_client(), rounds: Arc::clone(&self.rounds) }
    }
}

/// The suite's tools.
fn tools() -> impl Iterator<Item = Tool> {
    let all = results::TOOLS.iter().chain(elicitation::TOOLS).chain(crate::input_required::TOOLS);
    all.map(|(name, description)| {
        let schema = serde_json::json!({"type": "object", "properties": {"message": {"type": "string"}}});
        let schema = schema.as_object().cloned().unwrap_or_default();
        Tool::new(*name, *description, Arc::new(schema))
    })
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        self.shell.get_info()
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        self.shell.initialize(request, context).await
    }

    #[expect(deprecated, reason = "the older revision has it")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.shell.set_level(request, context).await
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = self.shell.list_tools(request, context).await?;
        list.tools.extend(tools());
        Ok(list)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.clone();
        if name.starts_with("test_input_required_result") {
            return self.rounds.call(&request, &context);
        }
        if elicitation::TOOLS.iter().any(|(known, _)| *known == name) {
            return elicitation::call(&request, &context).await.map(Into::into);
        }
        if results::TOOLS.iter().any(|(known, _)| *known == name) {
            return results::call(&name, &context).await.map(Into::into);
        }
        self.shell.call_tool(request, context).await
    }

    async fn on_roots_list_changed(&self, context: NotificationContext<RoleServer>) {
        self.shell.on_roots_list_changed(context).await;
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let mut list = self.shell.list_resources(request, context).await?;
        list.resources.extend(resources::list());
        Ok(list)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.shell.list_resource_templates(request, context).await
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match resources::read(&request.uri) {
            Some(result) => result.map(Into::into),
            None => self.shell.read_resource(request, context).await,
        }
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.shell.list_prompts(request, context).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        self.shell.complete(request, context).await
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        self.shell.on_custom_request(request, context).await
    }
}
