//! A child of this process, followed to its end by a thread.

use crate::backend::BackendCall;
use crate::event::{CallCommand, CallEvent, ExitStatus, LiveProcesses};
use crate::program::NotStarted;
use crate::session_error::SessionError;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group, waitid, waitpid,
};
use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A program that leads a session of its own. Its number stays its own until this value is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    /// None for a program that did not start.
    pid: Option<Pid>,
    /// One byte for each event.
    bell: PipeReader,
    told: Arc<Told>,
}

#[derive(Debug)]
struct Told {
    events: Mutex<VecDeque<CallEvent>>,
    bell: PipeWriter,
    /// The program itself has ended.
    ended: AtomicBool,
    /// All that it has started is to end, too.
    is_ending: AtomicBool,
}

impl Told {
    fn tell(&self, event: CallEvent) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
        // It holds thousands of bytes; there are fewer events.
        let _ = (&self.bell).write(&[0]);
    }

    /// Waits for the end of the program, and leaves it to be reaped.
    fn follow(&self, pid: Pid) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // An error means that it was reaped: nobody listens any more.
        let Ok(Some(status)) = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), options)) else {
            return;
        };
        self.ended.store(true, Ordering::SeqCst);
        if self.is_ending.load(Ordering::SeqCst) {
            kill_group(pid);
        }
        let status = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => ExitStatus::Exited(u8::try_from(code).unwrap_or(u8::MAX)),
            (None, signal) => {
                ExitStatus::Signaled(u8::try_from(signal.unwrap_or_default()).unwrap_or(u8::MAX))
            }
        };
        self.tell(CallEvent::Ended { status, refused_routes: 0, last: true });
        self.tell(CallEvent::Gone);
    }
}

impl Call {
    /// Follows a program that has started.
    pub(super) fn new(started: Result<Pid, NotStarted>) -> io::Result<Call> {
        let (bell, theirs) = io::pipe()?;
        rustix::io::ioctl_fionbio(&bell, true)?;
        let told = Arc::new(Told {
            events: Mutex::default(),
            bell: theirs,
            ended: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
        });
        // From here on dropping it kills and reaps the program.
        let call = Call { pid: started.ok(), bell, told };
        match started {
            Ok(pid) => {
                call.told.tell(CallEvent::Started { pid: pid.as_raw_nonzero().get() });
                let told = Arc::clone(&call.told);
                std::thread::Builder::new().name("sandbox-call".into()).spawn(move || told.follow(pid))?;
            }
            Err(NotStarted { step, errno }) => call.told.tell(CallEvent::NotStarted { step, errno }),
        }
        Ok(call)
    }
}

