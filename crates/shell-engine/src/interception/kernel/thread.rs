//! The thread that hears what the processes of all calls are about to execute, and stops them.
//!
//! It never waits for one of them: it polls, and looks at what has changed. When it ends, however it ends, the kernel fails
//! what waits, kills what it has seized, and fails all that is called later.

use std::collections::HashMap;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::attended::Attended;
use super::beginnings::Beginnings;
use super::connections::{Connection, Connector};
use super::descent::Descent;
use super::files;
use super::messages::{Answer, CallNumber, Command, Load, Mailbox, Task};
use super::names::Broker;
use super::others;
use super::proof::{self, Expected};
use super::seized::{AllSeized, Phase, Proof, Seized, Taken};
use super::turning::{FAILED_WITH, Turn, Wrapper};
use super::watched::{AllWatched, Changed};
use crate::judgement::{Exec, Starter};
use crate::sys::notifications::Listener;
use crate::sys::ptrace::{self, Change};

/// The thread's own state.
pub(super) struct Thread {
    /// While it is held, the thread lives. It comes first: whoever finds that a call has no thread any more must find that there is
    /// none, not that the call is over.
    pub(super) _alive: Arc<()>,
    pub(super) commands: Receiver<Command>,
    /// Readable when there is a command, or when a seized process has changed.
    pub(super) bell: UnixStream,
    pub(super) mailbox: Mailbox,
    pub(super) wrapper: Wrapper,
    pub(super) calls: HashMap<CallNumber, Attended>,
    pub(super) seized: AllSeized,
    pub(super) watched: AllWatched,
    /// Answers that wait because another thread of the process is executing a program.
    pub(super) later: Vec<(CallNumber, u64, Answer)>,
    pub(super) connector: Connector,
    pub(super) beginnings: Beginnings,
    #[cfg(test)]
    pub(super) held_in_tests:
        Vec<tokio::sync::mpsc::UnboundedSender<std::io::Result<super::messages::Event>>>,
}

impl Thread {
    /// Serves until nobody can say anything any more.
    pub(super) fn run(mut self) {
        loop {
            let reminders = [self.seized.remind(), self.watched.remind(), self.connector.remind()];
            let patience = reminders.into_iter().flatten().min();
            let heard = self.wait(patience);
            while let Ok(command) = self.commands.try_recv() {
                self.obey(command);
            }
            self.see_changes();
            for changed in self.watched.due() {
                self.has_changed(changed);
            }
            for call in heard {
                self.hear(call);
            }
            self.hear_those_behind();
            if self.calls.is_empty() && Arc::strong_count(&self.mailbox.bell) == 1 {
                return;
            }
        }
    }

    /// Waits for something to do; returns the calls that report something.
    fn wait(&mut self, patience: Option<Duration>) -> Vec<CallNumber> {
        let listening: Vec<(CallNumber, &Attended)> = self
            .calls
            .iter()
            .filter(|(_, attended)| attended.has_room())
            .map(|(call, attended)| (*call, attended))
            .collect();
        let mut polled = vec![PollFd::new(&self.bell, PollFlags::IN)];
        polled.extend(listening.iter().map(|(_, attended)| PollFd::new(&attended.listener, PollFlags::IN)));
        let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
        // Interrupted by the signal that rings the bell.
        let interrupted = poll(&mut polled, timeout.as_ref()).is_err();
        let mut heard = Vec::new();
        let mut gone = Vec::new();
        for (polled, (call, _)) in polled.iter().skip(1).zip(&listening) {
            let events = polled.revents();
            // No process of the call is left: receiving would never return.
            if events.intersects(PollFlags::HUP | PollFlags::ERR) {
                gone.push(*call);
            } else if events.contains(PollFlags::IN) {
                heard.push(*call);
            }
        }
        let rung = polled.first().is_some_and(|bell| !bell.revents().is_empty());
        if rung || interrupted {
            // What has rung is looked at below, however often it has.
            let _ = self.bell.read(&mut [0; 64]);
        }
        for call in gone {
            self.forget(call);
        }
        heard
    }

