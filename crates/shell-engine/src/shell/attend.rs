//! The life of one call, from its start to its end.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use execpolicy::{Nested, Options};
use patches::Failure;
use sandbox::denial::Routes;
use sandbox::{Enforcement, Reached};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::admission::Turn;
use super::behind_door::{CallDoor, Started};
use super::bounded::Bounded;
use super::call::Call;
use super::denials;
use super::input::InputWriter;
use super::kept::KeptShell;
use super::login::Login;
use super::outcome::{CallOutcome, Ending};
use super::patching;
use super::processes::{Alive, CallProcesses};
use super::protected;
use super::publish;
use super::request::{CallRequest, Input};
use super::running::{self, Entered};

use super::shared::{Shell, Watched};
use super::spawn::{ShellSpawnError, Start};
use super::streams::Streams;
use super::terminal::Terminal;
use crate::approval::Approver;
use crate::config::{AfterCall, RetryChoice, ShellKind, Wanted};
use crate::interception::{
    Escalated, InterceptedCall, MadeByCall, Refused, Shutdown, Unexecuted, Whereabouts,
};
use crate::judgement::{
    AskedByCall, CallConnections, CallFacts, Decisions, Environment, Holds, Judge, LetRun, Project, Readers,
    Script, Trust,
};
use crate::network::{Party, Publications};
use crate::output::Output;
use crate::rules::Rules;
use crate::sandboxes::{Process, Sandbox, SandboxError, SpawnError};
use crate::time::Stopwatch;

/// How much longer than the shell escalated programs may take to be gone when all are ended.
const ESCALATED_TIMEOUT: Duration = Duration::from_millis(400);

/// Why a call could not start.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(#[from] StartStep);

