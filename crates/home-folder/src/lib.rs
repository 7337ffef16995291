//! Finds the user's home folder: `$HOME`, else what the machine has written down for the user.
//!
//! The standard library asks the C library, which loads the plug-ins that `/etc/nsswitch.conf` names. A
//! static program must not: they bring a C library of their own, of another version, or none is there. So on
//! Linux `/etc/passwd` is read here, and `getent`, a program of the machine with the machine's C library, is
//! asked about users from elsewhere (LDAP, systemd).

mod sys;

use std::path::PathBuf;

/// Finds the home folder of the user who runs this process.
///
/// It is asked for once; only `$HOME` is read every time. Without `$HOME`, somebody whom `/etc/passwd` does
/// not know may have to wait for `getent`, for two seconds at most.
#[must_use]
pub fn find() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from).or_else(written_down)
}

/// Finds the home folder that the machine has written down for the user, whatever `$HOME` says.
#[must_use]
pub fn written_down() -> Option<PathBuf> {
    sys::written_down()
}
