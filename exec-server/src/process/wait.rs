//! A running program: its end, and signals for it.

use std::io;
use std::time::Duration;

pub(crate) use nix::sys::signal::Signal;
use nix::sys::signal::{kill, killpg};
use nix::unistd::Pid;
use tokio::time::Instant;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It exited with this code.
    Exited(u8),
    /// It was killed by this signal.
    Signaled(u8),
}

impl Ended {
    /// The exit code as shells report it: 128 and the signal's number for a death by signal.
    pub(crate) fn code(self) -> i32 {
        match self {
            Ended::Exited(code) => i32::from(code),
            Ended::Signaled(signal) => 128 + i32::from(signal),
        }
    }
}

/// A child process that leads its own session. Its number stays its own until this value is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    #[cfg(target_os = "linux")]
    descriptor: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

impl Process {
    /// Takes over a child that was just forked.
    #[cfg(target_os = "linux")]
    pub(super) fn adopt(pid: libc::pid_t) -> io::Result<Process> {
        use rustix::process::{Pid as RustixPid, PidfdFlags, pidfd_open};
        let number = RustixPid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let descriptor = pidfd_open(number, PidfdFlags::NONBLOCK)?;
        let descriptor = super::sys::watch_readable(descriptor)?;
        Ok(Process { pid: Pid::from_raw(pid), descriptor })
    }

    /// Takes over a child that was just forked.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn adopt(pid: libc::pid_t) -> io::Result<Process> {
        Ok(Process { pid: Pid::from_raw(pid) })
    }

    /// Waits for the end of the program, and leaves it to be reaped when this value is dropped: until then nothing else can
    /// get its number, so that signals for its session reach nobody else.
    #[cfg(target_os = "linux")]
    pub(crate) async fn wait(&self) -> io::Result<Ended> {
        use std::os::fd::AsFd;

        use rustix::process::{WaitId, WaitIdOptions, waitid};
        loop {
            let mut ready = self.descriptor.readable().await?;
            let id = WaitId::PidFd(self.descriptor.get_ref().as_fd());
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if let Some(status) = waitid(id, options)? {
                let small = |value: i32| u8::try_from(value).unwrap_or(u8::MAX);
                return Ok(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Ended::Exited(small(code)),
                    (None, Some(signal)) => Ended::Signaled(small(signal)),
                    (None, None) => return Err(io::Error::other("waitid gave neither exit code nor signal")),
                });
            }
            ready.clear_ready();
        }
    }

    /// Waits for the end of the program, and leaves it to be reaped when this value is dropped.
    #[cfg(not(target_os = "linux"))]
    pub(crate) async fn wait(&self) -> io::Result<Ended> {
        use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
        let id = Id::Pid(self.pid);
        let wait = move || waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        let status = tokio::task::spawn_blocking(wait).await.map_err(io::Error::other)??;
        let small = |value: i32| u8::try_from(value).unwrap_or(u8::MAX);
        match status {
            WaitStatus::Exited(_, code) => Ok(Ended::Exited(small(code))),
            WaitStatus::Signaled(_, signal, _) => Ok(Ended::Signaled(small(signal as i32))),
            other => Err(io::Error::other(format!("waitid gave {other:?}"))),
        }
    }

    /// Sends a signal to the program alone; it may be gone already.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
    }

    /// Ends the program and all of its session: asks, waits until nobody is left or `grace` is over, kills. Processes that
    /// have begun a session of their own are not found.
    pub(crate) async fn end_session(&self, grace: Duration) {
        self.signal_session(Signal::SIGTERM);
        self.signal_session(Signal::SIGCONT);
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline && !self.session().is_empty() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        // One that was being forked meanwhile is found the next time.
        for _ in 0..MOST_ROUNDS {
            self.signal_session(Signal::SIGKILL);
            if self.session().is_empty() {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        tracing::error!(session = %self.pid, "a session does not end");
    }

    fn signal_session(&self, signal: Signal) {
        let _ = killpg(self.pid, signal);
        for pid in self.session() {
            let _ = kill(pid, signal);
        }
    }

    /// The living processes of the program's session (proc(5): `/proc/PID/stat`).
    #[cfg(target_os = "linux")]
    fn session(&self) -> Vec<Pid> {
        let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
        let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_member = |pid: &i32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The name, in parentheses, may hold anything; after it come state, parent, group and session.
            let Some((_, rest)) = stat.rsplit_once(')') else { return false };
            let mut fields = rest.split_whitespace();
            let alive = fields.next().is_some_and(|state| state != "Z" && state != "X");
            alive && fields.nth(2).and_then(|session| session.parse().ok()) == Some(self.pid.as_raw())
        };
        numbers.filter(is_member).map(Pid::from_raw).collect()
    }

    /// The program's own group stands for its session where the system does not list processes.
    #[cfg(not(target_os = "linux"))]
    fn session(&self) -> Vec<Pid> {
        Vec::new()
    }
}

/// How often a session that is being ended is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A session that still has processes after being killed so often is not ours to end.
const MOST_ROUNDS: usize = 50;

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
