//! What a program is started with.

use std::ffi::{CString, OsString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::wait::Process;
use super::{limits, sys};

/// A program to be started. Only what is named here reaches it.
#[derive(Debug)]
pub(crate) struct Spawn {
    /// The file to execute; not searched for.
    pub program: PathBuf,
    /// The argument vector, `argv[0]` included.
    pub argv: Vec<OsString>,
    /// The environment, `NAME=value` each.
    pub env: Vec<OsString>,
    /// The working directory.
    pub directory: Directory,
    /// The descriptors that it gets. Standard streams that are not among them are closed.
    pub descriptors: Vec<Descriptor>,
}

/// A descriptor of ours, and the number that it has in the program.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub ours: OwnedFd,
    pub number: RawFd,
}

/// Where a program starts.
#[derive(Debug)]
pub(crate) enum Directory {
    Path(PathBuf),
    Open(OwnedFd),
}

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    /// A string has a NUL byte, which the kernel's interface cannot carry.
    #[error("a NUL byte in its path, arguments or environment")]
    Nul(#[from] std::ffi::NulError),
    /// No process could be made.
    #[error("fork failed")]
    Fork(#[source] std::io::Error),
    /// The new process cannot be watched, so it was killed.
    #[error("the new process cannot be watched")]
    Watch(#[source] std::io::Error),
    /// A step between fork and execve failed.
    #[error("{step} failed in the new process")]
    Prepare {
        /// The step.
        step: &'static str,
        /// Its reason.
        #[source]
        source: std::io::Error,
    },
    /// The kernel does not execute the file.
    #[error("cannot execute {}", program.display())]
    Execve {
        /// The file.
        program: PathBuf,
        /// The kernel's reason.
        #[source]
        source: std::io::Error,
    },
}

impl SpawnError {
    /// The errno, where there is one.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            SpawnError::Nul(_) => None,
            SpawnError::Fork(source)
            | SpawnError::Watch(source)
            | SpawnError::Prepare { source, .. }
            | SpawnError::Execve { source, .. } => source.raw_os_error(),
        }
    }
}

impl Spawn {
    /// Starts the program. Our copies of its descriptors are closed, whatever happens.
    pub(crate) fn start(self) -> Result<Process, SpawnError> {
        let plan = sys::Plan {
            program: c_string(self.program.as_os_str().to_owned())?,
            argv: sys::CStringArray::new(c_strings(self.argv)?),
            env: sys::CStringArray::new(c_strings(self.env)?),
            directory: match &self.directory {
                Directory::Path(path) => sys::DirectoryPlan::Path(c_string(path.clone().into_os_string())?),
                Directory::Open(open) => sys::DirectoryPlan::Open(open.as_raw_fd()),
            },
            descriptors: self.descriptors.iter().map(|one| (one.ours.as_raw_fd(), one.number)).collect(),
            descriptor_limit: limits::inherited(),
        };
        let pid = plan.fork_and_exec().map_err(|failure| explain(failure, &self.program))?;
        Process::adopt(pid).map_err(|source| {
            sys::kill_and_reap(pid);
            SpawnError::Watch(source)
        })
    }
}

fn explain(failure: sys::Failure, program: &Path) -> SpawnError {
    match failure {
        sys::Failure::Fork(source) => SpawnError::Fork(source),
        sys::Failure::Child { step: sys::Step::Execve, source } => {
            SpawnError::Execve { program: program.to_owned(), source }
        }
        sys::Failure::Child { step, source } => SpawnError::Prepare { step: step.name(), source },
    }
}

fn c_strings(strings: Vec<OsString>) -> Result<Vec<CString>, std::ffi::NulError> {
    strings.into_iter().map(c_string).collect()
}

fn c_string(string: OsString) -> Result<CString, std::ffi::NulError> {
    CString::new(string.into_vec())
}
