//! What a thread can have of its own.

#![expect(unsafe_code, reason = "unshare(2) can break what this process's threads share")]

use std::io;

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Gives this thread a working directory, a root and a umask that are no longer those of the other threads.
pub(crate) fn own_umask() -> io::Result<()> {
    // SAFETY: CLONE_FS alone. No other thread sees a difference, and this one's are copies, so that no path means another file.
    Ok(unsafe { unshare_unsafe(UnshareFlags::FS) }?)
}
