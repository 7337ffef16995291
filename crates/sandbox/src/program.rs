//! A program to be started: what it gets, and the last steps of a new process until it is that program.
//!
//! On Linux the request travels in a message or a memory file to the call's supervisor, whose child takes the steps; elsewhere a
//! child of the server does.

use crate::bounded::{at_most, within};
use crate::event::StartStep;
use crate::session_error::SessionError;
use crate::spawn_request::{Directory, Inherited, SpawnRequest};
use crate::sys::{self, CStringArray};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Descriptor numbers that a program can be given.
const TARGETS: Range<i32> = 0..512;
/// In place of a number: the descriptor is the folder that the program starts in.
pub(crate) const WORKING_FOLDER: i32 = -1;
/// Most descriptors of one start request: as many as one message to us could bring (unix(7), `SCM_MAX_FD`), and the working
/// folder.
const MAX_DESCRIPTORS: usize = 254;

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartRequest {
    pub(crate) program: CString,
    pub(crate) arguments: Vec<CString>,
    /// `NAME=value` each.
    pub(crate) environment: Vec<CString>,
    /// Where the program starts, unless a descriptor says it ([`WORKING_FOLDER`]).
    pub(crate) directory: CString,
    /// The numbers at which the program finds the descriptors that came with the message, or [`WORKING_FOLDER`].
    #[serde(
        deserialize_with = "at_most::<MAX_DESCRIPTORS, _, _>",
        serialize_with = "within::<MAX_DESCRIPTORS, _, _>"
    )]
    pub(crate) targets: Vec<i32>,
    pub(crate) inherited: Inherited,
}

impl StartRequest {
    /// Checks what can never work.
    pub(crate) fn new(request: &SpawnRequest) -> Result<StartRequest, SessionError> {
        let (directory, open_folder) = match &request.directory {
            Directory::Path(path) => (path.as_path(), None),
            Directory::Open(_) => (Path::new("/"), Some(WORKING_FOLDER)),
        };
        if !request.program.is_absolute() || !directory.is_absolute() {
            return Err(SessionError::BadRequest("the program and the working folder must be absolute"));
        }
        if request.arguments.is_empty() {
            return Err(SessionError::BadRequest("the argument list is empty"));
        }
        let mut targets: Vec<i32> = request.descriptors.iter().map(|(_, target)| *target).collect();
        if targets.iter().any(|target| !TARGETS.contains(target)) {
            return Err(SessionError::BadRequest("a descriptor's number is out of range"));
        }
        targets.extend(open_folder);
        if targets.len() > MAX_DESCRIPTORS {
            return Err(SessionError::BadRequest("too many descriptors"));
        }
        let strings = |list: &[OsString]| list.iter().map(|text| c_string(text)).collect::<Result<_, _>>();
        Ok(StartRequest {
            program: c_string(request.program.as_os_str())?,
            arguments: strings(&request.arguments)?,
            environment: strings(&request.environment)?,
            directory: c_string(directory.as_os_str())?,
            targets,
            inherited: request.inherited.clone(),
        })
    }
}

fn c_string(text: &OsStr) -> Result<CString, SessionError> {
    CString::new(text.as_bytes())
        .map_err(|_| SessionError::BadRequest("a NUL byte in its path, arguments or environment"))
}

/// Lowers the soft limit of open descriptors, for the programs that are started from now on.
pub(crate) fn lower_descriptor_limit(soft: u64) {
    let hard = getrlimit(Resource::Nofile).maximum;
    let current = Some(hard.map_or(soft, |hard| soft.min(hard)));
    // What is refused stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum: hard });
}

/// Why a program could not be started: the step and the kernel's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotStarted {
    pub(crate) step: StartStep,
    pub(crate) errno: i32,
}