impl BackendCall for Call {
    fn try_event(&self) -> Result<Option<CallEvent>, SessionError> {
        match (&self.bell).read(&mut [0]) {
            Ok(_) => Ok(self.told.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(SessionError::Channel(error)),
        }
    }

    fn take_listener(&self) -> Option<OwnedFd> {
        None
    }

    fn command(&self, command: &CallCommand) -> Result<(), SessionError> {
        let pid = self.pid.ok_or(SessionError::Lost)?;
        match command {
            // Not told by every system.
            CallCommand::List => self.told.tell(CallEvent::Alive(LiveProcesses::default())),
            CallCommand::Signal { number } => {
                if let Some(signal) = Signal::from_named_raw(*number) {
                    let _ = kill_process(pid, signal);
                }
            }
            CallCommand::SignalGroup { number } => {
                if let Some(signal) = Signal::from_named_raw(*number)
                    && !self.told.ended.load(Ordering::SeqCst)
                {
                    let _ = kill_process_group(pid, signal);
                }
            }
            CallCommand::EndAll { grace } => {
                self.told.is_ending.store(true, Ordering::SeqCst);
                if grace.is_zero() || self.told.ended.load(Ordering::SeqCst) {
                    kill_group(pid);
                } else {
                    let _ = kill_process_group(pid, Signal::TERM);
                    let _ = kill_process_group(pid, Signal::CONT);
                }
            }
        }
        Ok(())
    }

    fn destroy(&self) {
        self.pid.into_iter().for_each(kill_group);
    }
}

impl AsFd for Call {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Drop for Call {
    /// Reaps the program; kills it and its group first if it has not ended, since nobody else watches it.
    fn drop(&mut self) {
        if let Some(pid) = self.pid
            && matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None))
        {
            kill_group(pid);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

/// Kills the program's process group, which may be empty already. Its number is not given to another one before the
/// program was reaped.
fn kill_group(leader: Pid) {
    let _ = kill_process_group(leader, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::super::session::Session;
    use super::*;
    use crate::backend::BackendSession;
    use crate::event::StartStep;
    use crate::launcher::Launcher;
    use crate::spawn_request::{Directory, SpawnRequest};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::ffi::OsString;
    use std::time::Duration;

    fn run(program: &str, arguments: &[&str], descriptors: &[(BorrowedFd<'_>, i32)]) -> Call {
        let launcher = Launcher { descriptor_limit: Some(200), ..Launcher::default() };
        let owned = |descriptor: &BorrowedFd<'_>| descriptor.try_clone_to_owned().unwrap();
        let request = SpawnRequest {
            program: program.into(),
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: vec!["PATH=/usr/bin:/bin".into()],
            directory: Directory::Path("/usr".into()),
            descriptors: descriptors.iter().map(|(ours, number)| (owned(ours), *number)).collect(),
            inherited: crate::Inherited::default(),
            reported: false,
            reports_reading: false,
        };
        Session::new(&launcher).spawn(request).unwrap()
    }

    fn next(call: &Call) -> CallEvent {
        loop {
            if let Some(event) = call.try_event().unwrap() {
                return event;
            }
            let minute = Timespec { tv_sec: 60, tv_nsec: 0 };
            assert_eq!(poll(&mut [PollFd::new(call, PollFlags::IN)], Some(&minute)), Ok(1), "no event");
        }
    }

    fn assert_ends(call: &Call, status: ExitStatus) {
        assert!(matches!(next(call), CallEvent::Started { .. }));
        assert_eq!(next(call), CallEvent::Ended { status, refused_routes: 0, last: true });
        assert_eq!(next(call), CallEvent::Gone);
    }

    #[test]
    fn a_program_gets_its_descriptors_folder_and_limit_and_no_more() {
        let (mut read, write) = io::pipe().unwrap();
        // One at the number that the other one is to have.
        let other = io::pipe().unwrap().0;
        let number = std::os::fd::AsRawFd::as_raw_fd(&other);
        let script = format!(
            "pwd; ulimit -Sn; echo /proc/$$/fd/*; [ /proc/$$/fd/{number} -ef /proc/$$/fd/1 ]; echo $?"
        );
        let call = run(
            "/bin/sh",
            &["sh", "-c", &script],
            &[(other.as_fd(), 0), (write.as_fd(), 1), (write.as_fd(), 2), (write.as_fd(), number)],
        );
        drop(write);
        let mut output = String::new();
        read.read_to_string(&mut output).unwrap();
        // The shell lists by a descriptor of its own, 3 or the next one that is free.
        let told: Vec<&str> = output.lines().collect();
        assert_eq!(told[..2], ["/usr", "200"]);
        let found: Vec<i32> =
            told[2].split(' ').filter_map(|path| path.rsplit('/').next()?.parse().ok()).collect();
        assert!([0, 1, 2, number].iter().all(|given| found.contains(given)) && found.len() <= 5, "{found:?}");
        assert_eq!(told[3], "0");
        assert_ends(&call, ExitStatus::Exited(0));
    }

    #[test]
    fn what_cannot_be_started_names_the_step() {
        let call = run("/no/such/program", &["x"], &[]);
        assert_eq!(next(&call), CallEvent::NotStarted { step: StartStep::Execute, errno: libc::ENOENT });
    }

    #[test]
    fn a_signal_is_for_the_program_and_an_end_for_its_group() {
        let (mut said, write) = io::pipe().unwrap();
        let script = "trap 'exit 5' USR1; echo; while :; do sleep 0.01; done";
        let call = run("/bin/sh", &["sh", "-c", script], &[(write.as_fd(), 1)]);
        drop(write);
        // Before the trap is set, the signal would end it otherwise.
        said.read_exact(&mut [0]).unwrap();
        call.command(&CallCommand::Signal { number: libc::SIGUSR1 }).unwrap();
        assert_ends(&call, ExitStatus::Exited(5));
        let (mut held, write) = io::pipe().unwrap();
        let call = run("/bin/sh", &["sh", "-c", "sleep 1000 & wait"], &[(write.as_fd(), 1)]);
        drop(write);
        call.command(&CallCommand::EndAll { grace: Duration::from_secs(60) }).unwrap();
        assert_ends(&call, ExitStatus::Signaled(15));
        // Its end is everybody's who held the pipe.
        assert_eq!(held.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn dropping_a_call_kills_it() {
        let (mut held, write) = io::pipe().unwrap();
        let call = run("/bin/sh", &["sh", "-c", "trap '' TERM; sleep 1000 & wait"], &[(write.as_fd(), 1)]);
        drop((write, call));
        assert_eq!(held.read(&mut [0]).unwrap(), 0);
    }
}
