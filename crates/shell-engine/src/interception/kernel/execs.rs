//! What is done about one `execve`: judged, let happen, handed over, or turned into the wrapper's.

use std::sync::Arc;

use nix::errno::Errno;

use super::attended::{Asked, Attended};
use super::files::Reach;
use super::messages::{Answer, Asks, CallNumber, Reading, Task, Waiting};
use super::request::{Request, Unread, executes_nothing};
use super::seized::{self, Phase, Proof, Taken};
use super::thread::Thread;
use super::turning::{FAILED_WITH, Turn};
use super::watched::Looks;
use super::{family, files};
use crate::judgement::{AtOnce, Exec, Ran, Starter};
use crate::sys::notifications::Notification;
use crate::sys::ptrace;

/// Why something that is let out of the sandbox runs in it.
const IS_TEXT: &str = "it is a script whose first line names no interpreter (`#!`), so only the shell that called it can \
                       run it, in the sandbox";
const IS_TRACED: &str = "a debugger traces its process, which therefore cannot leave the sandbox";
const CANNOT_LEAVE: &str = "its process cannot give way to another one outside";

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
        let root = attended.shell.as_ref().and_then(|shell| shell.root.clone());
        let asks = Asks { notification, process };
        let how = (&mut self.beginnings, Reach::Memory);
        match Request::read(&notification, root.as_deref(), how) {
            Ok(read) => self.consider(call, asks, read),
            Err(Unread::Fails(errno)) => self.fail(call, &notification, errno as i32),
            Err(Unread::Farther) => {
                let mailbox = self.mailbox.clone();
                attended.tell(Task::Read(Reading { mailbox, call, asks, root }));
            }
        }
    }

    /// Goes on with one that was read elsewhere.
    pub(super) fn was_read(
        &mut self,
        call: CallNumber,
        asks: Asks,
        read: Result<Box<(Request, Exec)>, Errno>,
    ) {
        let Asks { notification, process } = asks;
        if self.is_busy(process, notification.thread) {
            if let Some(attended) = self.calls.get_mut(&call) {
                attended.behind.push(notification);
            }
            return;
        }
        match read {
            Ok(read) => self.consider(call, asks, *read),
            Err(errno) => self.fail(call, &notification, errno as i32),
        }
    }

    fn consider(&mut self, call: CallNumber, asks: Asks, (mut request, exec): (Request, Exec)) {
        let Some(attended) = self.calls.get_mut(&call) else { return };
        attended.facts.whereabouts.note(&exec.workdir);
        let exec = exec.descended(attended.lineage(asks.process));
        let exec = match &attended.facts.apart {
            None => exec,
            // It would start any file, or run any code, also what is not to be executed there.
            Some(apart) if apart.refuses(&exec) => {
                return self.fail(call, &asks.notification, libc::EACCES);
            }
            Some(apart) => {
                attended.facts.unexecuted.note(apart, exec.file());
                exec.below(&apart.program)
            }
        };
        let (decided, exec) = match decide(attended, asks, &mut request, exec) {
            Ok(decided) => decided,
            Err(errno) => return self.fail(call, &asks.notification, errno as i32),
        };
        let asked = Asked { asks, request, exec: Arc::new(exec) };
        match decided {
            // Of one that is gone nothing happens.
            Decided::Happens => {
                self.let_happen(call, asked);
            }
            Decided::Runs(ran, is_free) => self.let_run(call, asked, ran, is_free),
            Decided::Turns | Decided::Elsewhere => {
                // What was read is of the process that asks only if it still does.
                if !attended.listener.is_waiting(asks.notification.id) {
                    return;
                }
                let directory = files::working_directory(asks.notification.thread);
                let asked = change(asked, |exec| exec.with_directory(directory));
                match decided {
                    Decided::Turns => self.turn(call, asked, None),
                    Decided::Elsewhere | Decided::Happens | Decided::Runs(..) => {
                        self.hand_over(call, asked, Task::Judge);
                    }
                }
            }
        }
    }

    /// Carries out what was decided elsewhere.
    pub(super) fn answered(&mut self, call: CallNumber, id: u64, answer: Answer) {
        let Some(attended) = self.calls.get_mut(&call) else { return };
        let Some(asked) = attended.waiting.remove(&id) else { return };
        if self.is_busy(asked.asks.process, asked.asks.notification.thread) {
            if let Some(attended) = self.calls.get_mut(&call) {
                attended.waiting.insert(id, asked);
            }
            self.later.push((call, id, answer));
            return;
        }
        match answer {
            Answer::Happens => {
                self.let_happen(call, asked);
            }
            Answer::Turns => self.turn(call, asked, None),
            Answer::Refused(reason) => self.turn(call, asked, Some(reason)),
            Answer::Fails(errno) => self.fail(call, &asked.asks.notification, errno),
        }
    }

    /// Whether another thread of a process is about to execute a program.
    fn is_busy(&self, process: i32, thread: i32) -> bool {
        self.seized.is_busy(process, thread) || self.watched.is_busy(process, thread)
    }

    /// Lets run what simply does, and puts it on record; what would run whatever it were is not looked at again.
    fn let_run(&mut self, call: CallNumber, asked: Asked, ran: Ran, is_free: bool) {
        let Some(attended) = self.calls.get_mut(&call) else { return };
        let exec = Arc::clone(&asked.exec);
        let is_free = is_free && !attended.descent.goes_by_names();
        // Once for each call it is, so that it is known whether its processes can be stopped.
        let runs = match is_free && attended.was_proved {
            true => {
                attended.becomes(asked.asks.process, &exec);
                attended.descent.has_become(asked.asks.process);
                attended.listener.let_happen(asked.asks.notification.id).is_ok()
            }
            false => self.let_happen(call, asked),
        };
        if let (true, Some(Attended { facts, .. })) = (runs, self.calls.get(&call)) {
            facts.judge.ran(&exec, &facts.facts, &facts.record.program(exec.lineage.place), ran);
        }
    }

    /// Lets the call happen, and its process stop when it has. `false`: it does not happen.
    fn let_happen(&mut self, call: CallNumber, asked: Asked) -> bool {
        let Asked { asks: Asks { notification, process }, request, exec } = asked;
        let is_clear = request.expected.is_some();
        // What a script's first line says now may not be what it said when it was judged.
        let proof = match request.expected {
            Some(expected) if !expected.is_interpreter => Proof::Met(expected.into()),
            Some(expected) if request.is_allowed => Proof::Allowed(expected.into()),
            Some(_) | None => Proof::Judged,
        };
        let thread = notification.thread;
        let seized = self.seized.seize(thread, process, call);
        let Some(attended) = self.calls.get_mut(&call) else { return false };
        attended.becomes(process, &exec);
        if let Err(error) = seized {
            let before = family::is_traced(thread).then(|| Looks::of(process));
            // Who only stops its own threads, to look for leaks, executes nothing meanwhile. Who does may have let it go by now.
            let is_traced = before.is_some() || seized::is_traced(&error);
            let may_be_traced = !is_traced || attended.facts.may_debug();
            if may_be_traced {
                attended.facts.is_unproved(&error);
            }
            // Something inside traces it, nobody may be traced here, or it is gone. It has been judged; that nothing
            // else runs cannot be proved.
            if !is_clear || !may_be_traced {
                let _ = attended.listener.fail(notification.id, libc::EPERM);
                return false;
            }
            let happens = attended.listener.let_happen(notification.id).is_ok();
            match before {
                Some(before) if happens => self.watched.watch(thread, (process, call), proof, before),
                Some(_) => {}
                None => attended.facts.is_unproved(&error),
            }
            return happens;
        }
        attended.was_proved = true;
        self.seized.enter(thread, &Taken { call, process }, Phase::Executing(proof));
        let happens = attended.listener.let_happen(notification.id).is_ok();
        if !happens {
            self.seized.let_go(notification.thread);
        }
        happens
    }

    fn fail(&mut self, call: CallNumber, notification: &Notification, errno: i32) {
        if let Some(attended) = self.calls.get(&call) {
            let _ = attended.listener.fail(notification.id, errno);
        }
    }

    /// Has the process become the wrapper, which says `refusal` or hears what is decided. Where it cannot, that is
    /// decided all the same.
    fn turn(&mut self, call: CallNumber, asked: Asked, refusal: Option<String>) {
        let Some(attended) = self.calls.get_mut(&call) else { return };
        let is_decided = refusal.is_some();
        let asked = if is_decided { asked } else { with_parents(attended, asked) };
        if asked.request.is_text && !is_decided {
            return self.decide_inside(call, asked, IS_TEXT.into());
        }
        let Asks { notification: Notification { id, thread, .. }, process } = asked.asks;
        // It would hand its descriptors over to who traces it.
        let is_traced = !self.seized.contains(thread) && family::is_traced(thread);
        if is_traced && !is_decided {
            return self.decide_inside(call, asked, IS_TRACED.into());
        }
        let taken = Taken { call, process };
        let turn = match is_traced {
            true => Err(std::io::ErrorKind::PermissionDenied.into()),
            false => {
                let starting = (!is_decided).then(|| attended.facts.escalated.starting());
                Turn::begin(&attended.listener, &self.wrapper, &asked, (refusal, starting))
            }
        };
        let seized = turn.and_then(|turn| {
            self.seized.seize(thread, process, call)?;
            self.seized.enter(thread, &taken, Phase::Turning(Box::new(turn)));
            ptrace::interrupt(thread)
        });
        match seized {
            // A call that waits stops only when it is answered.
            Ok(()) => self.fail(call, &asked.asks.notification, FAILED_WITH),
            Err(error) => {
                tracing::debug!(%error, id, "a process cannot become the wrapper");
                match is_decided {
                    true => self.fail(call, &asked.asks.notification, libc::EPERM),
                    false => self.decide_inside(call, asked, format!("{CANNOT_LEAVE}: {error}")),
                }
            }
        }
    }

    /// Has it decided while it waits: what is let run or let out runs where it is.
    fn decide_inside(&mut self, call: CallNumber, asked: Asked, why: String) {
        let stays = change(asked, |exec| exec.kept_inside(why));
        self.hand_over(call, stays, Task::Decide);
    }

    fn hand_over(&mut self, call: CallNumber, asked: Asked, task: impl FnOnce(Arc<Exec>, Waiting) -> Task) {
        let Some(attended) = self.calls.get_mut(&call) else { return };
        let id = asked.asks.notification.id;
        let exec = Arc::clone(&asked.exec);
        attended.waiting.insert(id, asked);
        attended.tell(task(exec, Waiting::new(&self.mailbox, call, &attended.listener, id)));
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
    /// It happens; what it is then is looked at.
    Happens,
    /// It simply runs, for this reason; and whatever it were, it would.
    Runs(Ran, bool),
    Turns,
    /// That takes others.
    Elsewhere,
}

