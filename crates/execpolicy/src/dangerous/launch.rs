//! Programs of Windows that open a web address, started directly.

use super::Danger;
use crate::command::Command;

/// Browsers and what hands addresses to them. The names are those of Windows: on Linux a browser is not
/// outside.
pub(super) const LAUNCHERS: &[&str] = &[
    "chrome", "explorer", "firefox", "iexplore", "msedge", // graphical programs that take an address
    "mshta",  // runs the scripts of a page with the user's rights
];

/// Looks at a program by its name without `.exe`.
pub(super) fn find(name: &str, command: &Command<'_>) -> Option<Danger> {
    let is_windows = command.program().to_string_lossy().to_lowercase().ends_with(".exe");
    let opens = match name {
        "rundll32" => command.args().any(|arg| is_url_handler(&arg.to_string_lossy().to_lowercase())),
        "mshta" => command.args().any(|arg| has_url(&arg.to_string_lossy().to_lowercase())),
        other if is_windows && LAUNCHERS.contains(&other) => {
            command.args().any(|arg| has_url(&arg.to_string_lossy().to_lowercase()))
        }
        _ => false,
    };
    opens.then_some(Danger::OpensUrl)
}

/// Whether a word in small letters holds a web address.
pub(super) fn has_url(word: &str) -> bool {
    word.contains("http://") || word.contains("https://")
}

/// Whether a word in small letters names the function of a library that opens addresses.
pub(super) fn is_url_handler(word: &str) -> bool {
    word.contains("url.dll")
}
