//! A running program: its end, and signals for it.

use std::io;

pub(crate) use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::Pid;

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

/// A child process that leads its own process group.
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

    /// Waits for the end of the program. To be called once to its completion: the process id is free for others after it.
    #[cfg(target_os = "linux")]
    pub(crate) async fn wait(&self) -> io::Result<Ended> {
        use std::os::fd::AsFd;

        use rustix::process::{WaitId, WaitIdOptions, waitid};
        loop {
            let mut ready = self.descriptor.readable().await?;
            let id = WaitId::PidFd(self.descriptor.get_ref().as_fd());
            if let Some(status) = waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)? {
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

    /// Waits for the end of the program. To be called once to its completion: the process id is free for others after it.
    #[cfg(not(target_os = "linux"))]
    pub(crate) async fn wait(&self) -> io::Result<Ended> {
        use nix::sys::wait::{WaitStatus, waitpid};
        let pid = self.pid;
        let status =
            tokio::task::spawn_blocking(move || waitpid(pid, None)).await.map_err(io::Error::other)??;
        let small = |value: i32| u8::try_from(value).unwrap_or(u8::MAX);
        match status {
            WaitStatus::Exited(_, code) => Ok(Ended::Exited(small(code))),
            WaitStatus::Signaled(_, signal, _) => Ok(Ended::Signaled(small(signal as i32))),
            other => Err(io::Error::other(format!("waitpid gave {other:?}"))),
        }
    }

    /// Sends a signal to every process of the program's group; the group may be gone already.
    pub(crate) fn signal_group(&self, signal: Signal) {
        let _ = killpg(self.pid, signal);
    }
}
