//! Which file something is, beyond its names, and whether it is still the same.

use std::fs::Metadata;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, RawMode, Stat, fstat, stat};

use crate::sys::device_and_inode;

/// Which file something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// The identity of the file at a path; links are followed.
    pub(crate) fn at(path: &Path) -> Option<FileIdentity> {
        stat(path).ok().map(|stat| FileState::from(stat).identity())
    }

    /// The identity of an open file.
    pub(crate) fn of(file: impl AsFd) -> Option<FileIdentity> {
        FileState::of(file).map(|state| state.identity())
    }
}

impl From<&Metadata> for FileIdentity {
    fn from(metadata: &Metadata) -> FileIdentity {
        FileIdentity { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Which file something is, and in which state: its content cannot change without one of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileState {
    identity: FileIdentity,
    size: u64,
    mode: RawMode,
    /// When it was last changed, in seconds and nanoseconds of the system's clock.
    changed: (i64, i64),
}

impl From<Stat> for FileState {
    fn from(stat: Stat) -> FileState {
        let (device, inode) = device_and_inode(&stat);
        FileState {
            identity: FileIdentity { device, inode },
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            mode: stat.st_mode,
            changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or_default()),
        }
    }
}

impl FileState {
    /// The state of an open file.
    pub(crate) fn of(file: impl AsFd) -> Option<FileState> {
        fstat(file).ok().map(FileState::from)
    }

    /// Which file it is.
    pub(crate) fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Whether who executes it gets the rights of its owner or group.
    pub(crate) fn gives_its_owners_rights(&self) -> bool {
        const SET_USER_OR_GROUP: RawMode = 0o6000;
        self.is_regular() && self.mode & SET_USER_OR_GROUP != 0
    }

    /// Whether somebody may execute it.
    pub(crate) fn may_be_executed(&self) -> bool {
        self.is_regular() && self.mode & 0o111 != 0
    }

    /// Whether it was last changed so long ago that it cannot have been changed since without looking otherwise: the
    /// clock that says so is a coarse one.
    pub(crate) fn is_settled(&self) -> bool {
        const COARSE: Duration = Duration::from_secs(2);
        let changed = u64::try_from(self.changed.0).unwrap_or(u64::MAX);
        let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        age.saturating_sub(COARSE).as_secs() > changed
    }

    /// Whether it is a regular file: reading it neither blocks nor does anything.
    pub(crate) fn is_regular(&self) -> bool {
        FileType::from_raw_mode(self.mode) == FileType::RegularFile
    }

    /// Its length in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The same for the same state, and never the same for another one.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let FileState { identity, size, mode, changed: (seconds, nanoseconds) } = self;
        format!("{identity:?} {size} {seconds} {nanoseconds} {mode}").into_bytes()
    }
}
