//! The child of a supervisor that becomes the program.
//!
//! It shares the supervisor's memory, while the supervisor waits: copying that memory would take longer than all of its steps.

use super::packet;
use super::reporting::{Reported, Reporter};
use super::sys::{self, SingleThreaded};
use crate::event::{CallEvent, StartStep};
use crate::program::{NotStarted, Prepared, StartRequest};
use crate::spawn_request::Inherited;
use std::os::fd::{AsFd, OwnedFd};

/// Starts the program and returns its number once `execve` has succeeded. The server is told over `socket` who reports what it
/// executes, if it wants that.
pub(super) fn start(
    proof: SingleThreaded,
    request: &StartRequest,
    descriptors: &[OwnedFd],
    socket: &OwnedFd,
) -> Result<i32, NotStarted> {
    let mut prepared = Prepared::new(request, descriptors.iter().map(AsFd::as_fd).collect());
    let reported = Reported { connections: request.connections, names: request.brokered };
    let reporter = request.reported.then(|| Reporter::new(reported));
    // The child shares this process's memory until it executes the program, so what it finds out is known here.
    let mut failed = None;
    let pid = sys::fork_sharing_memory(proof, &mut || {
        let settle = || inherit(&request.inherited);
        failed = Some(match reporter.as_ref().map(|reporter| report(reporter, socket)) {
            Some(Err(error)) => error,
            Some(Ok(())) | None => prepared.become_program(sys::close_all_on_exec, settle),
        });
    })
    .map_err(NotStarted::at(StartStep::ForkProgram))?;
    match failed {
        None => Ok(pid.as_raw_nonzero().get()),
        Some(failed) => {
            // Left unwaited, it would look like a remnant to init.
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            Err(failed)
        }
    }
}

/// From here on an `execve` waits for the server. Before descriptors are placed: the socket may be in their way. Sending may
/// allocate, because the memory is that of a process whose only thread waits.
fn report(reporter: &Reporter, socket: &OwnedFd) -> Result<(), NotStarted> {
    let failed = NotStarted::at(StartStep::Report);
    let listener = reporter.start().map_err(&failed)?;
    packet::send(socket, &CallEvent::Reports, &[listener.as_fd()]).map_err(failed)
}

/// Applies the settings. Each step makes the program less able, which cannot fail; what it asks for beyond has no effect.
fn inherit(inherited: &Inherited) {
    if let Some(umask) = inherited.umask {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask & 0o777));
    }
    if let Some(niceness) = inherited.niceness {
        let own = rustix::process::getpriority_process(None).unwrap_or_default();
        if niceness > own {
            let _ = rustix::process::setpriority_process(None, niceness.min(19));
        }
    }
    for (resource, soft, hard) in &inherited.limits {
        sys::lower_limit(*resource, *soft, *hard);
    }
    crate::sys::inherit_signals(inherited.ignored, inherited.blocked);
}
