//! Finds the user's home folder: `$HOME`, else what the machine has written down for the user.
//!
//! The standard library asks the C library, which loads the plug-ins that `/etc/nsswitch.conf` names. A
//! static program must not: they bring a C library of their own, of another version, or none is there. So on
//! Linux `/etc/passwd` is read here, and `getent`, a program of the machine with the machine's C library, is
//! asked about users from elsewhere (LDAP, systemd).

#[cfg(target_os = "linux")]
mod getent;
#[cfg(target_os = "linux")]
mod passwd;

use std::path::PathBuf;

/// Finds the home folder of the user who runs this process.
///
/// It is asked for once; only `$HOME` is read every time. Without `$HOME`, somebody whom `/etc/passwd` does
/// not know may have to wait for `getent`, for two seconds at most.
#[must_use]
pub fn find() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from).or_else(written_down)
}

#[cfg(target_os = "linux")]
fn written_down() -> Option<PathBuf> {
    static FOUND: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    let look_up = || {
        let user = rustix::process::getuid().as_raw();
        let users = std::fs::read("/etc/passwd").unwrap_or_default();
        passwd::home(&users, user).or_else(|| passwd::home(&getent::passwd(user), user))
    };
    FOUND.get_or_init(look_up).clone()
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "here the program is linked with the system's own library")]
fn written_down() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}
