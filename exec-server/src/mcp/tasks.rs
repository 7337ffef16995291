//! Calls that outlive their request (MCP's extension `io.modelcontextprotocol/tasks`).
//!
//! A client that knows tasks gets one in place of a command's result when that does not come soon. It asks for the task until
//! it has ended, answers the questions that the command has meanwhile, or cancels it, which ends the command.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolResponse, CallToolResult, CreateTaskResult, ErrorData, InputRequest, InputResponses,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskContext, TaskExit, TaskOptions};
use tokio::task::JoinSet;

use super::kept_tasks::{KEPT, KeptTasks};
use super::parked_calls::{Ticket, has_waited};
use super::server::ShellServer;
use shell_engine::shell::{Call, CallOutcome};

/// What comes sooner is a plain result.
const SOON: Duration = Duration::from_secs(1);

/// How often a client is asked to look, in milliseconds.
const LOOK_MS: u64 = 1000;

/// How long it takes until what a task does can be read.
const SETTLING: Duration = Duration::from_millis(5);

/// Ends a call that nobody attends to any more: its task is gone.
struct Attended(Option<Call>);

impl Attended {
    /// It goes on, or has ended.
    fn is_over(&mut self) {
        self.0 = None;
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        if let Some(call) = &self.0 {
            call.cancel();
        }
    }
}

/// Tells those who listen that a task has ended.
struct ToldOfItsEnd<'s> {
    server: &'s ShellServer,
    id: String,
}

impl Drop for ToldOfItsEnd<'_> {
    fn drop(&mut self) {
        self.server.tell_of_task(&self.id);
    }
}

/// Completes when a call is to become a task, and there may be one more; never for a client that does not know them.
pub(super) async fn is_due(context: &RequestContext<RoleServer>, ticket: &Ticket, tasks: &KeptTasks) {
    let knows = context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks());
    // Whoever comes back to a session waits no longer than it says.
    let begins = ticket.going.as_ref().is_none_or(|going| going.is_first && going.command.is_none());
    if knows && begins {
        tokio::time::sleep(SOON).await;
        while !tasks.has_room() {
            tokio::time::sleep(SOON).await;
        }
    } else {
        std::future::pending().await
    }
}

impl ShellServer {
    /// Makes a task of a call.
    pub(super) fn as_task(&self, ticket: Ticket) -> CallToolResponse {
        let timeout = if ticket.going.is_some() { Duration::ZERO } else { ticket.shown.timeout };
        let kept = timeout.saturating_add(KEPT).as_millis();
        let options = TaskOptions::new()
            .with_ttl_ms(u64::try_from(kept).ok())
            .with_poll_interval_ms(LOOK_MS)
            .with_status_message("the command runs");
        let server = self.clone();
        let task = self.tasks.spawn(options, move |context| server.attend_task(ticket, context));
        CallToolResponse::Task(CreateTaskResult::new(task))
    }

    /// Attends to a call as a task, until its end.
    async fn attend_task(self, ticket: Ticket, context: TaskContext) -> Result<CallToolResult, TaskExit> {
        let mut attended = Attended(Some(ticket.call.clone()));
        let _told = ToldOfItsEnd { server: &self, id: context.task_id().to_owned() };
        let mut call = ticket.call.clone();
        let (mut asked, mut known) = (JoinSet::new(), HashSet::new());
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = call.finished() => break outcome,
                () = context.cancelled() => {
                    call.cancel();
                    call.finished().await;
                    ticket.client.end();
                    context.set_status_message("the command was ended");
                    return Err(TaskExit::Cancelled);
                }
                () = self.client_gone.cancelled() => {
                    call.cancel();
                    break call.finished().await;
                }
                () = has_waited(&ticket.call, ticket.going.as_ref()) => {
                    attended.is_over();
                    let Some(going) = &ticket.going else { continue };
                    context.set_status_message("the command goes on as a session");
                    return Ok(self.goes_on(&ticket, going).await);
                }
                Some(answered) = asked.join_next() => {
                    self.task_changes.tell(context.task_id());
                    if let Ok(Some((id, answer))) = answered {
                        ticket.client.answer(&InputResponses::from_iter([(id, answer)]));
                    }
                }
                () = ticket.client.has_new_questions() => {
                    context.set_status_message("a person is asked");
                    self.ask(&ticket, &context, (&mut asked, &mut known))?;
                    self.tell_of_task(context.task_id());
                }
            }
        };
        attended.is_over();
        context.set_status_message("the command has ended");
        ticket.client.end();
        let broken = || ErrorData::internal_error("the call's task ended without an outcome", None);
        let outcome: Arc<CallOutcome> = outcome.ok_or_else(broken)?;
        Ok(self.came_to(&ticket, &outcome, (*ticket.shown).clone()).await)
    }

    /// Tells those who listen that a task does something else, once it does.
    fn tell_of_task(&self, id: &str) {
        let (changes, id) = (self.task_changes.clone(), id.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(SETTLING).await;
            changes.tell(&id);
        });
    }

    /// Lays the call's open questions out in its task.
    fn ask(
        &self,
        ticket: &Ticket,
        context: &TaskContext,
        (asked, known): (&mut JoinSet<Answered>, &mut HashSet<String>),
    ) -> Result<(), TaskExit> {
        let requests =
            ticket.client.take_along().map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        for (id, request) in requests {
            if !known.insert(id.clone()) {
                continue;
            }
            let context = context.clone();
            asked.spawn(answer(context, id, request));
        }
        Ok(())
    }
}

/// A question by its name, and the answer; none when it was withdrawn.
type Answered = Option<(String, serde_json::Value)>;

/// Waits for the answer to one question.
async fn answer(context: TaskContext, id: String, request: InputRequest) -> Answered {
    let answer = context.request_input(id.clone(), request).await.ok()?;
    context.set_status_message("the command runs");
    Some((id, answer))
}