    fn forget(&mut self, call: CallNumber) {
        if self.calls.remove(&call).is_some() {
            self.mailbox.is_left();
        }
        self.connector.give_up(call);
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Attend { call, listener, sandbox, facts, names, events, opened } => {
                let listener = Arc::new(Listener::new(listener));
                let attended = Attended {
                    broker: names.map(|names| {
                        Broker::new(names, &listener, (&facts.refused, facts.refusals.as_ref()), &facts.made)
                    }),
                    listener,
                    sandbox,
                    facts,
                    wrapper: self.wrapper.identity,
                    events,
                    load: Arc::new(Load::new(&self.mailbox)),
                    opened: Some(opened),
                    shell: None,
                    allowed: HashMap::new(),
                    waiting: HashMap::new(),
                    descent: Descent::default(),
                    behind: Vec::new(),
                    was_proved: false,
                };
                self.calls.insert(call, attended);
            }
            Command::Read { call, asks, read } => self.was_read(call, asks, read),
            Command::Answer { call, id, answer } => self.answered(call, id, answer),
            Command::Allow { call, process, exec } => {
                if let Some(attended) = self.calls.get_mut(&call) {
                    attended.allowed.insert(process, exec);
                }
            }
            Command::Leave { call } => self.forget(call),
            #[cfg(test)]
            Command::Break { events } => {
                self.held_in_tests.push(events);
                panic!("a mistake in the thread that judges");
            }
        }
    }

    /// Takes one notification.
    fn hear(&mut self, call: CallNumber) {
        let Some(attended) = self.calls.get_mut(&call) else { return };
        let notification = match attended.listener.receive() {
            Ok(Some(notification)) => notification,
            Ok(None) => return,
            Err(error) => {
                let _ = attended.events.send(Err(error));
                return self.forget(call);
            }
        };
        match notification.number {
            libc::SYS_execve | libc::SYS_execveat => {
                if !self.has_turned(call, &notification) {
                    self.asked(call, notification);
                }
            }
            libc::SYS_connect => {
                let connection = Connection {
                    listener: Arc::downgrade(&attended.listener),
                    sandbox: attended.sandbox.clone(),
                    call: Arc::downgrade(&attended.facts),
                    ancestry: attended.ancestry(notification.thread),
                    shell: attended
                        .shell
                        .as_ref()
                        .and_then(|shell| Some((shell.process, shell.image.clone()?))),
                    notification,
                    refusals: attended.facts.refusals.clone(),
                };
                self.connector.begin(call, connection);
            }
            _ if others::answer(attended, &notification) => {}
            _ => match &mut attended.broker {
                Some(broker) => broker.answer(notification),
                None => {
                    let _ = attended.listener.fail(notification.id, libc::ENOSYS);
                }
            },
        }
    }

    fn hear_those_behind(&mut self) {
        for (call, id, answer) in std::mem::take(&mut self.later) {
            self.answered(call, id, answer);
        }
        let calls: Vec<CallNumber> = self
            .calls
            .iter()
            .filter(|(_, call)| !call.behind.is_empty())
            .map(|(number, _)| *number)
            .collect();
        for call in calls {
            let behind = self.calls.get_mut(&call).map(|attended| std::mem::take(&mut attended.behind));
            for notification in behind.into_iter().flatten() {
                self.asked(call, notification);
            }
        }
    }

    /// Looks at what has become of those that were seized.
    fn see_changes(&mut self) {
        while !self.seized.is_empty()
            && let Ok(Some((thread, change))) = ptrace::next_change()
        {
            match change {
                Change::Gone => {
                    self.seized.take(thread);
                }
                Change::Executed { formerly } => {
                    let seized = self.seized.take(formerly).or_else(|| self.seized.take(thread));
                    self.executed(thread, seized);
                }
                Change::Stopped { signal } => self.stopped(thread, signal),
            }
        }
    }

    /// A process stands before the first instruction of what it has executed.
    fn executed(&mut self, process: i32, seized: Option<Seized>) {
        let Some(Seized { call, phase, .. }) = seized else {
            let _ = ptrace::release(process, 0);
            return;
        };
        let is_good = match phase {
            Phase::Executing(proof) => {
                self.is_proved(call, process, &proof) && self.has_become(call, process)
            }
            Phase::Wrapping(turn) => self.has_wrapped(call, process, *turn),
            // Nothing of it was let happen.
            Phase::Turning(_) | Phase::Turned(_) | Phase::Ending => false,
        };
        let taken = Taken { call, process };
        if is_good {
            self.seized.release(process, &taken, 0);
        } else {
            ptrace::kill(process);
            self.seized.enter(process, &taken, Phase::Ending);
        }
    }

    fn is_proved(&mut self, call: CallNumber, process: i32, proof: &Proof) -> bool {
        let Some(attended) = self.calls.get_mut(&call) else { return false };
        const OTHERWISE: &str = "it was ended before it ran";
        match proof {
            Proof::Met(expected) if expected.is_met(process) => true,
            Proof::Met(_) | Proof::Judged => may_run(attended, process, false, OTHERWISE),
            Proof::Allowed(expected) => may_run(attended, process, expected.is_met(process), OTHERWISE),
        }
    }

    /// Remembers what it is from now on.
    fn has_become(&mut self, call: CallNumber, process: i32) -> bool {
        if let Some(attended) = self.calls.get_mut(&call) {
            attended.descent.has_become(process);
        }
        true
    }

    /// A process that something inside traces has executed a program. One that may not run ends the call.
    pub(super) fn has_changed(&mut self, changed: Changed) {
        let Changed { call, process, is_as_judged } = changed;
        let Some(attended) = self.calls.get_mut(&call) else { return };
        if is_as_judged || may_run(attended, process, false, "its call was ended") {
            attended.descent.has_become(process);
        } else {
            ptrace::kill(process);
            attended.give_up("a traced process has executed what was not judged");
            self.forget(call);
        }
    }

    fn has_wrapped(&mut self, call: CallNumber, process: i32, turn: Turn) -> bool {
        let Some(attended) = self.calls.get(&call) else { return false };
        if !Expected::is_program(process, self.wrapper.identity) {
            return false;
        }
        let Turn { stream, file, exec, refusal, starting, .. } = turn;
        attended.tell(Task::Lead { exec, stream, process, file, refusal, starting });
        true
    }

    /// A seized thread stands elsewhere: at the end of its call, or because of a signal.
    fn stopped(&mut self, thread: i32, signal: i32) {
        let Some(Seized { call, process, phase, .. }) = self.seized.take(thread) else {
            let _ = ptrace::release(thread, signal);
            return;
        };
        let taken = Taken { call, process };
        match phase {
            // What it was about to execute has failed, and it has been told why.
            Phase::Executing(_) | Phase::Wrapping(_) => self.seized.release(thread, &taken, signal),
            Phase::Turning(turn) => match ptrace::call_instead(thread, turn.call, FAILED_WITH) {
                Ok(()) => {
                    self.seized.enter(thread, &taken, Phase::Turned(turn));
                    let _ = ptrace::go_on(thread, signal);
                }
                Err(error) => {
                    tracing::debug!(%error, "a process has not become the wrapper");
                    self.seized.release(thread, &taken, signal);
                }
            },
            Phase::Turned(turn) => {
                self.seized.enter(thread, &taken, Phase::Turned(turn));
                let _ = ptrace::go_on(thread, signal);
            }
            Phase::Ending => {
                self.seized.enter(thread, &taken, Phase::Ending);
                let _ = ptrace::go_on(thread, signal);
            }
        }
    }
}

/// Whether a process may run as what it has executed in truth. An honest one is something else than was seen before by a link that
/// only it can follow, or as a file that the system runs by an interpreter of its own (binfmt_misc).
fn may_run(attended: &Attended, process: i32, is_approved: bool, otherwise: &str) -> bool {
    let Some((path, program, argv)) = proof::truth(process) else { return false };
    let directory = files::working_directory(process);
    let exec = Exec::new(&path, argv, proof::environment(process), directory, Some(program));
    let exec = exec.started_by(Starter::Program(Vec::new())).descended(attended.lineage(process));
    let facts = &attended.facts;
    let may_run = facts.judge.may_run_inside(&exec, &facts.facts, is_approved);
    if !may_run {
        let reason = format!("it became this while it was judged as something else, so {otherwise}");
        tracing::warn!(program = %path.display(), "ended: {reason}");
        facts.judge.ended(&exec, &facts.facts, &facts.record.program(exec.lineage.place), reason);
    }
    may_run
}
