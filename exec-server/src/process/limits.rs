//! The server's own descriptor limit, and the one that its programs get.
//!
//! A server with many calls holds many descriptors, and needs numbers that are out of its programs' way. Programs get the
//! limit that the user started the server with: some scan all numbers up to it.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Enough for every use of ours; some systems have no hard limit.
const WANTED: rlim_t = 65_536;

static INHERITED: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Raises the server's soft limit of open descriptors; to be called once, before anything is started.
pub fn raise_descriptor_limit() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if INHERITED.set((soft, hard)).is_ok() && soft < WANTED.min(hard) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, WANTED.min(hard), hard);
    }
}

/// Lowers the soft limit again, in a process of the server's that starts programs.
#[cfg(target_os = "linux")]
pub(crate) fn lower_descriptor_limit(soft: rlim_t) {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
    }
}

/// The soft limit that programs get, if the server has raised its own.
#[cfg(target_os = "linux")]
pub(crate) fn soft_descriptor_limit() -> Option<rlim_t> {
    INHERITED.get().map(|(soft, _)| *soft)
}

/// The limits (soft, hard) that programs get, if they differ from the server's own.
#[cfg(not(target_os = "linux"))]
pub(super) fn inherited() -> Option<(rlim_t, rlim_t)> {
    INHERITED.get().copied()
}
