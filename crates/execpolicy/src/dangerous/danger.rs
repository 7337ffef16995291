//! The lists in one place: which are on, and which speaks about a program.

use std::fmt;

use super::{cmd, git, launch, powershell, remove};
use crate::command::{Command, windows_name};

/// Which lists are consulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heuristics {
    /// `rm` with force, and what Windows' shells (reachable from WSL) can do of the kind.
    pub dangerous: bool,
    /// Git's commands that lose work. Off unless the user asks for it: to many, these are daily commands.
    pub git: bool,
}

impl Default for Heuristics {
    fn default() -> Self {
        Self { dangerous: true, git: false }
    }
}

impl Heuristics {
    /// No list at all.
    pub const NONE: Self = Self { dangerous: false, git: false };
}

/// Why a command looks dangerous.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// `rm` that is told not to ask.
    ForcedRemove,
    /// A git command that loses commits, branches or changes.
    LosesWork,
    /// A delete command of Windows that is told not to ask.
    ForcedDelete,
    /// Opens a web address in a program outside.
    OpensUrl,
}

impl fmt::Display for Danger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ForcedRemove => "removes files without asking",
            Self::LosesWork => "can lose commits, branches or changes",
            Self::ForcedDelete => "deletes files without asking",
            Self::OpensUrl => "opens a web address in another program",
        })
    }
}

/// Looks at one command by itself; `None` means that no list that is on speaks about it.
///
/// Commands inside it are not looked at: [`crate::Policy::evaluate`] does that.
#[must_use]
pub fn find(command: &Command<'_>, heuristics: &Heuristics) -> Option<Danger> {
    let name = command.basename();
    if name == b"git" {
        return if heuristics.git { git::find(command) } else { None };
    }
    if !heuristics.dangerous {
        return None;
    }
    if name == b"rm" {
        return remove::find(command);
    }
    let name = windows_name(&command.program().to_string_lossy());
    match name.as_str() {
        "powershell" | "pwsh" => powershell::find(command),
        "cmd" => cmd::find(command),
        other => launch::find(other, command),
    }
}
