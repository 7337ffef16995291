//! What has no safe interface about descriptors and signals.

#![expect(
    unsafe_code,
    reason = "nothing but their code says who owns a descriptor, and that it stays open while it is watched"
)]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the runtime watch a descriptor that is only written to for its other end being closed.
pub(crate) fn watch_broken(owner: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned, hence open, and the returned value never replaces or closes it before its end.
    Ok(unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE | Interest::ERROR) }?)
}

/// Takes over a descriptor that this program was started with: it is closed in programs that are executed.
pub(crate) fn adopt_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::other("the standard streams have an owner"));
    }
    // SAFETY: nothing is done with it but to ask for its flags, for which it need not be open (EBADF).
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and the caller, who was told the number by whoever started the program, is the only one to
    // know it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Undoes what whoever started this program has left behind: children whose ends nobody hears of, and signals that are
/// held back. To be called before a thread is started.
pub fn restore_signals() {
    // SAFETY: this replaces no handler of ours, and the default action needs none.
    let restored = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    if let Err(error) = restored.and_then(|_| SigSet::empty().thread_set_mask()) {
        tracing::warn!(%error, "signals stay as they were");
    }
}

/// Has no program that is started from now on inherit a descriptor of ours. One that is closed meanwhile is nobody's to inherit.
pub(crate) fn keep(number: i32) {
    // SAFETY: the descriptor is borrowed for this call alone, which closes nothing and fails where there is none.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let _ = rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC);
}
