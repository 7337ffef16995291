//! Code that a shell reads first, in place of the start-up files, and how it is told to.

use std::ffi::OsString;
use std::os::fd::RawFd;

use crate::sys::DESCRIPTORS;

/// The number of the descriptor that holds what a login shell reads first.
pub(in crate::shell) const PRELUDE_NUMBER: RawFd = 242;

/// What the start-up files do in a shell.
#[derive(Debug)]
pub(in crate::shell) struct Prelude {
    /// Code that does the same.
    pub(in crate::shell) code: Vec<u8>,
    /// The strings that they export, `NAME=value` each.
    pub(in crate::shell) exported: Vec<OsString>,
}

/// The name and the options of a login shell that reads no start-up files: what they do comes in another way.
pub(in crate::shell) fn login_options() -> impl Iterator<Item = OsString> {
    ["bash", "--noprofile", "-lc"].into_iter().map(OsString::from)
}

/// Has a shell that is not interactive read the code at [`PRELUDE_NUMBER`] first (bash(1), `BASH_ENV`).
pub(in crate::shell) fn set_prelude(env: &mut Vec<OsString>) {
    env.retain(|entry| !entry.as_encoded_bytes().starts_with(b"BASH_ENV="));
    env.push(format!("BASH_ENV={DESCRIPTORS}/{PRELUDE_NUMBER}").into());
}
