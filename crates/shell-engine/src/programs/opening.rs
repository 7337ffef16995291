//! Opens files that a command names without doing anything by it: to see which one it is, or to read it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::identity::FileState;

/// How a file is opened to see which one it is.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = OFlags::NONBLOCK;

/// Opens a file to see which one it is: not to read it, and nothing happens by it. Links are followed.
pub(crate) fn look(path: &Path) -> Option<OwnedFd> {
    openat(CWD, path, LOOK | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// The state of a file; links are followed.
pub(crate) fn look_at(path: &Path) -> Option<FileState> {
    look(path).and_then(FileState::of)
}

/// Opens a file that we were shown, to be read: a regular file only, so that nothing blocks.
pub(crate) fn reopen(shown: &OwnedFd) -> Option<File> {
    if !FileState::of(shown.as_fd())?.is_regular() {
        return None;
    }
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        open(Path::new(&format!("/proc/self/fd/{}", shown.as_raw_fd())))
    }
    #[cfg(not(target_os = "linux"))]
    {
        shown.try_clone().ok().map(File::from)
    }
}

/// Opens a file to be read, unless it is one that blocks or does something when it is opened.
pub(crate) fn open(path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = look_at(path)
        .filter(FileState::is_regular)
        .and_then(|_| openat(CWD, path, flags, Mode::empty()).ok())?;
    FileState::of(&file).filter(FileState::is_regular).map(|_| File::from(file))
}

/// The path of an open file or directory.
#[cfg(target_os = "linux")]
pub(crate) fn path_of(descriptor: &OwnedFd) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).ok()
}

/// The path of an open file or directory.
#[cfg(target_os = "macos")]
pub(crate) fn path_of(descriptor: &OwnedFd) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    rustix::fs::getpath(descriptor).ok().map(|path| std::ffi::OsString::from_vec(path.into_bytes()).into())
}

/// Not told by this system in a way that a kept library knows: what is named by a relative path is then not found, and refused.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(crate) fn path_of(_: &OwnedFd) -> Option<PathBuf> {
    None
}
