//! The last steps between a supervisor and the program: own session, descriptors, folder, `execve`.
//!
//! Runs in a child just forked from the supervisor. Every step's failure is told to the supervisor through a pipe that a
//! successful `execve` closes.

use super::sys::{self, Forked, SingleThreaded};
use crate::wire::{
    FIRST_PRIVATE_DESCRIPTOR, Inherited, MissingStreams, StartRequest, StartStep, WORKING_FOLDER,
};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

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
    let prepared = Prepared::new(request).map_err(NotStarted::at(StartStep::ReadRequest))?;
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
        .map_err(|errno| NotStarted::at(StartStep::PlaceDescriptors)(errno.into()))?;
    match sys::fork(proof).map_err(NotStarted::at(StartStep::ForkProgram))? {
        Forked::Child => {
            drop(reader);
            let failed = become_program(request, &prepared, &descriptors, &writer);
            let mut told = vec![failed.step.code()];
            told.extend(failed.errno.to_le_bytes());
            // Nobody to tell that telling failed; the exit code says it again.
            let _ = rustix::io::write(&writer, &told);
            sys::exit_now(127)
        }
        Forked::Parent(pid) => {
            drop(writer);
            drop(descriptors);
            match failure(&reader) {
                None => Ok(pid.as_raw_nonzero().get()),
                Some(failed) => {
                    // Left unwaited, it would look like a remnant to init. It exits right after telling.
                    let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
                    Err(failed)
                }
            }
        }
    }
}

/// Strings for `execve`, made before the fork.
struct Prepared {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Prepared {
    fn new(request: &StartRequest) -> io::Result<Self> {
        let string = |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| Errno::INVAL.into());
        let strings =
            |list: &[std::ffi::OsString]| list.iter().map(|text| string(text)).collect::<io::Result<_>>();
        Ok(Prepared {
            program: string(request.program.as_os_str())?,
            arguments: strings(&request.arguments)?,
            environment: strings(&request.environment)?,
        })
    }
}

/// Returns only on failure.
fn become_program(
    request: &StartRequest,
    prepared: &Prepared,
    descriptors: &[OwnedFd],
    report: &OwnedFd,
) -> NotStarted {
    // A session of its own: no controlling terminal (TIOCSTI), and a group that can be signalled as one.
    if let Err(errno) = rustix::process::setsid() {
        return NotStarted::at(StartStep::NewSession)(errno.into());
    }
    // Before the descriptor, if it is one, is closed.
    if let Err(errno) = enter_folder(request, descriptors) {
        return NotStarted::at(StartStep::ChangeDirectory)(errno.into());
    }
    // The descriptors meant for the program, at their numbers; everything else closes at execve.
    if let Err(error) = place(request, descriptors, report) {
        return NotStarted::at(StartStep::PlaceDescriptors)(error);
    }
    sys::default_signals();
    inherit(&request.inherited);
    let error = sys::execute(&prepared.program, &prepared.arguments, &prepared.environment);
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

fn place(request: &StartRequest, descriptors: &[OwnedFd], report: &OwnedFd) -> io::Result<()> {
    let targets = &request.targets;
    if targets.len() != descriptors.len()
        || targets.iter().any(|to| *to != WORKING_FOLDER && !(0..FIRST_PRIVATE_DESCRIPTOR).contains(to))
    {
        return Err(Errno::BADF.into());
    }
    // Moved out of the way first, so that placing one never overwrites another that is still to be placed.
    let _report = rustix::io::fcntl_dupfd_cloexec(report, FIRST_PRIVATE_DESCRIPTOR)?;
    let moved: Vec<OwnedFd> = descriptors
        .iter()
        .map(|descriptor| rustix::io::fcntl_dupfd_cloexec(descriptor, FIRST_PRIVATE_DESCRIPTOR))
        .collect::<Result<_, _>>()?;
    sys::close_all_on_exec()?;
    if request.missing_streams == MissingStreams::Null {
        let lowest = rustix::fs::open(
            "/dev/null",
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )?;
        let null = rustix::io::fcntl_dupfd_cloexec(&lowest, FIRST_PRIVATE_DESCRIPTOR)?;
        // Its number may be one that is to be placed, so it must not be closed later.
        drop(lowest);
        for standard in (0..3).filter(|number| !targets.contains(number)) {
            sys::place_descriptor(null.as_fd(), standard)?;
        }
    }
    for (descriptor, target) in moved.iter().zip(targets).filter(|(_, target)| **target != WORKING_FOLDER) {
        sys::place_descriptor(descriptor.as_fd(), *target)?;
    }
    Ok(())
}

/// Reads what the child told; nothing means that `execve` has closed the pipe.
fn failure(reader: &OwnedFd) -> Option<NotStarted> {
    let mut told = [0_u8; 5];
    let read = rustix::io::retry_on_intr(|| rustix::io::read(reader, &mut told));
    match read {
        Ok(5) => Some(NotStarted {
            step: StartStep::of_code(told[0]).unwrap_or(StartStep::Execute),
            errno: i32::from_le_bytes([told[1], told[2], told[3], told[4]]),
        }),
        Ok(_) => None,
        Err(errno) => Some(NotStarted::at(StartStep::Execute)(errno.into())),
    }
}