/// Decides, and reads the environment where that matters. An error is the kernel's.
fn decide(
    attended: &mut Attended,
    asks: Asks,
    request: &mut Request,
    exec: Exec,
) -> Result<(Decided, Exec), Errno> {
    // Judged when it has happened.
    if request.expected.is_none() || exec.is(attended.wrapper) {
        return Ok((Decided::Happens, exec));
    }
    let facts = &attended.facts;
    let policy = facts.judge.policy_at_once();
    let at_once = |exec: &Exec| facts.judge.at_once(policy.as_deref(), exec, &facts.facts);
    let is_free = !facts.judge.restrains(policy.as_deref());
    let allowed = attended.allowed.remove(&asks.process);
    if allowed.is_none()
        && !facts.judge.looks_at_environment(policy.as_deref())
        && let AtOnce::Runs(ran) = at_once(&exec)
    {
        return Ok((Decided::Runs(ran, is_free), exec));
    }
    let mut exec = request.read_environment(asks.notification.thread, exec)?;
    if let Some(allowed) = allowed.filter(|allowed| allowed.asks_for_the_same(&exec)) {
        request.is_allowed = true;
        return Ok((Decided::Happens, exec.descended(allowed.lineage.clone())));
    }
    // As if the shell executed it, which is judged more strictly; who does is looked at only where that matters.
    let mut decided = at_once(&exec);
    if !matches!(decided, AtOnce::Runs(_)) && !attended.is_shell(asks.process) {
        exec = exec.started_by(Starter::Program(Vec::new()));
        decided = at_once(&exec);
    }
    let decided = match decided {
        AtOnce::Runs(ran) => Decided::Runs(ran, is_free),
        AtOnce::Other => Decided::Turns,
        AtOnce::Unclear => Decided::Elsewhere,
    };
    Ok((decided, exec))
}

/// Finds out on whose behalf it is executed, which is of interest only where it does not simply run.
fn with_parents(attended: &Attended, asked: Asked) -> Asked {
    let (Starter::Program(_), Some(shell)) = (asked.exec.starter(), &attended.shell) else { return asked };
    let Some(image) = &shell.image else { return asked };
    let parents = family::parents(asked.asks.process, shell.process, image);
    change(asked, |exec| exec.started_by(Starter::Program(parents)))
}

/// Changes what is asked for, which nobody else holds.
fn change(asked: Asked, change: impl FnOnce(Exec) -> Exec) -> Asked {
    match Arc::try_unwrap(asked.exec) {
        Ok(exec) => Asked { exec: Arc::new(change(exec)), ..asked },
        Err(exec) => Asked { exec, ..asked },
    }
}
