//! What this call has made of what Git makes once and obeys from then on: Git directories, linked work trees, locks of
//! configurations.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, statat, unlinkat};

/// What a call has made, for all doors of its own sandbox. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct MadeByCall(Arc<Mutex<Made>>);

impl MadeByCall {
    pub(super) fn lock(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What this call has made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Git directories, those of submodules among them, and the folders in which these lie.
    pub(super) repositories: HashSet<PathBuf>,
    /// The configurations that they got.
    pub(super) configurations: HashMap<PathBuf, Written>,
    /// Folders of submodules that were taken out of their repository, which stay.
    pub(super) taken_out: HashSet<PathBuf>,
    /// The folders of linked work trees in them.
    pub(super) work_trees: HashSet<PathBuf>,
    /// What locks configurations, by path.
    locks: HashMap<PathBuf, Lock>,
}

/// A file by way of which a configuration is replaced. It is open, so that no other file has its number.
#[derive(Debug)]
struct Lock {
    folder: OwnedFd,
    file: OwnedFd,
}

impl Lock {
    fn is_there(&self, name: &OsStr) -> bool {
        let identity = |found: rustix::fs::Stat| (found.st_dev, found.st_ino);
        let found = statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).map(identity);
        found.is_ok_and(|found| fstat(&self.file).map(identity) == Ok(found))
    }
}

impl Made {
    /// Tells the Git directory of this call in which a path lies.
    pub(super) fn repository<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.ancestors().skip(1).find(|folder| self.repositories.contains(*folder))
    }

    /// Remembers a lock, which is not to outlive the call.
    pub(super) fn has_locked(&mut self, path: &Path, folder: &OwnedFd, file: &OwnedFd) {
        if let (Ok(folder), Ok(file)) = (folder.try_clone(), file.try_clone()) {
            self.locks.insert(path.to_owned(), Lock { folder, file });
        }
    }

    /// Whether what is there is a lock of this call: another one is that of somebody who is about to make it the configuration.
    pub(super) fn is_own_lock(&self, path: &Path) -> bool {
        let lock = self.locks.get(path).zip(path.file_name());
        lock.is_some_and(|(lock, name)| lock.is_there(name))
    }
}

impl Drop for Made {
    /// A lock whose program was killed would keep the user's own Git from writing the configuration.
    fn drop(&mut self) {
        for (path, lock) in self.locks.drain() {
            if let Some(name) = path.file_name().filter(|name| lock.is_there(name)) {
                let _ = unlinkat(&lock.folder, name, AtFlags::empty());
            }
        }
    }
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
