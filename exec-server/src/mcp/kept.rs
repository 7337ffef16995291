//! Commands in kept shells: `shell` with a session, and what it returns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::model::{CallToolRequestParams, CallToolResult};

use super::client::{ClientChannel, ElicitationMode};
use super::exec_result::ExecResult;
use super::parked_calls::{Form, Going, Ticket};
use super::result;
use super::server::ShellServer;
use super::shell_tool::{self, KeptArguments};
use shell_engine::shell::{CommandEnd, Ending};

/// How long a command may take to end that was interrupted.
const INTERRUPTED: Duration = Duration::from_millis(600);

impl ShellServer {
    /// Whether a request is for a kept shell.
    pub(super) fn names_session(&self, request: &CallToolRequestParams) -> bool {
        let given = request.arguments.as_ref().and_then(|arguments| arguments.get("session_id"));
        &*request.name == shell_tool::NAME && given.is_some_and(|given| !given.is_null())
    }

    /// Gives a kept shell the command of a request.
    pub(super) fn start_kept(
        &self,
        request: &CallToolRequestParams,
        mode: ElicitationMode,
    ) -> Result<Ticket, String> {
        let limits = &self.shell.config().limits;
        let read = shell_tool::read_kept(request.arguments.as_ref(), limits, self.shell.sessions());
        let Some(arguments) = read.map_err(|error| error.to_string())? else {
            return Err("session_id is missing".to_owned());
        };
        let KeptArguments { session, command, shown, wait } = arguments;
        let call = session.call().clone();
        let running = call
            .run(&command)
            .map_err(|error| format!("session {} did not take the command: {error}", session.number()))?;
        session.touch();
        let client = self.session_clients.find(&session);
        let client = client.unwrap_or_else(|| Arc::new(ClientChannel::new(mode.clone())));
        client.attach(mode);
        let (counted, _) = call.times();
        let until = wait.map_or(Duration::MAX, |wait| counted.saturating_add(wait));
        // One that goes on is interrupted when somebody says so.
        let timeout = match wait {
            Some(_) => Duration::MAX,
            None => counted.saturating_add(shown.timeout),
        };
        let going = Going {
            session,
            until,
            form: Form::Shell,
            is_first: false,
            command: Some((running, timeout)),
            writing: None,
            asked: Instant::now(),
        };
        Ok(Ticket { call, client, shown: Arc::new(shown), going: Some(going) })
    }

    /// The result of a request whose command has ended, in a shell that goes on.
    pub(super) async fn command_ended(
        &self,
        ticket: &Ticket,
        going: &Going,
        end: CommandEnd,
        timed_out: bool,
    ) -> CallToolResult {
        let Going { session, form, asked, command, .. } = going;
        self.settle(ticket, going);
        if let Some((command, _)) = command {
            session.tell_command(command);
        }
        let results = self.shell.config().results;
        let notes = ticket.shown.notes.clone();
        let view = result::output_until(session, end.printed, ticket.shown.presentation).await;
        match form {
            Form::Shell | Form::Patch => {
                let ended = (end.exit_code, timed_out, asked.elapsed());
                result::encode_command(session, ended, (view, notes), self.token.as_ref(), results)
            }
            Form::Exec => {
                let result = ExecResult::new(session, None, view, asked.elapsed(), true, notes);
                result.of_command(end.exit_code).found_by(self.token.as_ref()).encode(results.format)
            }
        }
    }

    /// Interrupts the command of a request that has had its time; its shell goes on.
    pub(super) async fn command_timed_out(&self, ticket: &Ticket, going: &Going) -> CallToolResult {
        let mut ticket = ticket.clone();
        let mut shown = (*ticket.shown).clone();
        ticket.call.interrupt();
        let Some((command, _)) = &going.command else { return self.goes_on(&ticket, going).await };
        let ended = tokio::time::timeout(INTERRUPTED, command.ended()).await;
        let timeout = shown.timeout.as_millis();
        match ended {
            Ok(end) => {
                shown.notes.push(format!(
                    "the command was interrupted at its timeout of {timeout} ms; its shell goes on, and with yield_time_ms the \
                        command does, too"
                ));
                ticket.shown = Arc::new(shown);
                let end = CommandEnd { exit_code: Ending::TimedOut.exit_code(), ..end };
                self.command_ended(&ticket, going, end, true).await
            }
            Err(_) => {
                shown.notes.push(format!(
                    "the command did not end when it was interrupted at its timeout of {timeout} ms; background_kill ends the shell"
                ));
                ticket.shown = Arc::new(shown);
                self.goes_on(&ticket, going).await
            }
        }
    }

    /// From now on a session is there for others requests.
    pub(super) fn settle(&self, ticket: &Ticket, going: &Going) {
        let sessions = self.shell.sessions();
        if going.is_first {
            sessions.keep(&going.session);
            self.session_clients.insert(&going.session, &ticket.client, sessions);
        }
        going.session.touch();
    }
}
