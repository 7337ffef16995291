//! Calls that outlive their request (MCP's extension `io.modelcontextprotocol/tasks`).
//!
//! A client that knows tasks gets one in place of a command's result when that does not come soon. It asks for the task until
//! it has ended, answers the questions that the command has meanwhile, or cancels it, which ends the command.

use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolResponse, CallToolResult, CreateTaskResult, ErrorData, InputRequest, InputResponses,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskContext, TaskExit, TaskOptions};
use tokio::task::JoinSet;

use super::parked_calls::Ticket;
use super::result;
use super::server::ShellServer;
use shell_engine::shell::{Call, CallOutcome};

/// What comes sooner is a plain result.
const SOON: Duration = Duration::from_secs(1);

/// How often a client is asked to look, in milliseconds.
const LOOK_MS: u64 = 1000;

/// How long a task can be asked for beyond its command's timeout.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// Ends a call that nobody attends to any more: its task is gone.
struct Attended(Call);

impl Drop for Attended {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Completes when a call is to become a task; never for a client that does not know them.
pub(super) async fn is_due(context: &RequestContext<RoleServer>, ticket: &Ticket) {
    let knows = context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks());
    if knows && ticket.going.is_none() {
        tokio::time::sleep(SOON).await;
    } else {
        std::future::pending().await
    }
}

impl ShellServer {
    /// Makes a task of a call.
    pub(super) fn as_task(&self, ticket: Ticket) -> CallToolResponse {
        let kept = ticket.shown.timeout.saturating_add(KEPT).as_millis();
        let options = TaskOptions::new()
            .with_ttl_ms(u64::try_from(kept).ok())
            .with_poll_interval_ms(LOOK_MS)
            .with_status_message("the command runs");
        let server = self.clone();
        let task = self.tasks.spawn(options, move |context| Box::pin(server.attend_task(ticket, context)));
        CallToolResponse::Task(CreateTaskResult::new(task))
    }

    /// Attends to a call as a task, until its end.
    async fn attend_task(self, ticket: Ticket, context: TaskContext) -> Result<CallToolResult, TaskExit> {
        let attended = Attended(ticket.call.clone());
        let mut call = ticket.call.clone();
        let mut asked = JoinSet::new();
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = call.finished() => break outcome,
                () = context.cancelled() => {
                    call.cancel();
                    call.finished().await;
                    ticket.client.end();
                    return Err(TaskExit::Cancelled);
                }
                () = self.client_gone.cancelled() => {
                    call.cancel();
                    break call.finished().await;
                }
                Some(answered) = asked.join_next() => {
                    if let Ok(Some((id, answer))) = answered {
                        ticket.client.answer(&InputResponses::from_iter([(id, answer)]));
                    }
                }
                () = ticket.client.has_questions(), if asked.is_empty() => {
                    context.set_status_message("a person is asked");
                    self.ask(&ticket, &context, &mut asked)?;
                }
            }
        };
        drop(attended);
        ticket.client.end();
        let broken = || ErrorData::internal_error("the call's task ended without an outcome", None);
        let outcome: Arc<CallOutcome> = outcome.ok_or_else(broken)?;
        let results = self.shell.config().results;
        Ok(result::encode(&outcome, &ticket.shown, results, self.shell.outputs()).await)
    }

    /// Lays the call's open questions out in its task.
    fn ask(
        &self,
        ticket: &Ticket,
        context: &TaskContext,
        asked: &mut JoinSet<Option<(String, serde_json::Value)>>,
    ) -> Result<(), TaskExit> {
        let requests =
            ticket.client.take_along().map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        for (id, request) in requests {
            let context = context.clone();
            asked.spawn(answer(context, id, request));
        }
        Ok(())
    }
}

/// Waits for the answer to one question.
async fn answer(
    context: TaskContext,
    id: String,
    request: InputRequest,
) -> Option<(String, serde_json::Value)> {
    let answer = context.request_input(id.clone(), request).await.ok()?;
    context.set_status_message("the command runs");
    Some((id, answer))
}
