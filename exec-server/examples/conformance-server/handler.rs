//! The fixture: our server's handler, with the suite's names added. Whatever is not one of them goes to ours as it is,
//! so our lists, results, errors and questions are what the suite sees.

use std::sync::Arc;

use exec_server::ShellServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CompletionInfo,
    CustomRequest, CustomResult, DiscoverResult, ErrorData, GetPromptRequestParams, GetPromptResponse,
    GetPromptResult, InitializeRequestParams, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams, PromptMessage,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Role, ServerConfig,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{RoleServer, ServerHandler};

use crate::asking::{self, Asked};
use crate::commands::Commands;
use crate::content;

/// One client's server.
pub(crate) struct Fixture {
    ours: ShellServer,
    commands: Arc<Commands>,
}

impl Fixture {
    pub(crate) fn new(ours: ShellServer, commands: Arc<Commands>) -> Fixture {
        Fixture { ours, commands }
    }
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let mut info = self.ours.get_info();
        info.capabilities.prompts = Some(Default::default());
        info.capabilities.completions = Some(Default::default());
        info
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let mut result = self.ours.initialize(request, context).await?;
        result.capabilities = self.get_info().capabilities;
        Ok(result)
    }

    async fn discover(&self, context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let mut result = self.ours.discover(context).await?;
        let all = self.get_info().capabilities;
        result.capabilities.prompts = all.prompts;
        result.capabilities.completions = all.completions;
        Ok(result)
    }

    #[expect(deprecated, reason = "the suite checks the revisions that have it, too")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.ours.set_level(request, context).await
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = self.ours.list_tools(request, context).await?;
        list.tools.extend(self.commands.describe().chain(asking::tools()).chain(content::tools()));
        Ok(list)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(result) = content::call(&request.name) {
            return Ok(result.into());
        }
        if let Some(result) = asking::call(&request, &context).await {
            return result;
        }
        self.ours.call_tool(self.commands.translate(request), context).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let mut list = self.ours.list_resources(request, context).await?;
        list.resources.extend(content::resources());
        Ok(list)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let mut list = self.ours.list_resource_templates(request, context).await?;
        list.resource_templates.push(content::template());
        Ok(list)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match content::read(&request.uri) {
            Some(contents) => Ok(ReadResourceResult::new(vec![contents]).into()),
            None => self.ours.read_resource(request, context).await,
        }
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = content::prompts().into_iter().chain(asking::prompts());
        Ok(ListPromptsResult::with_all_items(prompts.collect()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        match asking::prompt(&request.name, request.input_responses.as_ref(), &context) {
            Some(asked) => Ok(match asked? {
                Asked::Open(result) => result.into(),
                Asked::Answered(answers) => {
                    let message = PromptMessage::new_text(Role::User, format!("answered: {answers:?}"));
                    GetPromptResult::new(vec![message]).into()
                }
            }),
            None => content::prompt(&request.name, &request.arguments.unwrap_or_default()).map(Into::into),
        }
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let none = CompletionInfo::with_all_values(Vec::new());
        none.map(CompleteResult::new).map_err(|error| ErrorData::internal_error(error, None))
    }

    async fn on_roots_list_changed(&self, context: NotificationContext<RoleServer>) {
        self.ours.on_roots_list_changed(context).await;
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        self.ours.on_custom_request(request, context).await
    }
}
