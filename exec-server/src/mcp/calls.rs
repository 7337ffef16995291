//! `tools/call`: which tool, and for `shell`: starting a call, or finding the one that is resumed, and attending to it.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rmcp::RoleServer;
use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData};
use rmcp::service::RequestContext;

use super::apply_patch::NotStarted;
use super::client::{ClientChannel, ElicitationMode};
use super::encoding::problem;
use super::origin::origin;
use super::parked_calls::{Form, Going, Ticket, has_waited};
use super::progress::{self, Progress};
use super::result::ResultContext;
use super::server::ShellServer;
use super::shell_tool::ShellArguments;
use super::workdir::WorkdirBase;
use super::writing::{UNWRITTEN, written};
use super::{apply_patch, background, exec_tool, offer, read_output, result, shell_tool, tasks, tools};
use shell_engine::approval::{CallApprover, Channel};
use shell_engine::config::{ApprovalSettings, Wanted};
use shell_engine::shell::{Call, CallOutcome, CommandEnd, Ending, Turn};

/// What is told of a patch at first.
const STARTED: &str = "started";

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
        if !self.offer.has(&request.name) {
            let text =
                format!("tool not found: {:?}; this server has {:?}", request.name, self.offer.offered());
            return Err(ErrorData::invalid_params(text, None));
        }
        let mut request = offer::translated(request, self.shell.sessions());
        if let Some(response) = self.pass_on(&mut request, &context).await {
            return response;
        }
        let arguments = request.arguments.as_ref();
        let format = self.shell.config().results.format;
        match &*request.name {
            shell_tool::NAME => self.call_shell(request, context, Form::Shell).await,
            apply_patch::NAME => self.call_shell(request, context, Form::Patch).await,
            exec_tool::EXEC => self.call_shell(request, context, Form::Exec).await,
            exec_tool::WRITE => self.call_write(request, context).await,
            read_output::NAME => {
                let kept = (self.shell.outputs(), self.shell.sessions());
                Ok(read_output::call(arguments, format, kept, self.unwanted(&context)).await.into())
            }
            background::LIST => Ok(background::list(arguments, format, &self.shell).await.into()),
            background::KILL => Ok(background::kill(arguments, format, &self.shell).await.into()),
            other => {
                let text = format!("tool not found: {other:?}; this server has {:?}", tools::NAMES);
                Err(ErrorData::invalid_params(text, None))
            }
        }
    }

    /// How the client of this request can be asked.
    pub(super) fn elicitation_mode(&self, context: &RequestContext<RoleServer>) -> ElicitationMode {
        let reason = self.shell.config().approvals.reason.unwrap_or_default();
        ElicitationMode::of(context, reason, &self.client_gone)
    }

    /// Whether messages are wanted about all requests.
    pub(super) fn wants_messages(&self) -> bool {
        self.messages.load(Ordering::Relaxed)
    }

    /// Finds the call that a request resumes.
    pub(super) async fn resume(
        &self,
        request: &CallToolRequestParams,
        state: &str,
        mode: ElicitationMode,
    ) -> Result<Ticket, ErrorData> {
        let ticket = self.parked_calls.resume(request, state, &self.shell.rules().current().await)?;
        ticket.client.attach(mode);
        Ok(ticket)
    }

    /// One `tools/call` of `shell`, `exec_command` or `apply_patch`: starts a call, or finds the one that it resumes, and attends to it.
    async fn call_shell(
        self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
        form: Form,
    ) -> Result<CallToolResponse, ErrorData> {
        let mode = self.elicitation_mode(&context);
        let mut progress = Progress::of(&context, self.wants_messages());
        let ticket = match &request.request_state {
            // A request that brings a state never starts anything.
            Some(state) => self.resume(&request, state, mode).await?,
            None if self.names_session(&request) => match self.start_kept(&request, mode) {
                Ok(ticket) => ticket,
                Err(why) => return Ok(problem(why).into()),
            },
            None => {
                let sandboxing = &self.shell.config().sandboxing;
                let (wanted, folder) = self.sandbox_state.wanted(sandboxing, &context).await?;
                let home = sandboxing.home().map(Path::to_owned);
                let base = WorkdirBase::new(folder.clone(), home, self.workdir_told.clone());
                let (given, config) = (request.arguments.as_ref(), self.shell.config());
                let is_patch = form == Form::Patch;
                let read = match form {
                    Form::Patch => apply_patch::read(given, config, &base),
                    Form::Shell => shell_tool::read(given, &config.limits, &base),
                    Form::Exec => exec_tool::read(given, &config.limits, &base),
                };
                if is_patch && read.is_ok() {
                    progress.say(STARTED, &self.client_gone).await;
                }
                let started = match read {
                    Ok(arguments) => {
                        if is_patch
                            && let Some(misfit) =
                                self.misfit(&arguments, &wanted, &mut progress, &context).await
                        {
                            return Ok(misfit.into());
                        }
                        self.start((arguments, form), &wanted, mode, &mut progress, &context).await
                    }
                    Err(error) => Err(error.to_string().into()),
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
                        return Ok(match why {
                            NotStarted::Misled(failure) => problem(failure.to_string()).into(),
                            NotStarted::Because(why) => problem(why).into(),
                        });
                    }
                }
            }
        };
        self.attend(ticket, &request, &mut progress, context).await
    }

    /// The result of a patch that does not fit, where somebody would be asked about it: nobody is, then.
    async fn misfit(
        &self,
        arguments: &ShellArguments,
        wanted: &Wanted,
        progress: &mut Progress,
        context: &RequestContext<RoleServer>,
    ) -> Option<CallToolResult> {
        if !self.shell.may_ask_about_patch(wanted, &arguments.request).await {
            return None;
        }
        let mode = ElicitationMode::Unsupported("nobody is asked whether a patch fits");
        let request = arguments.request.clone().checking();
        let checking = ShellArguments { request, shown: arguments.shown.clone(), wait: None, first: None };
        // What is wrong with that is told when the patch is to be applied.
        let mut ticket = self.start((checking, Form::Patch), wanted, mode, progress, context).await.ok()?;
        let mut call = ticket.call.clone();
        let outcome = tokio::select! {
            outcome = call.finished() => outcome,
            () = self.unwanted(context) => ticket.end().await,
        }?;
        let format = self.shell.config().results.format;
        let (encoded, status) = apply_patch::encode(&outcome, &ticket.shown, format).await;
        // Who may not run the program is told so where it is to write.
        if outcome.ending.exit_code() == 0 || status == apply_patch::DECLINED {
            return None;
        }
        progress.say(status, &self.client_gone).await;
        Some(encoded)
    }

    /// Starts a call; a problem is told in words that reach the agent.
    async fn start(
        &self,
        (ShellArguments { request, shown, wait, first }, form): (ShellArguments, Form),
        wanted: &Wanted,
        mode: ElicitationMode,
        progress: &mut Progress,
        context: &RequestContext<RoleServer>,
    ) -> Result<Ticket, NotStarted> {
        let config = self.shell.config();
        let place = match wait {
            Some(_) => Some(self.shell.sessions().reserve().map_err(|full| full.to_string())?),
            None => None,
        };
        let asked = Instant::now();
        let request = request.coming_from(origin(context));
        let code = request.command().into_owned();
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
            Ok(call) => {
                let command = match first.map(|first| call.run(&first)).transpose() {
                    Ok(run) => run.map(|run| (run, shown.timeout)),
                    Err(error) => {
                        call.cancel();
                        return Err(error.to_string().into());
                    }
                };
                let going = place.zip(wait).map(|(place, until)| Going {
                    session: place.open(&code, call.clone()),
                    until,
                    form,
                    is_first: true,
                    command,
                    writing: None,
                    asked,
                });
                Ok(Ticket { call, client, shown: Arc::new(shown), going })
            }
            Err(error) => Err(match error.patch_failure() {
                Some(failure) => NotStarted::Misled(failure.clone()),
                None => {
                    let what = if form == Form::Patch {
                        "the patch was not applied"
                    } else {
                        "the command did not start"
                    };
                    format!("{what}: {:#}", anyhow::Error::new(error)).into()
                }
            }),
        }
    }

    /// Completes when a command that has not started must not start any more.
    pub(super) async fn unwanted(&self, context: &RequestContext<RoleServer>) {
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
    pub(super) async fn attend(
        &self,
        mut ticket: Ticket,
        request: &CallToolRequestParams,
        progress: &mut Progress,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let client = Arc::clone(&ticket.client);
        let watched = ticket.call.clone();
        let is_patch = request.name == apply_patch::NAME;
        let (has_told_of_question, has_told_of_start) = (AtomicBool::new(false), AtomicBool::new(false));
        let how_it_goes = || match is_patch {
            true if watched.is_waiting() => {
                has_told_of_question.store(true, Ordering::Relaxed);
                progress::WAITING.to_owned()
            }
            // A question that nobody was told of is told of first.
            true if apply_patch::has_begun(watched.output())
                && (watched.times().1.is_zero() || has_told_of_question.load(Ordering::Relaxed)) =>
            {
                has_told_of_start.store(true, Ordering::Relaxed);
                apply_patch::APPLYING.to_owned()
            }
            true => STARTED.to_owned(),
            false => progress::of_call(&watched),
        };
        let mut call = ticket.call.clone();
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = call.finished() => break outcome,
                // Who only asks for more ends nothing.
                () = context.ct.cancelled(), if ticket.going.as_ref().is_some_and(|going| !going.is_first) => {
                    if ticket.going.as_ref().is_some_and(|going| going.form == Form::Shell) {
                        watched.interrupt(); // A command of a kept shell.
                    }
                    return Ok(problem("nobody waits for this any more; the session goes on").into());
                }
                () = context.ct.cancelled() => break ticket.end().await,
                () = self.client_gone.cancelled() => match &ticket.going {
                    Some(going) if self.token.is_some() => {
                        self.settle(&ticket, going);
                        return Ok(problem("the client is gone; the session goes on").into());
                    }
                    Some(_) | None => break ticket.end().await,
                },
                () = client.has_questions() => {}
                written = written(ticket.going.as_ref().and_then(|going| going.writing.as_ref())) => match written {
                    Ok(notes) => {
                        ticket.is_written(notes);
                        continue;
                    }
                    Err(why) => {
                        progress.settle(&self.client_gone).await;
                        return Ok(problem(why).into());
                    }
                },
                end = command_end(ticket.going.as_ref()) => {
                    progress.settle(&self.client_gone).await;
                    let Some(going) = &ticket.going else { continue };
                    return Ok(self.command_ended(&ticket, going, end, false).await.into());
                }
                () = is_too_late(&watched, ticket.going.as_ref()) => {
                    progress.settle(&self.client_gone).await;
                    let Some(going) = &ticket.going else { continue };
                    return Ok(self.command_timed_out(&ticket, going).await.into());
                }
                () = tasks::is_due(&context, &ticket, &self.tasks), if !is_patch => {
                    progress.settle(&self.client_gone).await;
                    return Ok(self.as_task(ticket));
                }
                () = has_waited(&watched, ticket.going.as_ref()) => {
                    progress.settle(&self.client_gone).await;
                    let Some(going) = &ticket.going else { continue };
                    return Ok(self.goes_on(&ticket, going).await.into());
                }
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
        let mut shown = (*ticket.shown).clone();
        if ticket.going.as_ref().is_some_and(|going| going.writing.is_some()) {
            shown.notes.push(UNWRITTEN.to_owned());
        }
        if outcome.ending == Ending::Cancelled && self.client_gone.is_cancelled() {
            shown.notes.push(CLOSED.to_owned());
        }
        let results = self.shell.config().results;
        if is_patch {
            if !outcome.waiting.is_zero() && !has_told_of_question.load(Ordering::Relaxed) {
                progress.say(progress::WAITING, &self.client_gone).await;
            }
            if apply_patch::has_begun(&outcome.output) && !has_told_of_start.load(Ordering::Relaxed) {
                progress.say(apply_patch::APPLYING, &self.client_gone).await;
            }
            let (encoded, status) = apply_patch::encode(&outcome, &shown, results.format).await;
            progress.say(status, &self.client_gone).await;
            return Ok(encoded.into());
        }
        Ok(self.came_to(&ticket, &outcome, shown).await.into())
    }

    /// The result of a call that has ended.
    pub(super) async fn came_to(
        &self,
        ticket: &Ticket,
        outcome: &CallOutcome,
        mut shown: ResultContext,
    ) -> CallToolResult {
        let results = self.shell.config().results;
        if let Some(going) = &ticket.going {
            if going.form == Form::Exec {
                return self.ended(going, outcome, &shown, results).await;
            }
            if going.session.call().is_kept() {
                going.session.tell_end();
                let kept = (&going.session, going.asked.elapsed());
                return result::encode_last(outcome, kept, &shown, results).await;
            }
            self.shell.sessions().forget(&going.session);
        }
        shown.session = self.first_result.take().await;
        result::encode(outcome, &shown, results, self.shell.outputs()).await
    }
}

/// Completes with the end of the command of a kept shell that the request waits for; never without one.
async fn command_end(going: Option<&Going>) -> CommandEnd {
    match going.and_then(|going| going.command.as_ref()) {
        Some((command, _)) => command.ended().await,
        None => std::future::pending().await,
    }
}

/// Completes when that command has had its time.
async fn is_too_late(call: &Call, going: Option<&Going>) {
    match going.and_then(|going| going.command.as_ref()) {
        Some((_, until)) => call.has_run_for(*until).await,
        None => std::future::pending().await,
    }
}
