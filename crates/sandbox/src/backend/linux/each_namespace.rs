//! Which kinds of namespaces this process can have, each tried by itself: for `probe`, which explains.
//!
//! What a session really gets is decided in `namespaces`.

use super::{namespaces, sys};
use crate::enforcement::Namespace;
use rustix::mount::MountPropagationFlags;
use std::io;

/// Tries every kind, in a child process that ends at once. The error says what forbade it.
pub(crate) fn try_each() -> Vec<(Namespace, io::Result<()>)> {
    let users = sys::try_in_child(|| sys::unshare(libc::CLONE_NEWUSER));
    // Root can have the others without one of users.
    let with = if users.is_ok() { libc::CLONE_NEWUSER } else { 0 };
    let tried = Namespace::ALL.into_iter().skip(1).map(|kind| {
        let flags = with | namespaces::flags(&[kind]);
        (kind, sys::try_in_child(move || sys::unshare(flags).and_then(|()| use_it(kind))))
    });
    let mut all: Vec<_> = tried.collect();
    all.insert(0, (Namespace::User, users));
    all
}

/// Does what a session does first in such a namespace: where AppArmor restricts users' namespaces, they can be made,
/// but nothing can be done in them.
fn use_it(kind: Namespace) -> io::Result<()> {
    match kind {
        Namespace::Mount => {
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            Ok(rustix::mount::mount_change("/", private)?)
        }
        Namespace::Network => sys::bring_loopback_up(),
        Namespace::Uts => Ok(rustix::system::sethostname(b"probe")?),
        Namespace::User | Namespace::Pid | Namespace::Ipc => Ok(()),
    }
}
