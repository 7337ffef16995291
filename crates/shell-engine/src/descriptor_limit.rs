//! The server's own descriptor limit, and the one that its programs get.
//!
//! A server with many calls holds many descriptors, and needs numbers that are out of its programs' way. Programs get the
//! limit that the user started the server with: some scan all numbers up to it.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Enough for every use of ours; some systems have no hard limit.
const WANTED: rlim_t = 65_536;

static INHERITED: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Fewer make no shell: its own descriptors have numbers up to 242, and Bash keeps those of scripts just below 256.
const NEEDED: rlim_t = 256;

/// Too few descriptors may be open.
#[derive(Debug, thiserror::Error)]
#[error(
    "only {0} files may be open at once, {NEEDED} are needed: start the server with a higher limit (ulimit -n 1024; \
     in a container --ulimit nofile=1024)"
)]
pub struct TooFewDescriptors(rlim_t);

/// Raises the server's soft limit of open descriptors; to be called once, before anything is started.
///
/// # Errors
///
/// When the hard limit is so low that no shell can be started.
pub fn raise_descriptor_limit() -> Result<(), TooFewDescriptors> {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    if INHERITED.set((soft, hard)).is_ok() && soft < WANTED.min(hard) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, WANTED.min(hard), hard);
    }
    if hard < NEEDED { Err(TooFewDescriptors(hard)) } else { Ok(()) }
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
    INHERITED.get().map(|(soft, _)| (*soft).max(NEEDED))
}

/// The limits (soft, hard) that programs get, if they differ from the server's own.
#[cfg(not(target_os = "linux"))]
pub(crate) fn inherited() -> Option<(rlim_t, rlim_t)> {
    INHERITED.get().map(|(soft, hard)| ((*soft).max(NEEDED), *hard))
}
