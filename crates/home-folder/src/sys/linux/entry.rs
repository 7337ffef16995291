//! The user's entry in `/etc/passwd`, or else what `getent` says.

use super::{getent, passwd};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Looks the user up, once.
pub(crate) fn written_down() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let look_up = || {
        let user = rustix::process::getuid().as_raw();
        let users = std::fs::read("/etc/passwd").unwrap_or_default();
        passwd::home(&users, user).or_else(|| passwd::home(&getent::passwd(user), user))
    };
    FOUND.get_or_init(look_up).clone()
}