impl NotStarted {
    pub(crate) fn at(step: StartStep) -> impl Fn(io::Error) -> NotStarted {
        move |error| NotStarted { step, errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }
}

/// A program, with all the memory that its new process needs: after a fork nothing can be allocated.
pub(crate) struct Prepared<'a> {
    request: &'a StartRequest,
    descriptors: Vec<BorrowedFd<'a>>,
    arguments: CStringArray<'a>,
    environment: CStringArray<'a>,
    /// Room for copies of descriptors that stand in each other's way.
    moved: Vec<Option<OwnedFd>>,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(request: &'a StartRequest, descriptors: Vec<BorrowedFd<'a>>) -> Prepared<'a> {
        Prepared {
            request,
            arguments: CStringArray::new(&request.arguments),
            environment: CStringArray::new(&request.environment),
            moved: Vec::with_capacity(descriptors.len()),
            descriptors,
        }
    }

    /// Makes this process, a new one, the program: own session, folder, descriptors, settings, `execve`. `mark_all` marks every
    /// descriptor close-on-exec, `settle` applies what else the program inherits. Returns only on failure.
    pub(crate) fn become_program(
        &mut self,
        mark_all: impl FnOnce() -> io::Result<()>,
        settle: impl FnOnce(),
    ) -> NotStarted {
        // A session of its own: no controlling terminal (TIOCSTI), and a group that can be signalled as one.
        if let Err(error) = sys::new_session() {
            return NotStarted::at(StartStep::NewSession)(error);
        }
        // Before the descriptor, if it is one, is closed.
        if let Err(errno) = self.enter_folder() {
            return NotStarted::at(StartStep::ChangeDirectory)(errno.into());
        }
        // The descriptors meant for the program, at their numbers; everything else closes at execve.
        if let Err(error) = self.place_descriptors(mark_all) {
            return NotStarted::at(StartStep::PlaceDescriptors)(error);
        }
        if self.request.inherited.terminal
            && let Err(errno) = rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())
        {
            return NotStarted::at(StartStep::Terminal)(errno.into());
        }
        settle();
        let error = sys::execute(&self.request.program, &self.arguments, &self.environment);
        NotStarted::at(StartStep::Execute)(error)
    }

    fn enter_folder(&self) -> Result<(), Errno> {
        let mut pairs = self.request.targets.iter().zip(&self.descriptors);
        match pairs.find(|(target, _)| **target == WORKING_FOLDER) {
            Some((_, folder)) => rustix::process::fchdir(folder),
            None => rustix::process::chdir(&*self.request.directory),
        }
    }

    fn place_descriptors(&mut self, mark_all: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let targets = &self.request.targets;
        if targets.len() != self.descriptors.len()
            || targets.iter().any(|to| *to != WORKING_FOLDER && !TARGETS.contains(to))
        {
            return Err(Errno::BADF.into());
        }
        // Moved out of the way first, so that placing one never overwrites another that is still to be placed.
        // Of the new process alone, which ends or executes the program: nobody drops them, least of all a process that shares its
        // memory and not its descriptors.
        let mut all_moved = ManuallyDrop::new(std::mem::take(&mut self.moved));
        for descriptor in &self.descriptors {
            let is_target = targets.contains(&descriptor.as_raw_fd());
            all_moved.push(is_target.then(|| copy_beside(*descriptor, targets)).transpose()?);
        }
        mark_all()?;
        for ((descriptor, moved), target) in self.descriptors.iter().zip(all_moved.iter()).zip(targets) {
            if *target != WORKING_FOLDER {
                sys::place_descriptor(moved.as_ref().map_or(*descriptor, AsFd::as_fd), *target)?;
            }
        }
        Ok(())
    }
}

/// Copies a descriptor to the lowest free number that none of these is. There may be few: a limit of open files is one of numbers.
pub(crate) fn copy_beside(descriptor: BorrowedFd<'_>, targets: &[i32]) -> Result<OwnedFd, Errno> {
    let mut least = 0;
    loop {
        let copy = rustix::io::fcntl_dupfd_cloexec(descriptor, least)?;
        if !targets.contains(&copy.as_raw_fd()) {
            return Ok(copy);
        }
        least = copy.as_raw_fd() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_back() {
        let request = StartRequest {
            program: c"/bin/sh".into(),
            arguments: vec![c"sh".into(), c"\xffx".into()],
            environment: vec![c"A=b".into()],
            directory: c"/".into(),
            targets: vec![0, 1, 250, WORKING_FOLDER],
            inherited: Inherited {
                umask: Some(0o77),
                niceness: Some(-3),
                ignored: 1,
                blocked: 2,
                limits: vec![(7, 100, u64::MAX)],
                terminal: true,
            },
        };
        let plain = StartRequest { inherited: Inherited::default(), ..request.clone() };
        for request in [request, plain] {
            assert_eq!(
                postcard::from_bytes::<StartRequest>(&postcard::to_allocvec(&request).unwrap()).unwrap(),
                request
            );
        }
    }
}
