//! A fork of a process with several threads, which has no safe interface.
#![expect(unsafe_code, reason = "fork, and descriptors by their numbers, have no safe wrapper")]

use crate::event::StartStep;
use crate::program::{NotStarted, copy_beside};
use crate::sys::exit_now;
use rustix::process::{Pid, Resource, WaitOptions, getrlimit, waitpid};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// More descriptors than this are not looked at: where there is no limit, counting to it would take forever.
const MOST_DESCRIPTORS: u64 = 1 << 16;

/// Runs `child` in a copy of this process, and returns once it has executed a program or has failed. Allocates nothing
/// in there, and `child` must not either: another thread may have held the allocator's lock.
pub(super) fn fork_reporting(
    targets: &[RawFd],
    child: &mut dyn FnMut() -> NotStarted,
) -> Result<Pid, NotStarted> {
    let (mut read, write) = report_pipe(targets).map_err(NotStarted::at(StartStep::ForkProgram))?;
    // SAFETY: fork(2) takes nothing. The child calls async-signal-safe functions only, as this function's contract
    // says.
    match unsafe { libc::fork() } {
        -1 => Err(NotStarted::at(StartStep::ForkProgram)(io::Error::last_os_error())),
        0 => {
            let mut report = [0_u8; 16];
            // Two small numbers fit, and whoever reads nothing takes the program for started, which its end then
            // denies.
            if let Ok(report) = postcard::to_slice(&child(), &mut report) {
                let _ = rustix::io::write(&write, report);
            }
            exit_now(127)
        }
        raw => {
            drop(write);
            let pid = Pid::from_raw(raw);
            let mut report = Vec::new();
            // A pipe that cannot be read has nothing to tell, too.
            let _ = read.read_to_end(&mut report);
            match (postcard::from_bytes::<NotStarted>(&report), pid) {
                (Ok(failed), _) => {
                    let _ = waitpid(pid, WaitOptions::empty());
                    Err(failed)
                }
                (Err(_), Some(pid)) => Ok(pid),
                (Err(_), None) => Err(NotStarted { step: StartStep::ForkProgram, errno: libc::EIO }),
            }
        }
    }
}

/// A pipe for the child's report, closed by `execve`. The child's end has none of the program's numbers.
fn report_pipe(targets: &[RawFd]) -> io::Result<(io::PipeReader, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((read, copy_beside(write.as_fd(), targets)?))
}

/// Marks every open descriptor close-on-exec: whoever started this process may have left some open. Not every system
/// can do so at once, and a crate for these few lines (`close_fds`) would be one more with `unsafe` in it, for systems
/// without a sandbox.
pub(super) fn close_all_on_exec() -> io::Result<()> {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(MOST_DESCRIPTORS).min(MOST_DESCRIPTORS);
    for number in 0..RawFd::try_from(most).unwrap_or(RawFd::MAX) {
        // SAFETY: nothing is done with it but to set its flags, for which it need not be open (EBADF).
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC);
    }
    Ok(())
}
