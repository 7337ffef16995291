//! Watching descriptors, for which the runtime has no safe interface.

#![expect(
    unsafe_code,
    reason = "nothing but their code says that a descriptor stays open while it is watched"
)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the runtime watch a descriptor for being readable.
pub(crate) fn watch_readable<T: Owned>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the descriptor is owned, hence open, and the returned value never replaces or closes it before its end.
    Ok(unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE) }?)
}

/// Has the runtime watch a descriptor for being writable.
pub(crate) fn watch_writable<T: Owned>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: as above.
    Ok(unsafe { AsyncFd::register_with_interest(owner, Interest::WRITABLE) }?)
}

/// What owns one descriptor, and keeps it open and the same until its own end.
pub(crate) trait Owned: AsRawFd {}

impl Owned for OwnedFd {}

impl Owned for sandbox::Call {}
