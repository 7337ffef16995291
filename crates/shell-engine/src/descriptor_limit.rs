//! The server's own descriptor limit, and the one that its programs get.
//!
//! A server with many calls holds many descriptors, and needs numbers that are out of its programs' way. Programs get
//! the limit that the user started the server with: some scan all numbers up to it.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for every use of ours; some systems have no hard limit.
const WANTED: u64 = 65_536;

static INHERITED: OnceLock<u64> = OnceLock::new();

/// Fewer make no shell: its own descriptors have numbers up to 242, and Bash keeps those of scripts just below 256.
const NEEDED: u64 = 256;

/// Too few descriptors may be open.
#[derive(Debug, thiserror::Error)]
#[error(
    "only {0} files may be open at once, {NEEDED} are needed: start the server with a higher limit (ulimit -n 1024; \
     in a container --ulimit nofile=1024)"
)]
pub struct TooFewDescriptors(u64);

/// Raises the server's soft limit of open descriptors; to be called once, before anything is started.
///
/// # Errors
///
/// When the hard limit is so low that no shell can be started.
pub fn raise_descriptor_limit() -> Result<(), TooFewDescriptors> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let (soft, hard) = (current.unwrap_or(u64::MAX), maximum.unwrap_or(u64::MAX));
    if INHERITED.set(soft).is_ok() && soft < WANTED.min(hard) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(WANTED.min(hard)), maximum });
    }
    if hard < NEEDED { Err(TooFewDescriptors(hard)) } else { Ok(()) }
}

/// The soft limit that programs get, if the server has raised its own.
pub(crate) fn soft_descriptor_limit() -> Option<u64> {
    INHERITED.get().map(|soft| (*soft).max(NEEDED))
}
