//! `write_stdin`, and what requests to sessions return.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::RoleServer;
use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData};
use rmcp::service::RequestContext;

use super::client::{ClientChannel, ElicitationMode};
use super::encoding::problem;
use super::exec_result::ExecResult;
use super::exec_tool::{self, Means, WriteArguments};
use super::parked_calls::{Form, Going, Ticket};
use super::progress::Progress;
use super::resources;
use super::result::{self, ResultContext};
use super::server::ShellServer;
use super::writing::Writing;
use shell_engine::config::Results;
use shell_engine::output::View;
use shell_engine::shell::{CallOutcome, Ending, Screen, Session, Typed};

/// `Ctrl-C` and `Ctrl-D`, as models write them.
const INTERRUPT: [&str; 2] = ["\u{3}", "<C-c>"];
const END_OF_INPUT: [&str; 2] = ["\u{4}", "<C-d>"];

fn is_key(chars: &str, key: [&str; 2]) -> bool {
    key.iter().any(|name| chars.eq_ignore_ascii_case(name))
}

impl ShellServer {
    /// One `tools/call` of `write_stdin`: writes, then attends to the session for a while.
    pub(super) async fn call_write(
        self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let mode = self.elicitation_mode(&context);
        let ticket = match &request.request_state {
            // What it writes was written by the request that it repeats.
            Some(state) => self.resume(&request, state, mode).await?,
            None => {
                let arguments = request.arguments.as_ref();
                let read =
                    exec_tool::read_write(arguments, &self.shell.config().limits, self.shell.sessions());
                let written = match read {
                    Ok(arguments) => self.write(arguments, mode),
                    Err(error) => Err(error.to_string()),
                };
                match written {
                    Ok(ticket) => ticket,
                    Err(why) => return Ok(problem(why).into()),
                }
            }
        };
        let mut progress = Progress::of(&context, self.wants_messages());
        self.attend(ticket, &request, &mut progress, context).await
    }

    /// Writes to a session.
    fn write(&self, arguments: WriteArguments, mode: ElicitationMode) -> Result<Ticket, String> {
        let WriteArguments { session, chars, means, size, wait, shown } = arguments;
        let call = session.call().clone();
        session.touch();
        let number = session.number();
        if call.has_ended() && !session.tell_end() {
            let id = call.output().id();
            let code = call.output().exit_code().unwrap_or_default();
            return Err(format!(
                "session {number} has ended with exit code {code}, as was told; read_output has all that it printed, with {{\"id\":\"{id}\"}}"
            ));
        }
        let client = self.session_clients.find(&session);
        let client = client.unwrap_or_else(|| Arc::new(ClientChannel::new(mode.clone())));
        client.attach(mode);
        if let Some(size) = size
            && let Err(error) = call.resize(size)
        {
            return Err(format!("the terminal of session {number} keeps its size: {error}"));
        }
        let typed = match means {
            Means::Chars => Typed::Text(&chars),
            Means::Keys => Typed::Keys(&chars),
            Means::Paste => Typed::Paste(&chars),
        };
        let mut command = session.command_to_tell();
        let mut writing = None;
        match &*chars {
            "" => {}
            _ if is_key(&chars, INTERRUPT) && !call.has_terminal() => call.interrupt(),
            _ if is_key(&chars, END_OF_INPUT) && !call.has_terminal() && !call.is_kept() => {
                call.close_input();
            }
            code if call.is_kept() => {
                let code = if is_key(code, END_OF_INPUT) { "exit" } else { code };
                let run = call.run(code);
                command = Some(run.map_err(|error| format!("session {number} did not take this: {error}"))?);
            }
            _ => writing = Some(Writing::begin(&session, &typed)),
        }
        let until = call.times().0.saturating_add(wait);
        let command = command.map(|command| (command, Duration::MAX));
        let (form, asked) = (Form::Exec, Instant::now());
        let going = Going { session, until, form, is_first: false, command, writing, asked };
        Ok(Ticket { call, client, shown: Arc::new(shown), going: Some(going) })
    }

    /// The result of a request whose call goes on.
    pub(super) async fn goes_on(&self, ticket: &Ticket, going: &Going) -> CallToolResult {
        let sessions = self.shell.sessions();
        let results = self.shell.config().results;
        let Going { session, form, asked, .. } = going;
        self.settle(ticket, going);
        let mut shown = (*ticket.shown).clone();
        shown.notes.push(idle_note(sessions.idle_limit()));
        let unread = session.call().unread_input();
        if unread > 0 {
            shown.notes.push(format!("{unread} bytes wait until it reads them"));
        }
        shown.notes.extend(session.call().news_of_ports());
        if session.call().is_waiting() {
            shown.notes.push("it waits for a person's approval".to_owned());
        }
        match form {
            Form::Shell | Form::Patch => {
                let took = asked.elapsed();
                result::encode_running(session, (&shown, took), self.token.as_ref(), results).await
            }
            Form::Exec => {
                let (view, screen) = seen(session, &shown).await;
                let waited = asked.elapsed();
                let facts = self.first_result.take().await;
                let cast = cast(session, &shown);
                let result = ExecResult::new(session, None, view, waited, true, shown.notes);
                let result = result.with_screen(screen).found_by(self.token.as_ref()).saying(facts, cast);
                result.encode(results.format)
            }
        }
    }

    /// The result of a request to a session that has ended.
    pub(super) async fn ended(
        &self,
        going: &Going,
        outcome: &CallOutcome,
        shown: &ResultContext,
        results: Results,
    ) -> CallToolResult {
        let Going { session, is_first, asked, .. } = going;
        session.tell_end();
        let (view, screen) = seen(session, shown).await;
        let waited = asked.elapsed();
        let mut notes = shown.notes.clone();
        notes.extend(session.was_idle().map(result::idled));
        if outcome.ending == Ending::TimedOut {
            notes.push(result::timed_out(session.call().timeout()));
        }
        let cast = cast(session, shown);
        let is_kept = !is_first || cast.is_some();
        let result = ExecResult::new(session, Some(outcome), view, waited, is_kept, notes);
        let result = result.with_screen(screen).saying(self.first_result.take().await, cast);
        if result.is_readable() {
            self.shell.outputs().keep(session.call().output());
        }
        if !is_kept {
            self.shell.sessions().forget(session);
        }
        result.encode(results.format)
    }
}

/// Where the recording of its terminal is, if that is wanted.
fn cast(session: &Session, shown: &ResultContext) -> Option<String> {
    shown.record.then(|| resources::cast_uri(session.call().output()))
}

/// What was printed since the last result, and the screen if that is wanted.
async fn seen(session: &Arc<Session>, shown: &ResultContext) -> (View, Option<Screen>) {
    let mut view = result::new_output(session, shown.presentation).await;
    if session.has_terminal() {
        // As a terminal has them; a reader wants the lines.
        view.text = view.text.replace("\r\n", "\n");
    }
    if !shown.screen {
        return (view, None);
    }
    let call = session.call().clone();
    let screen = tokio::task::spawn_blocking(move || call.screen()).await;
    (view, screen.unwrap_or_default())
}

fn idle_note(limit: Duration) -> String {
    format!("it is ended when nobody asks for it and it prints nothing for {}", result::in_words(limit))
}
