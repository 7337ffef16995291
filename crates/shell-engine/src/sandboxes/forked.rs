//! A program that the server forked by itself: its end, and signals for it. For systems without sessions of the sandbox.
//!
//! The standard library's `Command` cannot place descriptors at chosen numbers (its own error pipe may sit there) and
//! inherits the server's standard streams, which are the protocol. So the fork and the steps after it are ours.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{kill, killpg};
use nix::unistd::Pid;
use rustix::io::retry_on_intr;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::spawn::{Directory, Ended, Remaining, Spawn, SpawnError};
use super::{Sandbox, Signal, fork};
use crate::descriptor_limit;

/// A child process that leads its own session. Its number stays its own until this value is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    _sandbox: Arc<Sandbox>,
}

impl Process {
    /// Forks, and executes the program behind the sandbox's profile.
    pub(super) async fn start(spawn: Spawn, sandbox: &Arc<Sandbox>) -> Result<Process, SpawnError> {
        let (program, argv) = sandbox.command(spawn.program, spawn.argv);
        let plan = fork::Plan {
            program: c_string(program.into_os_string())?,
            argv: fork::CStringArray::new(c_strings(argv)?),
            env: fork::CStringArray::new(c_strings(spawn.env)?),
            directory: match &spawn.directory {
                Directory::Path(path) => fork::DirectoryPlan::Path(c_string(path.clone().into_os_string())?),
                Directory::Open(open) => fork::DirectoryPlan::Open(open.as_raw_fd()),
            },
            descriptors: spawn.descriptors.iter().map(|one| (one.ours.as_raw_fd(), one.number)).collect(),
            descriptor_limit: descriptor_limit::inherited(),
        };
        let pid = plan.fork_and_exec().map_err(explain)?;
        Ok(Process { pid: Pid::from_raw(pid), _sandbox: Arc::clone(sandbox) })
    }

    /// Waits for the end of the program, and leaves it to be reaped when this value is dropped.
    pub(crate) async fn wait(&self) -> io::Result<Ended> {
        let pid = self.pid;
        let wait = move || look(pid, WaitIdOptions::empty());
        let ended = tokio::task::spawn_blocking(wait).await.map_err(io::Error::other)??;
        ended.ok_or_else(|| io::Error::other("waitid told of no end"))
    }

    /// Waits until nothing that the program has started is left; the system does not tell, so the program stands for all.
    pub(crate) async fn gone(&self) {
        let _ = self.wait().await;
    }

    /// Never completes: the system does not tell what else is left.
    pub(crate) async fn none_left(&self) {
        std::future::pending().await
    }

    /// Whether the program itself has ended.
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(look(self.pid, WaitIdOptions::NOHANG), Ok(None))
    }

    /// Not told by this system.
    pub(crate) async fn alive(&self) -> Remaining {
        Remaining::default()
    }

    /// Sends a signal to the program alone; it may be gone already.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
    }

    /// Ends the program and its process group: asks, waits until the program has ended or `grace` is over, kills.
    pub(crate) async fn end(&self, grace: Duration) {
        let _ = killpg(self.pid, Signal::SIGTERM);
        let _ = killpg(self.pid, Signal::SIGCONT);
        let _ = tokio::time::timeout(grace, self.wait()).await;
        let _ = killpg(self.pid, Signal::SIGKILL);
    }
}

/// How the program ended, if it has; it stays to be reaped.
fn look(pid: Pid, options: WaitIdOptions) -> io::Result<Option<Ended>> {
    let pid = rustix::process::Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::InvalidInput)?;
    let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let Some(status) = retry_on_intr(|| waitid(WaitId::Pid(pid), options))? else { return Ok(None) };
    let small = |value: i32| u8::try_from(value).unwrap_or(u8::MAX);
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ok(Some(Ended::Exited(small(code)))),
        (None, Some(signal)) => Ok(Some(Ended::Signaled(small(signal)))),
        (None, None) => Err(io::Error::other(format!("waitid gave {status:?}"))),
    }
}

fn explain(failure: fork::Failure) -> SpawnError {
    match failure {
        fork::Failure::Fork(source) => SpawnError::NotStarted { step: "make a process", source },
        fork::Failure::Child { step, source } => SpawnError::NotStarted { step: step.name(), source },
    }
}

fn c_strings(strings: Vec<OsString>) -> Result<Vec<CString>, std::ffi::NulError> {
    strings.into_iter().map(c_string).collect()
}

fn c_string(string: OsString) -> Result<CString, std::ffi::NulError> {
    CString::new(string.into_vec())
}

impl Drop for Process {
    /// Reaps the program; kills it first if it has not ended, since nobody else watches it.
    fn drop(&mut self) {
        use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
        if matches!(waitpid(self.pid, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive)) {
            let _ = killpg(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}
