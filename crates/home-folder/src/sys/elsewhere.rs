//! Other systems than Linux.

use std::path::PathBuf;

/// Asks the system's own library.
#[expect(clippy::disallowed_methods, reason = "here the program is linked with the system's own library")]
pub(crate) fn written_down() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}
