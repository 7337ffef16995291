//! A program in a session of the sandbox: its end, signals for it, and the end of everything that it has started.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use sandbox::denial::Routes;
use sandbox::{Call, CallEvent, ExitStatus, Namespace, SessionError, SpawnRequest};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::company::{Arrival, Presence};
use super::spawn_error::SpawnError;
use super::{Sandbox, Signal};
use crate::sys::watch_readable;

/// A session says within milliseconds whether a program runs. When it does not, something inside has stopped it.
const START_TIMEOUT: Duration = Duration::from_secs(2);

/// How much longer than their grace processes may take to be gone: killing a large tree takes a few passes over it.
const GONE_TIMEOUT: Duration = Duration::from_millis(400);

/// How long a session may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A program and everything that it has started. Dropping it kills all of them.
#[derive(Debug)]
pub(crate) struct Process {
    call: Arc<AsyncFd<Call>>,
    told: watch::Receiver<Told>,
    follower: AbortHandle,
    /// Keeps the session, without which the program would end.
    sandbox: Arc<Sandbox>,
    arrival: Arrival,
}

/// Processes of a call that are alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remaining {
    /// How many there are.
    pub total: usize,
    /// The first of them: number, as commands in the same sandbox see it, and command line.
    pub listed: Vec<(i32, String)>,
}

/// Who gets the listener on which is reported what a program and its descendants are about to execute.
pub(crate) type Reports = tokio::sync::oneshot::Sender<OwnedFd>;

/// What the session has told of the program so far.
#[derive(Debug, Default)]
struct Told {
    /// Something of it may have run; before, it surely has not.
    accepted: bool,
    /// It is held before its first instruction, until somebody has the listener.
    awaits_reports: bool,
    started: Option<Result<(), SpawnError>>,
    ended: Option<ExitStatus>,
    /// No process is left, or the session is.
    gone: bool,
    /// Answers so far, and the last one.
    alive: (u64, Remaining),
    /// How often the kernel has found no route since the program was asked for.
    refused_routes: u64,
}

impl Process {
    /// Has the sandbox's session start a program.
    pub(crate) async fn start(request: SpawnRequest, sandbox: &Arc<Sandbox>) -> Result<Process, SpawnError> {
        Process::start_as(request, None, sandbox).await
    }

    /// As [`start`](Self::start), for a program that is held, as are all that its descendants execute, until whoever
    /// gets the listener answers.
    pub(crate) async fn start_reported(
        request: SpawnRequest,
        reports: Reports,
        sandbox: &Arc<Sandbox>,
    ) -> Result<Process, SpawnError> {
        Process::start_as(SpawnRequest { reported: true, ..request }, Some(reports), sandbox).await
    }

    async fn start_as(
        request: SpawnRequest,
        reports: Option<Reports>,
        sandbox: &Arc<Sandbox>,
    ) -> Result<Process, SpawnError> {
        let is_reported = request.reported;
        if let Some(network) = sandbox.network().filter(|_| !is_reported) {
            network.expect_unreported().await;
        }
        let call = match sandbox.session().spawn(request) {
            Err(SessionError::Lost) => return Err(SpawnError::NotBegun),
            call => call?,
        };
        let call = watch_readable(call).map_err(SpawnError::Watch)?;
        let call = Arc::new(call);
        let (tell, told) = watch::channel(Told { awaits_reports: reports.is_some(), ..Told::default() });
        let (arrival, presence) = sandbox.company().arrive();
        let follower = follow(Arc::clone(&call), tell, reports, presence);
        let follower = tokio::spawn(follower).abort_handle();
        let process = Process { call, told, follower, sandbox: Arc::clone(sandbox), arrival };
        process.started().await?;
        // Meanwhile the program runs.
        sandbox.session().make_ready(is_reported);
        Ok(process)
    }

    async fn started(&self) -> Result<(), SpawnError> {
        let mut told = self.told.clone();
        let answered = told.wait_for(|told| told.started.is_some() || told.gone);
        if tokio::time::timeout(START_TIMEOUT, answered).await.is_err() {
            if self.told.borrow().may_have_run() {
                // It may run, and may have stopped what watches over it: it has its time like any other.
                return Ok(());
            }
            // A command may have stopped what waited for it.
            self.call.get_ref().destroy();
            if tokio::time::timeout(ANSWER_TIMEOUT, self.gone()).await.is_err() {
                tracing::warn!("a sandbox does not start a program; it is ended with everything in it");
                self.sandbox.retire().await;
                self.gone().await;
            }
        }
        let told = self.told.borrow();
        match &told.started {
            Some(Ok(())) => Ok(()),
            Some(Err(SpawnError::NotStarted { step, source })) => {
                let source = io::Error::from_raw_os_error(source.raw_os_error().unwrap_or(libc::EIO));
                Err(SpawnError::NotStarted { step, source })
            }
            // What watches over it was killed, perhaps by the program itself: it may have run, and nobody will know how
            // it ended.
            None if told.may_have_run() => Ok(()),
            None => Err(SpawnError::NotBegun),
            Some(Err(_)) => Err(SpawnError::SessionLost),
        }
    }

    /// Waits for the end of the program itself; what it has started may live on.
    pub(crate) async fn wait(&self) -> io::Result<ExitStatus> {
        let mut told = self.told.clone();
        let told = told.wait_for(|told| told.ended.is_some() || told.gone).await.map_err(io::Error::other)?;
        told.ended.ok_or_else(|| io::Error::other("its session has ended"))
    }

