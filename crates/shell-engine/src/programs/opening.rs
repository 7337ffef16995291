//! Opens files that a command names without doing anything by it: to see which one it is, or to read it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::identity::FileState;
use crate::sys;

/// How a regular file is opened to be read: should it have become another kind meanwhile, nothing blocks.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Opens a file to see which one it is: not to read it, and nothing happens by it. Links are followed.
pub(crate) fn look(path: &Path) -> Option<OwnedFd> {
    openat(CWD, path, sys::LOOK | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// The state of a file; links are followed.
pub(crate) fn look_at(path: &Path) -> Option<FileState> {
    look(path).and_then(FileState::of)
}

/// Opens a file that we were shown, to be read: a regular file only, so that nothing blocks.
pub(crate) fn reopen(shown: &OwnedFd) -> Option<File> {
    if FileState::of(shown.as_fd())?.is_regular() { sys::reopen(shown, READ) } else { None }
}

/// Opens a file to be read, unless it is one that blocks or does something when it is opened.
pub(crate) fn open(path: &Path) -> Option<File> {
    let file = look_at(path)
        .filter(FileState::is_regular)
        .and_then(|_| openat(CWD, path, READ, Mode::empty()).ok())?;
    FileState::of(&file).filter(FileState::is_regular).map(|_| File::from(file))
}