#[derive(Debug, thiserror::Error)]
enum StartStep {
    #[error("{0}")]
    Rules(String),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("cannot make the pipes of the command")]
    Streams(#[source] io::Error),
    #[error(transparent)]
    Spawn(#[from] ShellSpawnError),
    #[error("{0}")]
    Patch(Failure),
}

impl StartError {
    /// The file of a patch that cannot be patched, where that is why.
    #[must_use]
    pub fn patch_failure(&self) -> Option<&Failure> {
        match &self.0 {
            StartStep::Patch(failure) => Some(failure),
            StartStep::Rules(_) | StartStep::Sandbox(_) | StartStep::Streams(_) | StartStep::Spawn(_) => None,
        }
    }
}

impl Shell {
    /// Starts a command in the sandbox of the configuration; `approver` is asked when a rule says so. Must be called within
    /// the runtime.
    ///
    /// # Errors
    ///
    /// When the sandbox that was asked for cannot be enforced, or the system has no descriptors or processes left.
    pub async fn start(
        &self,
        request: CallRequest,
        approver: Arc<dyn Approver>,
        turn: Turn,
    ) -> Result<Call, StartError> {
        let wanted = self.config.sandboxing.wanted(&[], None);
        self.start_in(&wanted, request, approver, turn).await
    }

    /// Starts a command in the sandbox of one policy. The turn ends with its shell.
    pub async fn start_in(
        &self,
        wanted: &Wanted,
        request: CallRequest,
        approver: Arc<dyn Approver>,
        turn: Turn,
    ) -> Result<Call, StartError> {
        let started = start(self, wanted, request, approver, turn).await;
        if let (Err(_), Some(observer)) = (&started, &self.observer) {
            observer.call_ended(None);
        }
        started
    }
}

impl StartStep {
    /// Whether nothing of the command has run, because its sandbox did not answer and is gone.
    fn is_for_another_sandbox(&self) -> bool {
        matches!(self, StartStep::Spawn(ShellSpawnError::Spawn(SpawnError::NotBegun)))
    }
}

/// A call whose shell runs.
struct Begun {
    cancel: CancellationToken,
    sandbox: Arc<Sandbox>,
    login: Option<Login>,
    output: Output,
    input: Option<InputWriter>,
    terminal: Option<Terminal>,
    kept: Option<KeptShell>,
    entered: Entered,
    started: Started,
    /// What it hears of published ports, and the question about those that it wants.
    publishing: (Option<Arc<Publications>>, Option<publish::Withdrawn>),
    watched: Watched,
}

/// What sandboxes here can hold beyond what commands may do, as the command's own shows.
fn holds(enforcement: &Enforcement) -> Holds {
    Holds {
        never_executed: enforcement.protects_names(),
        only_executed: enforcement.landlock.is_some() || enforcement.seatbelt,
    }
}

/// Starts a call: the sandbox, the clock, the pipe, the door, the shell.
async fn begin(
    shell: &Shell,
    wanted: &Wanted,
    request: &CallRequest,
    approver: Arc<dyn Approver>,
    turn: &Turn,
) -> Result<Begun, StartStep> {
    let Shell { config, rules, programs, sandboxes, audit, .. } = shell;
    if let Some(obstacle) = rules.obstacle().await {
        return Err(StartStep::Rules(obstacle));
    }
    programs.prepare();
    let cancel = shell.closing.child_token();
    let wanted = wanted.reaching(shell.networks.reachable().await);
    let (wanted, patch) = patching::prepare(shell, &wanted, request).await.map_err(StartStep::Patch)?;
    let sandbox = sandboxes.sandbox(&wanted).await.map_err(StartStep::Sandbox)?;
    // The start-up files' time is not the command's.
    let login = match (request.login, config.shell.kind) {
        (true, ShellKind::Patched | ShellKind::SystemBash) => {
            Some(shell.logins.login(&config.shell.path, &sandbox, sandboxes).await)
        }
        (true, ShellKind::SystemSh) | (false, _) => None,
    };
    let script = Script::new(&request.command.to_string_lossy());
    let asked = request.asked.as_ref().filter(|_| sandbox.plan().mode.is_enforced());
    let asked = asked.map(|asked| {
        let opened = config.opened(asked.grants(), sandbox.plan());
        AskedByCall::new(asked, &config.shell.path, &request.command.to_string_lossy(), opened)
    });
    let becomes = asked.as_ref().map(|asked| CallRequest { command: asked.script(), ..request.clone() });
    let request = becomes.as_ref().unwrap_or(request);
    let stopwatch = Stopwatch::start(request.timeout);
    let plan = Arc::clone(sandbox.plan());
    let trust = Trust::new(Arc::clone(programs), plan).holding(holds(sandbox.enforcement()));
    let given = sandbox.environment();
    // What is written to a command, or typed, is read once.
    let may_retry = config.retry == RetryChoice::Ask
        && matches!(request.input, Input::Nothing | Input::Commands)
        && sandbox.plan().mode.is_enforced();
    let facts = CallFacts {
        may_retry,
        environment: Environment::new(Arc::clone(&config.environment), given)
            .with_start_up_files(login.as_ref().map(Login::exported).unwrap_or_default()),
        trust,
        approver: Arc::clone(&approver),
        stopwatch: stopwatch.clone(),
        decisions: Decisions::default(),
        patch,
        script,
        let_run: LetRun::default(),
        executed: shell.executed.clone(),
        readers: Readers::default(),
        asked,
        cancel: cancel.clone(),
    };
    let end = Shutdown::new(config.limits.grace, shell.closing.clone());
    let facts = Arc::new(facts);
    let (record, whereabouts, escalated) = (audit.call(), Whereabouts::default(), Escalated::default());
    let watched = shell.watch(&record, &request.origin, turn.waited());
    record.came_from(&request.origin);
    let (unproved, unexecuted) = (Arc::default(), Unexecuted::default());
    let (cancelled, shell_ended) = (cancel.clone(), end.shell_ended.clone());
    let connections = CallConnections::new(approver, stopwatch, cancelled, shell_ended, record.clone());
    let connections = Arc::new(connections);
    let party: Arc<dyn Party> = connections.clone();
    let network = sandbox.network().map(|network| Arc::new(network.enter(party)));
    let published = sandbox.network().map(|network| Arc::new(network.publishing().follow()));
    let asks_to_publish = publish::ask(&sandbox, request, config, &connections);
    let intercepted = |is_reported| InterceptedCall {
        judge: Judge {
            rules: Arc::clone(rules),
            options: Options {
                nested: if is_reported { Nested::ExecutedLater } else { Nested::Judged },
                ..config.policy_options()
            },
            users_rules: config.users_rules(),
            own_rules: config.own_rules(),
            project: config.project().map(|(root, answers)| Project { root, answers }),
        },
        facts: Arc::clone(&facts),
        is_reported,
        unproved: Arc::clone(&unproved),
        network: network.clone(),
        connections: Arc::clone(&connections),
        bash: config.bash_identity,
        sandbox: Arc::downgrade(&sandbox),
        sandboxes: Arc::clone(sandboxes),
        wanted: wanted.clone().into_owned(),
        doors: Arc::clone(&shell.kernel_doors) as Arc<_>,
        wrapper: config.execve_wrapper.clone(),
        apart: None,
        refusals: None,
        unexecuted: unexecuted.clone(),
        record: record.clone(),
        whereabouts: whereabouts.clone(),
        refused: Refused::default(),
        made: MadeByCall::default(),
        end: end.clone(),
        escalated: escalated.clone(),
    };
    let streams = Streams::make(&shell.outputs, request.input, &sandbox).map_err(StartStep::Streams)?;
    let Streams { output, input, terminal, kept, theirs, unread } = streams;
    if let Some(unread) = unread {
        facts.readers.count_unread(unread);
    }
    // From here on it may run, also when nobody waits for its start any more.
    turn.use_it();
    let entered = shell.running.enter(&request.command, output.recording());
    let start = Start { shell, sandbox: &sandbox, request, login: login.as_ref(), streams: theirs };
    let started = match start.start(intercepted).await {
        Ok(started) => started,
        Err(error) => {
            entered.fail();
            return Err(StartStep::Spawn(error));
        }
    };
    let publishing = (published, asks_to_publish);
    Ok(Begun { cancel, sandbox, login, output, input, terminal, kept, entered, started, publishing, watched })
}

/// Starts a call, then attends to it until its end.
async fn start(
    shell: &Shell,
    wanted: &Wanted,
    request: CallRequest,
    approver: Arc<dyn Approver>,
    turn: Turn,
) -> Result<Call, StartError> {
    let reached_before = shell.bounded.reached();
    let begun = match begin(shell, wanted, &request, Arc::clone(&approver), &turn).await {
        Err(error) if error.is_for_another_sandbox() => {
            begin(shell, wanted, &request, approver, &turn).await?
        }
        begun => begun?,
    };
    let Begun {
        cancel,
        sandbox,
        login,
        output,
        input,
        terminal,
        kept,
        entered,
        started,
        publishing,
        watched,
    } = begun;
    let Started { process, door, call: intercepted } = started;
    let Shell { config, rules, .. } = shell;
    let (end, whereabouts) = (intercepted.end.clone(), intercepted.whereabouts.clone());
    let refused = intercepted.refused.clone();
    let unexecuted = intercepted.unexecuted.clone();
    let connections = Arc::clone(&intercepted.connections);
    let unproved = Arc::clone(&intercepted.unproved);
    let (stopwatch, decisions) = (intercepted.facts.stopwatch.clone(), intercepted.facts.decisions.clone());
    let approver = Arc::clone(&intercepted.facts.approver);
    let processes = CallProcesses {
        shell: Arc::clone(&process),
        escalated: intercepted.escalated.clone(),
        wrapper: config.execve_wrapper.to_string_lossy().into(),
        command: running::beginning(&request.command).into(),
    };
    let level = if door.is_the_kernels() { "+door" } else { "" };
    let other_shell = config.shell.kind.word().map(|word| format!("+{word}")).unwrap_or_default();
    let level: Arc<str> = format!("{}{level}{other_shell}", sandbox.level()).into();
    let other_shell = config.shell.explain();
    let script = intercepted.facts.script.clone();
    let attended_to = Arc::clone(&intercepted);
    let intercepted = Arc::downgrade(&attended_to);
    shell.calls.spawn(keep(door, attended_to, Arc::clone(&process), cancel.clone()));
    let (announce, outcome) = watch::channel(None);
    let turn = Arc::new(Mutex::new(Some(turn)));
    let call = Call {
        outcome,
        shell: Arc::downgrade(&process),
        intercepted,
        input,
        terminal,
        kept,
        script,
        turn: Arc::clone(&turn),
        decisions: decisions.clone(),
        sandbox: Arc::clone(&level),
        cancel: cancel.clone(),
        stopwatch: stopwatch.clone(),
        output: output.recording().clone(),
        outputs: shell.outputs.clone(),
        started: Instant::now(),
        announced: Arc::default(),
        published: publishing.0.clone(),
    };
    entered.attach(&call, &processes);
    let attended = Attended {
        shell: process,
        processes,
        level,
        other_shell,
        unproved,
        output,
        stopwatch,
        end,
        request,
        login,
        rules: Arc::clone(rules),
        after_call: config.limits.after_call,
        entered,
        decisions,
        approver,
        whereabouts,
        refused,
        unexecuted,
        out_of_reach: shell.running.out_of_reach_of(&sandbox),
        bounded: (shell.bounded.clone(), reached_before),
        sandbox,
        connections,
        published: publishing.0.clone(),
        _asks_to_publish: publishing.1,
        hosts_are_named: shell.networks.are_wanted().await,
        config: config.codex_home.join("config.toml"),
    };
    let observer = shell.observer.clone();
    shell.calls.spawn(async move {
        let outcome = attended.until_end(&cancel).await;
        if let Some(observer) = observer {
            observer.call_ended(Some(&outcome));
        }
        watched.left(&outcome);
        turn.lock().unwrap_or_else(PoisonError::into_inner).take();
        announce.send_replace(Some(Arc::new(outcome)));
    });
    Ok(call)
}

/// Said of a call with a program that would have waited for keys.
const NO_TERMINAL: &str = "a program took its own output for a terminal to read keys from, and nobody is at one, so it read that \
    there are none; start it with a terminal (`tty`), or use a program that needs none";

/// A call while its shell runs.
struct Attended {
    shell: Arc<Process>,
    processes: CallProcesses,
    sandbox: Arc<Sandbox>,
    /// What is in force, in one word.
    level: Arc<str>,
    /// That the shell is not ours, and why.
    other_shell: Option<String>,
    /// Why what ran may not be what was judged.
    unproved: Arc<OnceLock<String>>,
    output: Output,
    stopwatch: Stopwatch,
    end: Shutdown,
    request: CallRequest,
    login: Option<Login>,
    rules: Arc<Rules>,
    after_call: AfterCall,
    entered: Entered,
    decisions: Decisions,
    approver: Arc<dyn Approver>,
    whereabouts: Whereabouts,
    refused: Refused,
    unexecuted: Unexecuted,
    /// What earlier calls have left that this one cannot reach.
    out_of_reach: Vec<String>,
    /// What bounds all commands, and how often that had been reached before.
    bounded: (Bounded, Reached),
    connections: Arc<CallConnections>,
    published: Option<Arc<Publications>>,
    _asks_to_publish: Option<publish::Withdrawn>,
    /// The user has said something about hosts.
    hosts_are_named: bool,
    /// The file with the user's settings.
    config: PathBuf,
}

impl Attended {
    /// Waits for the shell's end, or for a reason to end it.
    async fn ending(&self, cancel: &CancellationToken) -> Ending {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ending::Cancelled,
            // A shell may be quicker than we look; no time is no time all the same.
            () = std::future::ready(()), if self.request.timeout == Some(Duration::ZERO) => Ending::TimedOut,
            end = self.shell.wait() => match end {
                Ok(status) => Ending::Ended(status),
                Err(error) => {
                    tracing::error!(%error, "waiting for a shell failed");
                    Ending::Lost
                }
            },
            () = self.stopwatch.expired() => Ending::TimedOut,
        }
    }

    /// From the running shell to the outcome.
    async fn until_end(mut self, cancel: &CancellationToken) -> CallOutcome {
        let ending = self.ending(cancel).await;
        if matches!(ending, Ending::Cancelled | Ending::TimedOut) {
            self.end_all().await;
        }
        self.end.shell_ended.cancel();
        let (running, waiting) = self.stopwatch.read();
        // Where nobody could be asked, nobody was waited for.
        let times = (running, if self.approver.has_asked() { waiting } else { Duration::ZERO });
        let mut alive = self.processes.alive().await;
        let script = self.request.command.to_string_lossy();
        let (protected, about_protected) =
            protected::explain(&self.refused.names(), &self.request.workdir, &script);
        let mut notes = about_protected;
        notes.append(&mut self.out_of_reach);
        notes.extend(self.refused.wanted_terminal().then(|| NO_TERMINAL.to_owned()));
        if let Some(Login::Without(why)) = &self.login {
            notes.push(why.clone());
        }
        notes.extend(self.unexecuted.read());
        notes.extend(self.sandbox.shortcomings());
        notes.extend(self.sandbox.missing_door());
        notes.extend(self.sandbox.missing_caches());
        let (bounded, before) = &self.bounded;
        notes.extend(bounded.notes(*before, &self.sandbox));
        notes.extend(self.other_shell.clone().filter(|words| self.sandbox.is_news(words)));
        notes.extend(self.published.iter().flat_map(|published| published.news()));
        if self.hosts_are_named {
            notes.extend(self.sandbox.missing_gateway());
        }
        notes.extend(self.unproved.get().cloned().filter(|why| self.sandbox.is_news(why)));
        if alive.total > 0 && self.after_call == AfterCall::End {
            notes.push(format!("{} background processes were ended with the call", alive.total));
            self.end_all().await;
            alive = Alive::default();
        }
        let output = self.output.collect().await;
        output.ended(ending.exit_code());
        self.entered.end(ending);
        if alive.total > 0 {
            alive = self.processes.settled().await;
        }
        let background = alive.listed;
        let end = output.end(denials::LOOKED_AT);
        let command = self.request.command.to_string_lossy().into_owned();
        let folders = self.whereabouts.folders(&command, &self.request.workdir);
        let known = self.connections.known_refusals();
        // Where each is named, nothing needs to be said of them all.
        let routes = if known.no_way { Routes::NotRefused } else { self.shell.refused_routes() };
        let connections = (routes, known.ports);
        let explained =
            denials::explain(&self.sandbox, connections, command, end, folders, &self.config, &self.refused);
        let denials = self.connections.refusals().into_iter().chain(explained.await).collect();
        let sandbox = self.level.to_string();
        let rules_trouble = self.rules.trouble();
        let (decisions, more) = self.decisions.read();
        if more > 0 {
            notes.push(format!("{more} more programs were refused, asked about or let out than are listed"));
        }
        let known = CallOutcome::new(ending, output, times);
        CallOutcome { sandbox, decisions, denials, background, protected, rules_trouble, notes, ..known }
    }

    /// Ends everything that the call has started, inside and outside the sandbox.
    async fn end_all(&self) {
        self.end.ending.cancel();
        self.end.end(&self.shell).await;
        // Those outside were told at the same moment.
        if tokio::time::timeout(self.end.grace() + ESCALATED_TIMEOUT, self.processes.escalated.gone())
            .await
            .is_err()
        {
            tracing::error!("escalated programs do not end");
        }
        self.end.ended.cancel();
    }
}

