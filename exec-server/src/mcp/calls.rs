//! `tools/call`: which tool, and for `shell`: starting a call, or finding the one that is resumed, and attending to it.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::RoleServer;
use rmcp::model::{CallToolRequestParams, CallToolResponse, ErrorData};
use rmcp::service::RequestContext;

use super::client::{ClientChannel, ElicitationMode};
use super::encoding::problem;
use super::parked_calls::Ticket;
use super::progress::{self, Progress};
use super::server::ShellServer;
use super::shell_tool::ShellArguments;
use super::workdir::WorkdirBase;
use super::{apply_patch, background, read_output, result, shell_tool};
use shell_engine::approval::{CallApprover, Channel};
use shell_engine::config::{ApprovalSettings, Wanted};
use shell_engine::shell::{Ending, Turn};

/// For whoever has cancelled a command that was still waiting, or has ended the server.
const NOT_STARTED: &str = "the command was cancelled before it started";

/// For whoever pipes requests into the server.
const CLOSED: &str =
    "the command was ended because the server's input was closed; keep it open until the result has come";

impl ShellServer {
    /// One `tools/call`, of whichever tool.
    pub(super) async fn call_any(
        self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.as_ref();
        let format = self.shell.config().results.format;
        match &*request.name {
            shell_tool::NAME | apply_patch::NAME => self.call_shell(request, context).await,
            read_output::NAME => Ok(read_output::call(arguments, format, self.shell.outputs()).await.into()),
            background::LIST => Ok(background::list(arguments, format, self.shell.running()).await.into()),
            background::KILL => Ok(background::kill(arguments, format, self.shell.running()).await.into()),
            other => {
                let tools = [
                    shell_tool::NAME,
                    read_output::NAME,
                    apply_patch::NAME,
                    background::LIST,
                    background::KILL,
                ];
                let text = format!("tool not found: {other:?}; this server has {tools:?}");
                Err(ErrorData::invalid_params(text, None))
            }
        }
    }

    /// One `tools/call` of `shell` or `apply_patch`: starts a call, or finds the one that it resumes, and attends to it.
    async fn call_shell(
        self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let reason = self.shell.config().approvals.reason.unwrap_or_default();
        let mode = ElicitationMode::of(&context, reason, &self.client_gone);
        let mut progress = Progress::of(&context, self.messages.load(Ordering::Relaxed));
        let ticket = match &request.request_state {
            // A request that brings a state never starts anything.
            Some(state) => {
                let ticket =
                    self.parked_calls.resume(&request, state, &self.shell.rules().current().await)?;
                ticket.client.attach(mode);
                ticket
            }
            None => {
                let sandboxing = &self.shell.config().sandboxing;
                let (wanted, folder) = self.sandbox_state.wanted(sandboxing, &context).await?;
                let home = sandboxing.home().map(Path::to_owned);
                let base = WorkdirBase::new(folder.clone(), home, self.workdir_told.clone());
                let (given, config) = (request.arguments.as_ref(), self.shell.config());
                let is_patch = request.name == apply_patch::NAME;
                let read = match is_patch {
                    true => apply_patch::read(given, config, &base),
                    false => shell_tool::read(given, &config.limits, &base),
                };
                if is_patch && read.is_ok() {
                    progress.say("started", &self.client_gone).await;
                }
                let started = match read {
                    Ok(arguments) => self.start(arguments, &wanted, mode, &mut progress, &context).await,
                    Err(error) => Err(error.to_string()),
                };
                match started {
                    Ok(ticket) => {
                        self.first_result.begin(&self.shell, wanted, folder);
                        ticket
                    }
                    Err(why) => {
                        self.workdir_told.forget();
                        if is_patch {
                            let failed = apply_patch::failed(why, config.results.format);
                            progress.say(apply_patch::FAILED, &self.client_gone).await;
                            return Ok(failed.into());
                        }
                        return Ok(problem(why).into());
                    }
                }
            }
        };
        self.attend(ticket, &request, &mut progress, context).await
    }

    /// Starts a call; a problem is told in words that reach the agent.
    async fn start(
        &self,
        ShellArguments { request, shown }: ShellArguments,
        wanted: &Wanted,
        mode: ElicitationMode,
        progress: &mut Progress,
        context: &RequestContext<RoleServer>,
    ) -> Result<Ticket, String> {
        let config = self.shell.config();
        self.approvals.prepare();
        let turn = self.turn(progress, context).await.ok_or(NOT_STARTED)?;
        // Whoever has to come back may never do so.
        let parked =
            matches!(mode, ElicitationMode::InputRequired { .. }).then_some(ApprovalSettings::PARKED);
        let timeout = config.approvals.timeout.or(parked);
        let client = Arc::new(ClientChannel::new(mode));
        let channel = Arc::clone(&client) as Arc<dyn Channel>;
        let approver = CallApprover::new(Arc::clone(&self.approvals), Some(channel), timeout);
        let used = turn.used();
        let mut start = pin!(self.shell.start_in(wanted, request, Arc::new(approver), turn));
        let started = tokio::select! {
            biased;
            () = self.unwanted(context) => {
                // Start-up files may take a while, and end with the wish to have them. A command that may run already is
                // ended in order, once that it does has been heard.
                if !used.is_made() {
                    return Err(NOT_STARTED.into());
                }
                start.await
            }
            started = &mut start => started,
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
        let is_patch = request.name == apply_patch::NAME;
        let has_told_of_question = AtomicBool::new(false);
        let how_it_goes = || match is_patch {
            true if watched.is_waiting() => {
                has_told_of_question.store(true, Ordering::Relaxed);
                progress::WAITING.to_owned()
            }
            true => "applying".to_owned(),
            false => progress::of_call(&watched),
        };
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = ticket.call.finished() => break outcome,
                () = context.ct.cancelled() => break ticket.end().await,
                () = self.client_gone.cancelled() => break ticket.end().await,
                () = client.has_questions() => {}
                never = progress.tell(&how_it_goes) => match never {},
            }
            progress.settle(&self.client_gone).await;
            let rules = self.shell.rules().current().await;
            if context.ct.is_cancelled() || self.client_gone.is_cancelled() {
                continue; // Nobody would get the result.
            }
            if let Some(waiting) = self.parked_calls.park(&ticket, request, &rules)? {
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
        let results = self.shell.config().results;
        if is_patch {
            if !outcome.waiting.is_zero() && !has_told_of_question.load(Ordering::Relaxed) {
                progress.say(progress::WAITING, &self.client_gone).await;
            }
            let (encoded, status) = apply_patch::encode(&outcome, &shown, results.format).await;
            progress.say(status, &self.client_gone).await;
            return Ok(encoded.into());
        }
        shown.session = self.first_result.take().await;
        Ok(result::encode(&outcome, &shown, results, self.shell.outputs()).await.into())
    }
}
