//! The child of a supervisor that becomes the program.
//!
//! It shares the supervisor's memory, while the supervisor waits: copying that memory would take longer than all of its steps.

use super::sys::{self, SingleThreaded};
use crate::event::StartStep;
use crate::program::{NotStarted, Prepared, StartRequest};
use crate::spawn_request::Inherited;
use std::os::fd::{AsFd, OwnedFd};

/// Starts the program and returns its number once `execve` has succeeded.
pub(super) fn start(
    proof: SingleThreaded,
    request: &StartRequest,
    descriptors: &[OwnedFd],
) -> Result<i32, NotStarted> {
    let mut prepared = Prepared::new(request, descriptors.iter().map(AsFd::as_fd).collect());
    // The child shares this process's memory until it executes the program, so what it finds out is known here.
    let mut failed = None;
    let pid = sys::fork_sharing_memory(proof, &mut || {
        let settle = || inherit(&request.inherited);
        failed = Some(prepared.become_program(sys::close_all_on_exec, settle));
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
