//! Why the server cannot start.

use std::path::PathBuf;

use super::file::ConfigFileError;
use super::limits::LimitError;
use super::network::BadHost;
use super::sandboxing::SandboxSettingsError;
use crate::rules::RulesError;
use crate::user_command::user_command;

/// Why the server cannot start. The texts name what is missing and how to get it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No patched Bash was found.
    #[error(
        "no patched Bash: --bash was not given, CODEX_BASH_PATH is not set, and {} does not exist.\n\
         The npm package brings one; from a checkout, `make build` leaves it in dist/bin/bash", beside.display()
    )]
    NoBash {
        /// Where it was looked for last.
        beside: PathBuf,
    },
    /// No wrapper was found.
    #[error(
        "no execve-wrapper: --execve was not given and {} does not exist.\n\
         The npm package brings one; from a checkout, `make build` leaves it in dist/bin/execve-wrapper", beside.display()
    )]
    NoWrapper {
        /// Where it was looked for last.
        beside: PathBuf,
    },
    /// A program that was named cannot be used.
    #[error("{what} {} cannot be used: {problem}", path.display())]
    Program {
        /// Which one, and who named it.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// `CODEX_HOME` names a folder that is not there.
    #[error("CODEX_HOME is {}, which is not a folder; create it, or unset CODEX_HOME to use ~/.codex", .0.display())]
    NoCodexHome(PathBuf),
    /// There is no home folder to look for rules in.
    #[error(
        "neither CODEX_HOME nor HOME is set, and the machine knows no home of this user, so there is no place to look for rules; set one of them"
    )]
    NoHome,
    /// A program that was named is not what it must be.
    #[error(
        "{} is not {what}: it {problem}.\n\
         The npm package brings the right one; from a checkout, `make build` leaves it in dist/bin", path.display()
    )]
    NotOurs {
        /// What it must be.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// How it differs.
        problem: &'static str,
    },
    /// The patched Bash is missing, and what would do without it is not wanted.
    #[error(
        "{0}, and without it only the kernel's door shows what commands execute, which --door wrapper (door in [shell_tool]) switches \
         off; leave that out, or mend the installation"
    )]
    Unjudged(String),
    /// The configuration file cannot be used.
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// The sandbox that was asked for cannot be.
    #[error(transparent)]
    Sandbox(#[from] SandboxSettingsError),
    /// A way of asking is asked for that cannot be.
    #[error("{0}")]
    Approvals(&'static str),
    /// The rules cannot be read, or are wrong.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// What is said about hosts is no host.
    #[error(transparent)]
    Host(#[from] BadHost),
    /// The bounds of calls cannot be.
    #[error(transparent)]
    Limits(#[from] LimitError),
}

impl ConfigError {
    /// Says it without any text of the user's files, for pages that people paste and for agents.
    #[must_use]
    pub fn without_excerpts(&self) -> String {
        match self {
            ConfigError::File(ConfigFileError::Parse { path, .. }) => {
                format!("{} is not understood; `{}` in a terminal shows why", path.display(), user_command())
            }
            ConfigError::Rules(_)
            | ConfigError::NoBash { .. }
            | ConfigError::NoWrapper { .. }
            | ConfigError::Program { .. }
            | ConfigError::NoCodexHome(_)
            | ConfigError::NoHome
            | ConfigError::NotOurs { .. }
            | ConfigError::Unjudged(_)
            | ConfigError::File(ConfigFileError::Read { .. })
            | ConfigError::Sandbox(_)
            | ConfigError::Approvals(_)
            | ConfigError::Host(_)
            | ConfigError::Limits(_) => self.to_string(),
        }
    }
}
