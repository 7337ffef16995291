//! The one thing about descriptors that has no safe interface.

#![expect(unsafe_code, reason = "the runtime cannot know that a descriptor stays open while it is watched")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the runtime watch a descriptor for being readable.
pub(crate) fn watch_readable<T: Owned>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the descriptor is owned, hence open, and the returned value never replaces or closes it before its end.
    Ok(unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE) }?)
}

/// Has the runtime watch a descriptor that is only written to for its other end being closed.
pub(crate) fn watch_broken(owner: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned, hence open, and the returned value never replaces or closes it before its end.
    Ok(unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE | Interest::ERROR) }?)
}

/// What owns one descriptor, and keeps it open and the same until its own end.
pub(crate) trait Owned: AsRawFd {}

impl Owned for OwnedFd {}

#[cfg(target_os = "linux")]
impl Owned for sandbox::Call {}
