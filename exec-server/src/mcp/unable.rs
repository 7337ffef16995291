//! A server that cannot run commands, and says why in every result: clients show results to people, but hardly ever
//! what a server has written before it died.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, DiscoverResult, ErrorData, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};

use super::encoding::problem;
use super::offer::Offer;
use super::server::list_tools;
use super::{instructions, server_info};
use shell_engine::config::{Limits, ResultFormat};
use shell_engine::user_command::user_command;

/// Answers in place of a [`ShellServer`](super::ShellServer) that could not be made.
#[derive(Clone)]
pub(super) struct UnableServer {
    /// What is wrong, and what to do.
    why: Arc<str>,
}

impl UnableServer {
    pub(super) fn new(why: &str) -> UnableServer {
        let text = format!(
            "No command can run here: {why}\nOnce that is mended, start this server again. `{} doctor` tries every part.",
            user_command()
        );
        UnableServer { why: text.into() }
    }
}

impl ServerHandler for UnableServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build())
            .with_server_info(server_info::server_info())
            .with_instructions(instructions::UNABLE)
    }

    async fn discover(&self, _context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        Ok(server_info::discovered(&self.supported_protocol_versions(), self.get_info()))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut tools = list_tools(request, &Offer::default(), &Limits::default(), ResultFormat::default())?;
        server_info::add_if_wanted(&context, &mut tools.meta);
        Ok(tools)
    }

    async fn call_tool(
        &self,
        _request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let mut result = problem(&*self.why);
        server_info::add_if_wanted(&context, &mut result.meta);
        Ok(result.into())
    }
}
