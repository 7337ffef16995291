//! Taking mounts, making them and placing them, each by one or two system calls.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use super::{canonical, sys};

pub(super) const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
pub(super) const NO_SUID: u64 = libc::MOUNT_ATTR_NOSUID;
pub(super) const NO_DEVICES: u64 = libc::MOUNT_ATTR_NODEV;
pub(super) const NO_EXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// Says which step of building the file system's view failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum MountError {
    #[error("could not make mounts private: {0}")]
    Private(#[source] io::Error),
    #[error("could not make the file system read-only: {0}")]
    ReadOnly(#[source] io::Error),
    #[error("could not take a copy of the mount at {path}: {source}")]
    Copy { path: PathBuf, source: io::Error },
    #[error("could not change the mount for {path}: {source}")]
    Change { path: PathBuf, source: io::Error },
    #[error("could not place a mount at {path}: {source}")]
    Place { path: PathBuf, source: io::Error },
    #[error("could not make a {kind} file system: {source}")]
    Make { kind: &'static str, source: io::Error },
    #[error("could not fill /dev ({name}): {source}")]
    Devices { name: &'static str, source: io::Error },
}

impl MountError {
    /// Whether what was to be mounted, or where, is not there any more.
    pub(super) fn is_of_nothing(&self) -> bool {
        matches!(
            self,
            MountError::Copy { source, .. } | MountError::Place { source, .. }
                if source.kind() == io::ErrorKind::NotFound
        )
    }
}

/// Takes a detached copy of what is at a path, with everything mounted below it.
pub(super) fn copy(path: &Path) -> Result<OwnedFd, MountError> {
    let wrong = |source| MountError::Copy { path: path.to_owned(), source };
    let there = canonical::open(path).map_err(wrong)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(&there, "", flags).map_err(|errno| wrong(errno.into()))
}

pub(super) fn place(tree: &OwnedFd, path: &Path) -> Result<(), MountError> {
    let wrong = |source| MountError::Place { path: path.to_owned(), source };
    let there = canonical::open(path).map_err(wrong)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", &there, "", flags).map_err(|errno| wrong(errno.into()))
}

pub(super) fn make(kind: &'static str, options: &[(&str, &str)]) -> Result<OwnedFd, MountError> {
    let build = || -> rustix::io::Result<OwnedFd> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (name, value) in options {
            if value.is_empty() {
                rustix::mount::fsconfig_set_flag(context.as_fd(), *name)?;
            } else {
                rustix::mount::fsconfig_set_string(context.as_fd(), *name, *value)?;
            }
        }
        rustix::mount::fsconfig_create(context.as_fd())?;
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    };
    build().map_err(|errno| MountError::Make { kind, source: errno.into() })
}

/// Gives a mount these flags, and places it.
pub(super) fn change_and_place(tree: &OwnedFd, flags: u64, path: &Path) -> Result<(), MountError> {
    sys::change_mount(tree.as_fd(), false, flags, 0)
        .map_err(|source| MountError::Change { path: path.to_owned(), source })?;
    place(tree, path)
}
