//! Commands that are asked about although no rule mentions them: a short list of what cannot be undone.
//!
//! It looks at a command's words only. It is a courtesy to the human, never a boundary: what it misses, the sandbox must hold.

mod remove;
mod sudo;

use std::fmt;

use crate::command::Command;

/// Why a command looks dangerous.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// `rm` that is told not to ask.
    ForcedRemove,
}

impl fmt::Display for Danger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ForcedRemove => "removes files without asking (rm -f)",
        })
    }
}

/// Looks at one command; `None` means that nothing on the list fits.
#[must_use]
pub fn find(command: &Command<'_>) -> Option<Danger> {
    match command.basename() {
        b"rm" => remove::find(command),
        b"sudo" => sudo::inner(command).and_then(|inner| find(&inner)),
        _ => None,
    }
}
