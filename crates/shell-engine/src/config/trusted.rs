//! What a command must never be able to write, because its author decides what commands may do: the user's folder with rules
//! and configuration, every rule file, and the server's own programs.
//!
//! The sandbox keeps such places read-only inside writable folders. This module refuses the plans in which it would not.

use std::path::{Path, PathBuf};

use sandbox::Plan;
use sandbox::resolve::real_path;

use crate::programs::walk;

/// The places, absolute.
#[derive(Clone, Debug, Default)]
pub(super) struct Trusted {
    /// `$CODEX_HOME`. Folders in it that are no rules may be writable (clients keep work trees there).
    pub(super) home: PathBuf,
    /// Files and folders with rules.
    pub(super) rules: Vec<PathBuf>,
    /// Programs that the server starts, itself included, as they were named and as they are.
    pub(super) programs: Vec<PathBuf>,
    /// What started the server, where it is another program: the next start trusts it.
    pub(super) launcher: Option<PathBuf>,
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
    /// It is reached through a link that commands could replace.
    #[error(
        "{} is reached through the link {}, which commands could replace, because it lies in a writable folder; name what it leads to, \
         or move the link elsewhere", place.display(), link.display()
    )]
    ThroughLink {
        /// What must not be writable.
        place: PathBuf,
        /// The link.
        link: PathBuf,
    },
    /// The next start would run what a command has made of it.
    #[error(
        "{} starts this server and lies in the writable folder {}, where commands could put another program in its place; install it \
         globally (npm install -g shell-tool-mcp)", launcher.display(), root.display()
    )]
    Launcher {
        /// The launcher, or a link on the way to it.
        launcher: PathBuf,
        /// The folder.
        root: PathBuf,
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
    /// What the sandbox keeps read-only besides the programs: each as it was named, and as it is.
    pub(super) fn places(&self) -> impl Iterator<Item = PathBuf> {
        // A missing configuration file is held by holding its folder.
        let file = self.home.join("config.toml");
        let places = self.named().filter(move |place| *place != file || place.exists());
        places.chain(self.launcher.clone()).flat_map(|place| [real_path(&place), place])
    }

    /// What is kept from programs outside: what decides about commands, and the server's programs. Of `$CODEX_HOME` no more
    /// than that, for a client keeps its own files there.
    pub(super) fn deciding(&self) -> Vec<PathBuf> {
        let home = Some(&self.home).filter(|home| !home.as_os_str().is_empty());
        let files = home
            .into_iter()
            .flat_map(|home| ["config.toml", "rules", "shell-tool"].map(|name| home.join(name)));
        let all = files.chain(self.rules.iter().cloned()).chain(self.programs.iter().cloned());
        let mut places: Vec<PathBuf> = all.flat_map(|place| [real_path(&place), place]).collect();
        places.sort();
        places.dedup();
        places
    }

    fn named(&self) -> impl Iterator<Item = PathBuf> {
        let home = std::iter::once(self.home.clone()).filter(|home| !home.as_os_str().is_empty());
        home.flat_map(|home| [home.join("config.toml"), home]).chain(self.rules.iter().cloned())
    }

    /// Everything, each also by its real path and with the links on the way.
    fn everything(&self) -> Vec<PathBuf> {
        let named = self.named().chain(self.programs.iter().cloned());
        named.flat_map(|place| links_to(&place).into_iter().chain([real_path(&place), place])).collect()
    }

    /// Refuses a plan that makes such a place writable by name: the innermost wish would win over the protection.
    pub(super) fn check_wishes(&self, plan: &Plan) -> Result<(), TrustedPlaceError> {
        let home = real_path(&self.home);
        let holds = |place: &Path, root: &Path| {
            root == place || (root.starts_with(place) && place != self.home && place != home)
        };
        self.find(plan, holds)
            .map_or(Ok(()), |(root, place)| Err(TrustedPlaceError::AskedFor { root, place }))?;
        if !plan.mode.is_enforced() {
            return Ok(());
        }
        // The kernel protects what a link leads to, and not the link.
        for place in self.named().chain(self.programs.iter().cloned()) {
            if let Some(link) = links_to(&place).into_iter().find(|link| plan.may_write(link)) {
                return Err(TrustedPlaceError::ThroughLink { place, link });
            }
        }
        let launched_by = self.launcher.iter().flat_map(|launcher| {
            links_to(launcher).into_iter().chain([real_path(launcher), launcher.clone()])
        });
        // Who installs something in a temporary folder tries it out: it is protected there, but no reason to refuse.
        let temporary = [Path::new("/tmp"), &std::env::temp_dir()].map(real_path);
        for launcher in launched_by {
            let mut roots = plan.writable.iter().filter(|root| !temporary.contains(root));
            if let Some(root) = roots.find(|root| launcher.starts_with(root)) {
                return Err(TrustedPlaceError::Launcher { launcher, root: root.clone() });
            }
        }
        Ok(())
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

/// The links on the way to a path, as far as it exists.
fn links_to(path: &Path) -> Vec<PathBuf> {
    path.ancestors().find_map(|ancestor| walk(ancestor).ok()).map(|walk| walk.links).unwrap_or_default()
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
            launcher: None,
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
    fn a_link_in_a_writable_folder_leads_nowhere_safe() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        for name in ["home/rules", "dotfiles/codex/rules", "work"] {
            std::fs::create_dir_all(real.join(name)).unwrap();
        }
        std::fs::write(real.join("dotfiles/one.rules"), "").unwrap();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(real.join(target), real.join(name)).unwrap();
        };
        link("dotfiles/codex", "linked-home");
        link("home", "work/home");
        link("dotfiles/one.rules", "home/rules/one.rules");
        let trusted = |home: &str| Trusted { home: real.join(home), ..Trusted::default() };
        for (home, root, is_fine) in [
            ("home", "work", true),
            // What lies in the workspace is protected; the link to it does not lie there.
            ("linked-home", "dotfiles", true),
            ("work/home", "work", false),
        ] {
            let plan = plan(&real.join(root).display().to_string());
            assert_eq!(trusted(home).check_wishes(&plan).is_ok(), is_fine, "{home}");
        }
        assert!(trusted("linked-home").places().any(|place| place == real.join("dotfiles/codex")));
        // A link in a folder that is itself protected is as good as the folder.
        let mut plan = plan(&real.display().to_string());
        plan.read_only = vec![real.join("home")];
        let rules = vec![real.join("home/rules/one.rules")];
        let trusted = Trusted { home: real.join("home"), rules, ..Trusted::default() };
        assert!(trusted.check_wishes(&plan).is_ok());
        let launched = Trusted { launcher: Some(real.join("work/x.js")), ..Trusted::default() };
        assert!(matches!(launched.check_wishes(&plan), Err(TrustedPlaceError::Launcher { .. })));
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
