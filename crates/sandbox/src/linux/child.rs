//! The last steps between a supervisor and the program: own session, descriptors, folder, `execve`.
//!
//! Runs in a child that shares the supervisor's memory, while the supervisor waits: copying that memory would take longer than
//! all of this.

use super::request::{FIRST_PRIVATE_DESCRIPTOR, Inherited, StartRequest, WORKING_FOLDER};
use super::sys::{self, SingleThreaded};
use crate::event::StartStep;
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Why a program could not be started: the step and the kernel's error.
pub(super) struct NotStarted {
    pub(super) step: StartStep,
    pub(super) errno: i32,
}

impl NotStarted {
    pub(super) fn at(step: StartStep) -> impl Fn(io::Error) -> NotStarted {
        move |error| NotStarted { step, errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }
}

/// Starts the program and returns its number once `execve` has succeeded.
pub(super) fn start(
    proof: SingleThreaded,
    request: &StartRequest,
    descriptors: Vec<OwnedFd>,
) -> Result<i32, NotStarted> {
    // The child shares this process's memory until it executes the program, so what it finds out is known here.
    let mut failed = None;
    let pid = sys::fork_sharing_memory(proof, &mut || {
        failed = Some(become_program(request, &descriptors));
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

/// Returns only on failure.
fn become_program(request: &StartRequest, descriptors: &[OwnedFd]) -> NotStarted {
    // A session of its own: no controlling terminal (TIOCSTI), and a group that can be signalled as one.
    if let Err(error) = sys::new_session() {
        return NotStarted::at(StartStep::NewSession)(error);
    }
    // Before the descriptor, if it is one, is closed.
    if let Err(errno) = enter_folder(request, descriptors) {
        return NotStarted::at(StartStep::ChangeDirectory)(errno.into());
    }
    // The descriptors meant for the program, at their numbers; everything else closes at execve.
    let _moved = match place(request, descriptors) {
        Ok(moved) => moved,
        Err(error) => return NotStarted::at(StartStep::PlaceDescriptors)(error),
    };
    inherit(&request.inherited);
    let error = sys::execute(&request.program, &request.arguments, &request.environment);
    NotStarted::at(StartStep::Execute)(error)
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
    sys::inherit_signals(inherited.ignored, inherited.blocked);
}

fn enter_folder(request: &StartRequest, descriptors: &[OwnedFd]) -> Result<(), Errno> {
    let mut pairs = request.targets.iter().zip(descriptors);
    match pairs.find(|(target, _)| **target == WORKING_FOLDER) {
        Some((_, folder)) => rustix::process::fchdir(folder),
        None => rustix::process::chdir(&request.directory),
    }
}

/// Puts the descriptors at their numbers. Returns those that stood in each other's way, which close at `execve`.
fn place(request: &StartRequest, descriptors: &[OwnedFd]) -> io::Result<Vec<Option<OwnedFd>>> {
    let targets = &request.targets;
    if targets.len() != descriptors.len()
        || targets.iter().any(|to| *to != WORKING_FOLDER && !(0..FIRST_PRIVATE_DESCRIPTOR).contains(to))
    {
        return Err(Errno::BADF.into());
    }
    // Moved out of the way first, so that placing one never overwrites another that is still to be placed.
    let move_away = |descriptor: &OwnedFd| {
        let number = descriptor.as_raw_fd();
        targets
            .contains(&number)
            .then(|| rustix::io::fcntl_dupfd_cloexec(descriptor, FIRST_PRIVATE_DESCRIPTOR))
            .transpose()
    };
    let moved: Vec<Option<OwnedFd>> = descriptors.iter().map(move_away).collect::<Result<_, _>>()?;
    sys::close_all_on_exec()?;
    for ((descriptor, moved), target) in descriptors.iter().zip(&moved).zip(targets) {
        if *target != WORKING_FOLDER {
            sys::place_descriptor(moved.as_ref().unwrap_or(descriptor).as_fd(), *target)?;
        }
    }
    Ok(moved)
}
