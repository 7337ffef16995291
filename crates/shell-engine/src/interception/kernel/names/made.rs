//! What this call has made of what Git makes once and obeys from then on: Git directories, linked work trees.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, openat};

/// What this call has made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Git directories, with the configuration that they got.
    pub(super) repositories: HashMap<PathBuf, Option<Written>>,
    /// The folders of linked work trees in them.
    pub(super) work_trees: HashSet<PathBuf>,
}

/// A file as it was written. Its change of mode is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Written {
    pub(super) fn of(file: &File) -> std::io::Result<Written> {
        let found = file.metadata()?;
        Ok(Written {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

/// Opens a regular file to be read, whatever a command may have put in its place.
pub(super) fn open_plain(folder: &OwnedFd, name: &OsStr) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::ErrorKind::InvalidInput.into()) }
}
