//! What applies when nobody asked for anything: `workspace-write` where that is harmless, else `read-only`.

use crate::policy::{Mode, SandboxPolicy};
use std::path::{Path, PathBuf};

/// The policy by default, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackPolicy {
    /// `workspace-write` or `read-only`.
    pub policy: SandboxPolicy,
    /// What the workspace is; empty for `read-only`.
    pub workspace: Vec<PathBuf>,
    /// Why it is not more, one sentence for the user; empty when it is what one would expect.
    pub reason: Option<String>,
}

/// Decides the default: writable are the client's roots, or else the folder that the server was started in; never `/`,
/// a home folder or a folder above one, which are too much to give without being asked.
#[must_use]
pub fn fallback_policy(client_roots: &[PathBuf], started_in: &Path, homes: &[PathBuf]) -> FallbackPolicy {
    let started_in = [started_in.to_owned()];
    let candidates: &[PathBuf] = if client_roots.is_empty() { &started_in } else { client_roots };
    let (too_wide, workspace): (Vec<&PathBuf>, Vec<&PathBuf>) =
        candidates.iter().partition(|candidate| is_too_wide(candidate, homes));
    let reason = too_wide.first().map(|path| {
        format!(
            "{} is not writable by default, because it is the root folder, a home folder or holds one; a person can allow it: add \"--writable-root\", \"{}\" to the server's args in the MCP client",
            path.display(),
            path.display()
        )
    });
    let mode = if workspace.is_empty() { Mode::ReadOnly } else { Mode::WorkspaceWrite };
    FallbackPolicy {
        policy: SandboxPolicy::of_mode(mode),
        workspace: workspace.into_iter().cloned().collect(),
        reason,
    }
}

/// Folders of the system's: nothing in them is anybody's workspace.
pub(crate) const SYSTEM: &[&str] = &["/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/sbin", "/usr"];

/// Folders of the machine's services and administrator: sockets, state and programs.
const SERVICES: &[&str] = &["/run", "/var", "/opt", "/dev", "/proc", "/sys"];

/// Tells whether a folder is the system's or its services'; people's files lie in one of these.
#[must_use]
pub fn is_systems(folder: &Path) -> bool {
    let mut all = SYSTEM.iter().chain(SERVICES);
    all.any(|place| folder.starts_with(place)) && !folder.starts_with("/var/tmp")
}

/// Tells whether a folder is `/`, a home folder, or holds one.
pub(crate) fn is_too_wide(path: &Path, homes: &[PathBuf]) -> bool {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let usual = ["/home", "/root", "/Users", "/var/root"].map(PathBuf::from);
    let holds = |home: &PathBuf| home.canonicalize().unwrap_or_else(|_| home.clone()).starts_with(&path);
    let is_someones_home =
        path.parent().is_some_and(|parent| parent == Path::new("/home") || parent == Path::new("/Users"));
    !path.is_absolute() || path == Path::new("/") || is_someones_home || homes.iter().chain(&usual).any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(roots: &[&str], started_in: &str) -> (Mode, Vec<PathBuf>, bool) {
        let roots: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
        let homes = [PathBuf::from("/srv/people/ann")];
        let fallback = fallback_policy(&roots, Path::new(started_in), &homes);
        (fallback.policy.mode(), fallback.workspace, fallback.reason.is_some())
    }

    #[test]
    fn a_project_is_writable_and_a_home_is_not() {
        let writable = |path: &str| (Mode::WorkspaceWrite, vec![PathBuf::from(path)], false);
        assert_eq!(decide(&[], "/srv/people/ann/project"), writable("/srv/people/ann/project"));
        assert_eq!(decide(&["/srv/x"], "/"), writable("/srv/x"));
        for wide in ["/", "/srv", "/srv/people", "/srv/people/ann", "/home", "/home/bob", "/root"] {
            assert_eq!(decide(&[], wide), (Mode::ReadOnly, Vec::new(), true), "{wide}");
        }
        assert_eq!(decide(&["/", "/srv/x"], "/srv/y"), (Mode::WorkspaceWrite, vec!["/srv/x".into()], true));
    }
}
