//! What is done about one `execve`: judged, let happen, handed over, or turned into the wrapper's.

use std::sync::Arc;

use nix::errno::Errno;

use super::attended::{Asked, Attended};
use super::family;
use super::messages::{Answer, CallNumber, Task, Waiting};
use super::request::{Request, executes_nothing};
use super::seized::{Phase, Proof, Taken};
use super::thread::Thread;
use super::turning::{FAILED_WITH, Turn};
use super::watched::Looks;
use crate::judgement::{AtOnce, Exec, Starter};
use crate::sys::notifications::Notification;
use crate::sys::ptrace;

impl Thread {
    /// Deals with an `execve` or `execveat` that waits.
    pub(super) fn asked(&mut self, call: CallNumber, notification: Notification) {
        let Some(attended) = self.calls.get_mut(&call) else { return };
        let thread = notification.thread;
        let Some(shell) = &mut attended.shell else { return attended.start_shell(&notification) };
        if executes_nothing(&notification) {
            let _ = attended.listener.let_happen(notification.id);
            return;
        }
        shell.look(&attended.facts);
        let is_first = ptrace::is_first_of_its_process(thread);
        let process = if is_first { Some(thread) } else { family::process_of(thread) };
        let Some(process) = process else { return };
        for changed in self.watched.settle(process, thread) {
            self.has_changed(changed);
        }
        let is_busy = self.is_busy(process, thread);
        let Some(attended) = self.calls.get_mut(&call) else { return };
        if is_busy {
            attended.behind.push(notification);
            return;
        }
        let root = attended.shell.as_ref().and_then(|shell| shell.root.as_ref());
        let (mut request, exec) = match Request::read(&notification, root) {
            Ok(read) => read,
            Err(errno) => {
                // Who is gone needs no answer.
                let _ = attended.listener.fail(notification.id, errno as i32);
                return;
            }
        };
        // What was read is of the process that asks only if it still does.
        if !attended.listener.is_waiting(notification.id) {
            return;
        }
        attended.facts.whereabouts.note(&exec.workdir);
        let exec = exec.descended(attended.lineage(process));
        let (decided, exec) = match decide(attended, &notification, process, &mut request, exec) {
            Ok(decided) => decided,
            Err(errno) => {
                let _ = attended.listener.fail(notification.id, errno as i32);
                return;
            }
        };
        let asked = Asked { notification, process, request, exec: Arc::new(exec) };
        match decided {
            Decided::Happens => self.let_happen(call, asked),
            Decided::Turns => self.turn(call, asked),
            Decided::Elsewhere => self.hand_over(call, asked, Task::Judge),
        }
    }

    /// Carries out what was decided elsewhere.
    pub(super) fn answered(&mut self, call: CallNumber, id: u64, answer: Answer) {
        let Some(attended) = self.calls.get_mut(&call) else { return };
        let Some(asked) = attended.waiting.remove(&id) else { return };
        if self.is_busy(asked.process, asked.notification.thread) {
            if let Some(attended) = self.calls.get_mut(&call) {
                attended.waiting.insert(id, asked);
            }
            self.later.push((call, id, answer));
            return;
        }
        match answer {
            Answer::Happens => self.let_happen(call, asked),
            Answer::Turns => self.turn(call, asked),
            Answer::Fails(errno) => self.fail(call, &asked.notification, errno),
        }
    }

    /// Whether another thread of a process is about to execute a program.
    fn is_busy(&self, process: i32, thread: i32) -> bool {
        self.seized.is_busy(process, thread) || self.watched.is_busy(process, thread)
    }

    /// Lets the call happen; its process stops when it has.
    fn let_happen(&mut self, call: CallNumber, asked: Asked) {
        let Asked { notification, process, request, exec } = asked;
        let is_clear = request.expected.is_some();
        // What a script's first line says now may not be what it said when it was judged.
        let proof = match request.expected {
            Some(expected) if !expected.is_interpreter => Proof::Met(expected.into()),
            Some(expected) if request.is_allowed => Proof::Allowed(expected.into()),
            Some(_) | None => Proof::Judged,
        };
        let thread = notification.thread;
        let seized = self.seized.seize(thread, process, call);
        let Some(attended) = self.calls.get_mut(&call) else { return };
        attended.becomes(process, &exec);
        if let Err(error) = seized {
            // Something inside traces it, nobody may be traced here, or it is gone. It has been judged; that nothing
            // else runs cannot be proved.
            if !is_clear {
                let _ = attended.listener.fail(notification.id, libc::EPERM);
                return;
            }
            let before = family::is_traced(thread).then(|| Looks::of(process));
            let happens = attended.listener.let_happen(notification.id);
            match before {
                Some(before) if happens.is_ok() => self.watched.watch(thread, (process, call), proof, before),
                Some(_) => {}
                None => attended.facts.is_unproved(&error),
            }
            return;
        }
        self.seized.enter(thread, &Taken { call, process }, Phase::Executing(proof));
        if attended.listener.let_happen(notification.id).is_err() {
            self.seized.let_go(notification.thread);
        }
    }

    fn fail(&mut self, call: CallNumber, notification: &Notification, errno: i32) {
        if let Some(attended) = self.calls.get(&call) {
            let _ = attended.listener.fail(notification.id, errno);
        }
    }