/// Serves the call's door and keeps its processes; also after the shell's exit, for background processes, until the last of
/// them has ended or the server ends the call. That nobody is left is told by the processes, not by the door.
async fn keep(door: CallDoor, call: Arc<InterceptedCall>, shell: Arc<Process>, cancel: CancellationToken) {
    let end = &call.end;
    let processes = async {
        tokio::select! {
            () = shell.none_left() => end.ended.cancel(),
            () = end.ended.cancelled() => {}
        }
        shell.gone().await;
    };
    let attended = async {
        if door.attend(&call).await.is_err() {
            // Without a judge nothing runs: what the call still wants to execute fails, so it has nothing left to do.
            end.ending.cancel();
            end.end(&shell).await;
        }
        if !shell.follows_descendants() {
            // All that is told there is that nobody can come to the door any more.
            end.ended.cancel();
        }
    };
    let serving = async { tokio::join!(attended, processes) };
    tokio::pin!(serving);
    tokio::select! {
        _ = &mut serving => return,
        () = cancel.cancelled() => {}
    }
    end.ending.cancel();
    // The shell, if it is still there, and its background processes if not.
    end.end(&shell).await;
    if tokio::time::timeout(end.grace(), &mut serving).await.is_err() {
        end.ended.cancel();
        serving.await;
    }
}
