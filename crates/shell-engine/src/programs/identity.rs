//! Which file something is, beyond its names, and whether it is still the same.

use std::fs::Metadata;
use std::hash::{Hash, Hasher};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FileType, Stat, fstat, stat};

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
        stat(path).ok().map(|stat| FileState(stat).identity())
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
#[derive(Clone, Debug)]
pub(crate) struct FileState(Stat);

impl FileState {
    /// The state of an open file.
    pub(crate) fn of(file: impl AsFd) -> Option<FileState> {
        fstat(file).ok().map(FileState)
    }

    /// Which file it is.
    pub(crate) fn identity(&self) -> FileIdentity {
        let (device, inode) = device_and_inode(&self.0);
        FileIdentity { device, inode }
    }

    /// Whether it is a regular file: reading it neither blocks nor does anything.
    pub(crate) fn is_regular(&self) -> bool {
        FileType::from_raw_mode(self.0.st_mode) == FileType::RegularFile
    }

    /// Its length in bytes.
    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.0.st_size).unwrap_or_default()
    }
}

impl FileState {
    /// The same for the same state, and never the same for another one.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        format!(
            "{:?} {} {} {} {}",
            self.identity(),
            self.0.st_size,
            self.0.st_ctime,
            self.0.st_ctime_nsec,
            self.0.st_mode
        )
        .into_bytes()
    }
}

impl PartialEq for FileState {
    fn eq(&self, other: &FileState) -> bool {
        let change = |state: &Stat| (state.st_size, state.st_ctime, state.st_ctime_nsec, state.st_mode);
        self.identity() == other.identity() && change(&self.0) == change(&other.0)
    }
}

impl Eq for FileState {}

impl Hash for FileState {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.identity(), self.0.st_size, self.0.st_ctime, self.0.st_ctime_nsec).hash(state);
    }
}