    /// Has the process become the wrapper; where it cannot, the decision is made all the same.
    fn turn(&mut self, call: CallNumber, asked: Asked) {
        let Some(attended) = self.calls.get_mut(&call) else { return };
        let asked = with_parents(attended, asked);
        let Notification { id, thread, .. } = asked.notification;
        if !self.seized.contains(thread) && family::is_traced(thread) {
            return self.hand_over(call, kept_inside(asked), Task::Decide);
        }
        let taken = Taken { call, process: asked.process };
        let seized = Turn::begin(&attended.listener, &self.wrapper, &asked).and_then(|turn| {
            self.seized.seize(thread, asked.process, call)?;
            self.seized.enter(thread, &taken, Phase::Turning(Box::new(turn)));
            ptrace::interrupt(thread)
        });
        match seized {
            // A call that waits stops only when it is answered.
            Ok(()) => self.fail(call, &asked.notification, FAILED_WITH),
            Err(error) => {
                tracing::debug!(%error, id, "a process cannot become the wrapper");
                self.hand_over(call, asked, Task::Decide);
            }
        }
    }

    fn hand_over(&mut self, call: CallNumber, asked: Asked, task: impl FnOnce(Waiting) -> Task) {
        let Some(attended) = self.calls.get_mut(&call) else { return };
        let id = asked.notification.id;
        let exec = Arc::clone(&asked.exec);
        attended.waiting.insert(id, asked);
        attended.tell(&exec, task(Waiting::new(&self.mailbox, call, id)));
    }

    /// A thread that was made to call something else calls. `false`: it calls what it likes, and is asked about that.
    pub(super) fn has_turned(&mut self, call: CallNumber, notification: &Notification) -> bool {
        let thread = notification.thread;
        let Some(seized) = self.seized.take(thread) else { return false };
        let taken = Taken { call: seized.call, process: seized.process };
        match seized.phase {
            Phase::Turned(turn) if turn.is_made_by(notification) => {
                self.seized.enter(thread, &taken, Phase::Wrapping(turn));
                if self
                    .calls
                    .get(&call)
                    .is_none_or(|attended| attended.listener.let_happen(notification.id).is_err())
                {
                    self.seized.let_go(thread);
                }
                true
            }
            // It has run on: whatever it was to execute has failed.
            Phase::Executing(_) | Phase::Turned(_) | Phase::Wrapping(_) | Phase::Turning(_) => {
                self.seized.enter(thread, &taken, Phase::Executing(Proof::Judged));
                false
            }
            Phase::Ending => {
                self.seized.enter(thread, &taken, Phase::Ending);
                true
            }
        }
    }
}

/// What is to be done about one.
enum Decided {
    Happens,
    Turns,
    /// That takes others.
    Elsewhere,
}

/// Decides, and reads the environment where that matters. An error is the kernel's.
fn decide(
    attended: &mut Attended,
    notification: &Notification,
    process: i32,
    request: &mut Request,
    exec: Exec,
) -> Result<(Decided, Exec), Errno> {
    // Judged when it has happened.
    if request.expected.is_none() || exec.is(attended.wrapper) {
        return Ok((Decided::Happens, exec));
    }
    let facts = &attended.facts;
    let at_once =
        |exec: &Exec| facts.judge.at_once(exec, &facts.facts, || facts.record.program(exec.lineage.place));
    let allowed = attended.allowed.remove(&process);
    if allowed.is_none() && !facts.judge.looks_at_environment() && at_once(&exec) == AtOnce::Runs {
        return Ok((Decided::Happens, exec));
    }
    let mut exec = request.read_environment(notification.thread, exec)?;
    if let Some(allowed) = allowed.filter(|allowed| allowed.asks_for_the_same(&exec)) {
        request.is_allowed = true;
        return Ok((Decided::Happens, exec.descended(allowed.lineage.clone())));
    }
    // As if the shell executed it, which is judged more strictly; who does is looked at only where that matters.
    let mut decided = at_once(&exec);
    if decided != AtOnce::Runs && !attended.is_shell(process) {
        exec = exec.started_by(Starter::Program(Vec::new()));
        decided = at_once(&exec);
    }
    let decided = match decided {
        AtOnce::Runs => Decided::Happens,
        AtOnce::Other => Decided::Turns,
        AtOnce::Unclear => Decided::Elsewhere,
    };
    Ok((decided, exec))
}

/// A process that is traced already cannot become the wrapper, which would hand its descriptors over.
fn kept_inside(asked: Asked) -> Asked {
    const WHY: &str = "a debugger traces its process, which therefore cannot leave the sandbox";
    let exec = match Arc::try_unwrap(asked.exec) {
        Ok(exec) => Arc::new(exec.kept_inside(WHY)),
        Err(exec) => exec,
    };
    Asked { exec, ..asked }
}

/// Finds out on whose behalf it is executed, which is of interest only where it does not simply run.
fn with_parents(attended: &Attended, asked: Asked) -> Asked {
    let (Starter::Program(_), Some(shell)) = (asked.exec.starter(), &attended.shell) else { return asked };
    let Some(image) = &shell.image else { return asked };
    let parents = family::parents(asked.process, shell.process, image);
    match Arc::try_unwrap(asked.exec) {
        Ok(exec) => Asked { exec: Arc::new(exec.started_by(Starter::Program(parents))), ..asked },
        Err(exec) => Asked { exec, ..asked },
    }
}
