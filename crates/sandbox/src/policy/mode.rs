//! The four modes and what each carries. Pure data; parsing of the JSON forms is in `json`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Names the four sandbox modes, as typed after `--sandbox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Reads everywhere except hidden places, writes nowhere.
    ReadOnly,
    /// Reads as `ReadOnly`, writes under the writable roots.
    WorkspaceWrite,
    /// No enforcement at all.
    DangerFullAccess,
    /// No enforcement by us: the user says that something outside (a container) isolates already.
    ExternalSandbox,
}

impl Mode {
    /// Every mode, in the order from strict to lax in which help texts list them.
    pub const ALL: [Mode; 4] =
        [Mode::ReadOnly, Mode::WorkspaceWrite, Mode::ExternalSandbox, Mode::DangerFullAccess];

    /// Returns the name used on the command line, in JSON and in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mode::ReadOnly => "read-only",
            Mode::WorkspaceWrite => "workspace-write",
            Mode::DangerFullAccess => "danger-full-access",
            Mode::ExternalSandbox => "external-sandbox",
        }
    }

    /// Tells whether this mode makes the kernel enforce anything.
    #[must_use]
    pub const fn is_enforced(self) -> bool {
        match self {
            Mode::ReadOnly | Mode::WorkspaceWrite => true,
            Mode::DangerFullAccess | Mode::ExternalSandbox => false,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Reports a mode name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown sandbox mode `{0}`; the modes are read-only, workspace-write, external-sandbox and danger-full-access"
)]
pub struct UnknownMode(pub String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Mode::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| UnknownMode(text.chars().take(64).collect()))
    }
}

/// Says whether the outside network may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// No network but, where namespaces allow it, a private loopback.
    #[default]
    Restricted,
    /// The host's network.
    Enabled,
}

impl Network {
    /// Returns the word used in JSON and in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Network::Restricted => "restricted",
            Network::Enabled => "enabled",
        }
    }

    /// Tells whether the host's network may be used.
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        matches!(self, Network::Enabled)
    }
}

impl From<bool> for Network {
    fn from(enabled: bool) -> Self {
        if enabled { Network::Enabled } else { Network::Restricted }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The fields of the `workspace-write` form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WorkspaceWrite {
    /// Absolute folders that may be written, besides the workspace itself.
    pub writable_roots: Vec<PathBuf>,
    /// Whether the host's network may be used.
    pub network: Network,
    /// Leaves `$TMPDIR` out of the writable folders.
    pub exclude_tmpdir_env_var: bool,
    /// Leaves `/tmp` out of the writable folders.
    pub exclude_slash_tmp: bool,
}

/// A sandbox policy as asked for, before paths are resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SandboxPolicy {
    /// See [`Mode::ReadOnly`].
    ReadOnly {
        /// Whether the host's network may be used (a later addition to the JSON form; restricted when absent).
        network: Network,
    },
    /// See [`Mode::WorkspaceWrite`].
    WorkspaceWrite(WorkspaceWrite),
    /// See [`Mode::DangerFullAccess`].
    DangerFullAccess,
    /// See [`Mode::ExternalSandbox`].
    ExternalSandbox {
        /// What the outer sandbox is said to allow; only reported and put in the environment, not enforced.
        network: Network,
    },
}

impl SandboxPolicy {
    /// Returns the policy that a bare mode name stands for: no extra roots, no network.
    #[must_use]
    pub fn of_mode(mode: Mode) -> Self {
        match mode {
            Mode::ReadOnly => SandboxPolicy::ReadOnly { network: Network::Restricted },
            Mode::WorkspaceWrite => SandboxPolicy::WorkspaceWrite(WorkspaceWrite::default()),
            Mode::DangerFullAccess => SandboxPolicy::DangerFullAccess,
            Mode::ExternalSandbox => SandboxPolicy::ExternalSandbox { network: Network::Restricted },
        }
    }

    /// Returns the mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match self {
            SandboxPolicy::ReadOnly { .. } => Mode::ReadOnly,
            SandboxPolicy::WorkspaceWrite(_) => Mode::WorkspaceWrite,
            SandboxPolicy::DangerFullAccess => Mode::DangerFullAccess,
            SandboxPolicy::ExternalSandbox { .. } => Mode::ExternalSandbox,
        }
    }

    /// Returns whether the host's network may be used.
    #[must_use]
    pub const fn network(&self) -> Network {
        match self {
            SandboxPolicy::ReadOnly { network } | SandboxPolicy::ExternalSandbox { network } => *network,
            SandboxPolicy::WorkspaceWrite(workspace) => workspace.network,
            SandboxPolicy::DangerFullAccess => Network::Enabled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_read_back_from_its_name() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
            assert_eq!(SandboxPolicy::of_mode(mode).mode(), mode);
        }
    }

    #[test]
    fn an_unknown_mode_lists_the_modes() {
        let error = "readonly".parse::<Mode>().unwrap_err().to_string();
        assert!(error.contains("`readonly`") && error.contains("workspace-write"), "{error}");
    }
}