    /// Whether the program itself has ended.
    pub(crate) fn has_ended(&self) -> bool {
        let told = self.told.borrow();
        told.ended.is_some() || told.gone
    }

    /// Waits until nothing that the program has started is left.
    pub(crate) async fn gone(&self) {
        // An error means that nobody follows any more: the session is gone, and with it everything in it.
        let _ = self.told.clone().wait_for(|told| told.gone).await;
    }

    /// Waits until no process of the call is left; without end where the system does not tell.
    pub(crate) async fn none_left(&self) {
        if !self.follows_descendants() {
            std::future::pending::<()>().await;
        }
        self.gone().await;
    }

    /// Whether the system tells when nothing that the program has started is left.
    pub(crate) fn follows_descendants(&self) -> bool {
        self.sandbox.session().follows_descendants()
    }

    /// Sends a signal to the program and those of its process group; they may be gone already.
    pub(crate) fn signal_group(&self, signal: Signal) {
        let _ = self.call.get_ref().signal_group(signal as i32);
    }

    /// Sends a signal to the program alone; it may be gone already.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = self.call.get_ref().signal(signal as i32);
    }

    /// Ends the program and everything that it has started: asks, waits until nobody is left or `grace` is over, kills.
    pub(crate) async fn end(&self, grace: Duration) {
        if self.call.get_ref().ask_end(grace).is_ok()
            && tokio::time::timeout(grace + GONE_TIMEOUT, self.gone()).await.is_ok()
        {
            return;
        }
        // A command may have stopped or killed what watches over it; init ends the rest.
        self.call.get_ref().destroy();
        if tokio::time::timeout(ANSWER_TIMEOUT, self.gone()).await.is_err() {
            tracing::warn!("a call's processes do not end; their sandbox is ended with everything in it");
            self.sandbox.retire().await;
        }
    }

    /// The processes that are alive: the program, if it has not ended, and what it has started.
    pub(crate) async fn alive(&self) -> Remaining {
        let mut told = self.told.clone();
        let (before, gone) = {
            let told = told.borrow();
            (told.alive.0, told.gone)
        };
        if gone {
            return Remaining::default();
        }
        if self.call.get_ref().ask_alive().is_err() {
            return Remaining::default();
        }
        let answered = told.wait_for(|told| told.alive.0 != before || told.gone);
        match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(told)) if !told.gone => told.alive.1.clone(),
            Ok(_) | Err(_) => Remaining::default(),
        }
    }

    /// Whether programs in this sandbox cannot reach what it listens on, because a loopback of one's own lies between them.
    pub(crate) fn is_out_of_reach(&self, sandbox: &Arc<Sandbox>) -> bool {
        let has_its_own = |sandbox: &Arc<Sandbox>| sandbox.enforcement().has(Namespace::Network);
        !Arc::ptr_eq(&self.sandbox, sandbox) && (has_its_own(&self.sandbox) || has_its_own(sandbox))
    }

    /// Whether the sandbox has refused the network to the program, or to one that ran beside it.
    pub(crate) fn refused_routes(&self) -> Routes {
        let (ran_alone, count) =
            (self.sandbox.company().was_nobody_but(self.arrival), self.told.borrow().refused_routes);
        if !self.sandbox.enforcement().has(Namespace::Network) {
            return Routes::Uncounted;
        }
        match (count > 0, ran_alone) {
            (false, _) => Routes::NotRefused,
            (true, true) => Routes::Refused,
            (true, false) => Routes::RefusedToSomeone,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Hears what the session tells, until there is nothing more to be told.
async fn follow(
    call: Arc<AsyncFd<Call>>,
    tell: watch::Sender<Told>,
    mut reports: Option<Reports>,
    _presence: Presence,
) {
    while let Ok(mut ready) = call.readable().await {
        loop {
            match call.get_ref().try_event() {
                Ok(Some(CallEvent::Reports)) => {
                    if let (Some(reports), Some(listener)) = (reports.take(), call.get_ref().take_listener())
                    {
                        // Nobody may wait for it any more: then the program, which waits for an answer, ends with it.
                        let _ = reports.send(listener);
                        tell.send_modify(|told| told.awaits_reports = false);
                    }
                }
                Ok(Some(event)) => tell.send_modify(|told| told.take(event)),
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "a session says no more about a program");
                    tell.send_modify(|told| told.gone = true);
                }
            }
            if tell.borrow().gone {
                return;
            }
        }
        ready.clear_ready();
    }
}

impl Told {
    fn may_have_run(&self) -> bool {
        self.accepted && !self.awaits_reports
    }

    fn take(&mut self, event: CallEvent) {
        match event {
            CallEvent::Accepted => self.accepted = true,
            CallEvent::Reports => {}
            CallEvent::Started { .. } => self.started = Some(Ok(())),
            CallEvent::NotStarted { step, errno } => {
                let source = io::Error::from_raw_os_error(errno);
                self.started = Some(Err(SpawnError::NotStarted { step: step.words(), source }));
                self.gone = true;
            }
            CallEvent::Ended { status, refused_routes, last } => {
                self.gone = last;
                self.refused_routes = refused_routes;
                self.ended = Some(status);
            }
            CallEvent::Alive(processes) => {
                let listed = processes.listed.iter();
                let listed = listed.map(|process| (process.pid, process.display())).collect();
                self.alive = (self.alive.0 + 1, Remaining { total: processes.total, listed });
            }
            CallEvent::Gone => self.gone = true,
        }
    }
}
