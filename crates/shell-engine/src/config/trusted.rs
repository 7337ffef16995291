//! What a command must never be able to write, because its author decides what commands may do: the user's folder with rules
//! and configuration, every rule file, and the server's own programs.
//!
//! The sandbox keeps such places read-only inside writable folders. This module refuses the plans in which it would not.

use std::path::{Path, PathBuf};

use sandbox::Plan;

/// The places, absolute.
#[derive(Clone, Debug, Default)]
pub(super) struct Trusted {
    /// `$CODEX_HOME`. Folders in it that are no rules may be writable (clients keep work trees there).
    pub(super) home: PathBuf,
    /// Files and folders with rules.
    pub(super) rules: Vec<PathBuf>,
    /// Programs that the server starts, itself included.
    pub(super) programs: Vec<PathBuf>,
}

/// Why a sandbox would not hold.
#[derive(Debug, thiserror::Error)]
pub enum TrustedPlaceError {
    /// It was asked for by name.
    #[error(
        "{} cannot be a writable folder: {} says what commands may do, so a command that writes there could let itself out",
        root.display(), place.display()
    )]
    AskedFor {
        /// The folder.
        root: PathBuf,
        /// What must not be writable.
        place: PathBuf,
    },
    /// It lies inside a writable folder, and nothing here can protect it.
    #[error(
        "{} decides what commands may do or is a program of the server's, and lies in the writable folder {}; only namespaces \
         could protect it there, and this sandbox has none. Move it elsewhere (CODEX_HOME names the folder with the rules), or \
         do not make {} writable", place.display(), root.display(), root.display()
    )]
    Unprotected {
        /// The folder.
        root: PathBuf,
        /// What must not be writable.
        place: PathBuf,
    },
}

impl Trusted {
    /// What the sandbox keeps read-only besides the programs.
    pub(super) fn places(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.home).filter(|home| !home.as_os_str().is_empty()).chain(&self.rules)
    }

    /// Everything, each also by its real path.
    fn everything(&self) -> Vec<PathBuf> {
        let file = self.home.join("config.toml");
        let named: Vec<PathBuf> = self.places().chain([&file]).chain(&self.programs).cloned().collect();
        let real = named.iter().map(|place| resolved(place));
        named.iter().cloned().chain(real).collect()
    }

    /// Refuses a plan that makes such a place writable by name: the innermost wish would win over the protection.
    pub(super) fn check_wishes(&self, plan: &Plan) -> Result<(), TrustedPlaceError> {
        let home = resolved(&self.home);
        let holds = |place: &Path, root: &Path| {
            root == place || (root.starts_with(place) && place != self.home && place != home)
        };
        self.find(plan, holds)
            .map_or(Ok(()), |(root, place)| Err(TrustedPlaceError::AskedFor { root, place }))
    }

    /// Refuses a plan that relies on mounts for such a place, where there are none.
    pub(super) fn check_without_mounts(&self, plan: &Plan) -> Result<(), TrustedPlaceError> {
        self.find(plan, |place, root| place.starts_with(root))
            .map_or(Ok(()), |(root, place)| Err(TrustedPlaceError::Unprotected { root, place }))
    }

    /// Finds a writable folder and a place that stand so to each other.
    fn find(&self, plan: &Plan, relation: impl Fn(&Path, &Path) -> bool) -> Option<(PathBuf, PathBuf)> {
        if !plan.mode.is_enforced() {
            return None;
        }
        let everything = self.everything();
        let of = |root: &PathBuf| everything.iter().find(|place| relation(place, root)).cloned();
        plan.writable.iter().find_map(|root| Some((root.clone(), of(root)?)))
    }
}

/// The path without links, as far as it exists: writable folders are known by their real paths.
fn resolved(path: &Path) -> PathBuf {
    let real = |ancestor: &Path| {
        let rest = path.strip_prefix(ancestor).ok()?;
        let real = ancestor.canonicalize().ok()?;
        Some(if rest.as_os_str().is_empty() { real } else { real.join(rest) })
    };
    path.ancestors().find_map(real).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox::{Mode, Network};

    fn trusted() -> Trusted {
        Trusted {
            home: "/home/u/.codex".into(),
            rules: vec!["/home/u/.codex/rules".into()],
            programs: vec!["/opt/tool/bash".into()],
        }
    }

    fn plan(root: &str) -> Plan {
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted);
        plan.writable = vec![root.into()];
        plan
    }

    #[test]
    fn what_decides_is_never_writable_by_name() {
        for (root, is_fine) in [
            ("/home/u/.codex/worktrees/a", true),
            ("/home/u", true),
            ("/home/u/.codex", false),
            ("/home/u/.codex/rules", false),
            ("/home/u/.codex/rules/mine", false),
            ("/home/u/.codex/config.toml", false),
            ("/opt/tool/bash", false),
        ] {
            assert_eq!(trusted().check_wishes(&plan(root)).is_ok(), is_fine, "{root}");
        }
        let free = Plan::unenforced(Mode::DangerFullAccess, Network::Enabled);
        assert!(trusted().check_wishes(&free).is_ok() && trusted().check_without_mounts(&free).is_ok());
    }

    #[test]
    fn a_link_on_the_way_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let trusted = Trusted { home: link.join(".codex"), ..Trusted::default() };
        assert!(trusted.check_without_mounts(&plan(&real.display().to_string())).is_err());
    }

    #[test]
    fn without_mounts_it_must_not_lie_in_a_writable_folder() {
        for (root, is_fine) in [
            ("/home/u/work", true),
            ("/home/u/.codex/worktrees/a", true),
            ("/home/u", false),
            ("/opt", false),
        ] {
            assert_eq!(trusted().check_without_mounts(&plan(root)).is_ok(), is_fine, "{root}");
        }
    }
}
