//! Which program a session is asked to start, and what that program gets.

use crate::bounded::{at_most, within};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// More kinds of limits than a system has.
const MAX_LIMITS: usize = 32;

/// Where a program starts.
#[derive(Debug)]
pub enum Directory {
    /// At an absolute path, as it is found inside.
    Path(PathBuf),
    /// In an open folder, which may have been moved or removed meanwhile.
    Open(OwnedFd),
}

/// A program to run in a session. Only what is named here reaches it.
#[derive(Debug)]
pub struct SpawnRequest {
    /// The program's absolute path; no search.
    pub program: PathBuf,
    /// The whole argument list, the program's own name first.
    pub arguments: Vec<OsString>,
    /// The whole environment, `NAME=value` each.
    pub environment: Vec<OsString>,
    /// The working folder.
    pub directory: Directory,
    /// Descriptors (at most 253) and the numbers (0 to 511) at which the program finds them. Nothing else is inherited:
    /// those of 0, 1 and 2 that are not among them are closed, as where a shell has closed them.
    pub descriptors: Vec<(OwnedFd, i32)>,
    /// Umask, limits and the like, where they are not the session's own; Linux only.
    pub inherited: Inherited,
    /// Every program that it and its descendants are about to execute waits until somebody answers for it, this one
    /// first: [`crate::CallEvent::Reports`] brings the descriptor. Linux only; sets `no_new_privs`.
    pub reported: bool,
    /// Besides, whenever one of them opens a file to read it, where that can be reported.
    pub reports_reading: bool,
}

impl SpawnRequest {
    /// Returns the descriptors that the program gets, and its working folder last if that is one.
    pub(crate) fn all_descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let folder = match &self.directory {
            Directory::Path(_) => None,
            Directory::Open(folder) => Some(folder.as_fd()),
        };
        self.descriptors.iter().map(|(descriptor, _)| descriptor.as_fd()).chain(folder).collect()
    }
}

/// Settings of a process that a program inherits. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    /// Permissions that new files do not get.
    pub umask: Option<u32>,
    /// How nice it is at least.
    pub niceness: Option<i32>,
    /// Signals that are ignored; bit 0 is signal 1.
    pub ignored: u64,
    /// Signals that are blocked; bit 0 is signal 1.
    pub blocked: u64,
    /// Resource limits (number, soft, hard); each applies where it is lower than what there is.
    #[serde(deserialize_with = "at_most::<MAX_LIMITS, _, _>", serialize_with = "within::<MAX_LIMITS, _, _>")]
    pub limits: Vec<(u8, u64, u64)>,
    /// Its standard input is a terminal, which becomes that of its session.
    pub terminal: bool,
}
