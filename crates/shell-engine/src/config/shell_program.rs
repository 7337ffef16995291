//! The shell that commands run in: ours, or the system's where ours is missing or cannot run here. Then nothing but the
//! kernel's door shows what commands execute, so there is no running without it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::ConfigError;
use super::programs::{find_bash, usable};
use crate::sys::REPORTS_EXECS;

/// The shell that commands run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellProgram {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: ShellKind,
    /// Why it is not ours; none when it is.
    pub why: Option<String>,
}

/// What a shell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShellKind {
    /// The patched Bash.
    Patched,
    /// The system's Bash.
    SystemBash,
    /// The system's `/bin/sh`, whatever that is.
    SystemSh,
}

impl ShellKind {
    /// The word for it behind the layers of a sandbox.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        match self {
            ShellKind::Patched => None,
            ShellKind::SystemBash => Some("system-bash"),
            ShellKind::SystemSh => Some("system-sh"),
        }
    }

    /// The name that it is started by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ShellKind::Patched | ShellKind::SystemBash => "bash",
            ShellKind::SystemSh => "sh",
        }
    }
}

impl ShellProgram {
    /// Says that commands run in another shell than ours, and what that means.
    #[must_use]
    pub fn explain(&self) -> Option<String> {
        let why = self.why.as_ref()?;
        let lost = match self.kind {
            ShellKind::Patched | ShellKind::SystemBash => "",
            ShellKind::SystemSh => ", which is no Bash and reads no start-up files",
        };
        Some(format!(
            "{why}; commands run in the system's {}{lost}, and only the kernel's door shows what they execute",
            self.path.display()
        ))
    }
}

/// Where systems have a Bash, and what all of them have.
const SYSTEMS: &[(&str, ShellKind)] = &[
    ("/bin/bash", ShellKind::SystemBash),
    ("/usr/bin/bash", ShellKind::SystemBash),
    ("/usr/local/bin/bash", ShellKind::SystemBash),
    ("/run/current-system/sw/bin/bash", ShellKind::SystemBash),
    ("/bin/sh", ShellKind::SystemSh),
];

/// The shell for commands: the patched Bash ([`find_bash`]), else the system's.
///
/// # Errors
///
/// When the patched Bash was named and is not there, is another program, or nothing else can take its place.
pub fn find_shell(given: Option<PathBuf>) -> Result<ShellProgram, ConfigError> {
    let error = match find_bash(given) {
        Ok(path) => return Ok(ShellProgram { path, kind: ShellKind::Patched, why: None }),
        Err(error) => error,
    };
    let why = match &error {
        ConfigError::NoBash { beside } => {
            format!("there is no patched Bash ({} does not exist)", beside.display())
        }
        ConfigError::Program { path, problem, .. } if path.is_file() => {
            format!("the patched Bash {} cannot run here: {problem}", path.display())
        }
        // One that was named and is not there is a mistake, and one that is not ours would run everything unjudged.
        ConfigError::Program { .. }
        | ConfigError::NotOurs { .. }
        | ConfigError::NoWrapper { .. }
        | ConfigError::NoCodexHome(_)
        | ConfigError::NoHome
        | ConfigError::Unjudged(_)
        | ConfigError::File(_)
        | ConfigError::Sandbox(_)
        | ConfigError::Approvals(_)
        | ConfigError::Rules(_)
        | ConfigError::Host(_)
        | ConfigError::Limits(_) => return Err(error),
    };
    systems(why).ok_or(error)
}

/// The system's own, where there is a kernel's door.
fn systems(why: String) -> Option<ShellProgram> {
    if !REPORTS_EXECS {
        return None;
    }
    SYSTEMS.iter().find_map(|(path, kind)| {
        let path = usable("shell", PathBuf::from(path)).ok().filter(|path| runs(path))?;
        Some(ShellProgram { path, kind: *kind, why: Some(why.clone()) })
    })
}

fn runs(shell: &Path) -> bool {
    let mut command = Command::new(shell);
    command.args(["-c", "exit 7"]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.code() == Some(7))
}
