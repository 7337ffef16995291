//! Where rules come from: the machine's, the user's, the project's, and those named on the command line.
//!
//! Layers are added up, and the strictest rule wins whatever its layer, so no layer can loosen another's prohibition.

use std::path::{Path, PathBuf};

use crate::load::RuleSource;

/// The layers of one server.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The machine's folder (`/etc/codex`): its `rules` and its `requirements.toml`.
    pub system: Option<PathBuf>,
    /// The user's folder (`$CODEX_HOME`): its `rules`.
    pub codex_home: Option<PathBuf>,
    /// The folder that the server was started in, **only if the user trusts that project**: a project's rules come from whoever wrote the project,
    /// and must not be writable from the sandbox.
    pub trusted_project: Option<PathBuf>,
    /// Files and folders named on the command line, which must exist.
    pub named: Vec<PathBuf>,
}

impl Layers {
    /// The sources to load, from the widest layer to the narrowest.
    #[must_use]
    pub fn sources(&self) -> Vec<RuleSource> {
        let mut sources = Vec::new();
        if let Some(system) = &self.system {
            sources.push(RuleSource::Folder(system.join("rules")));
            sources.push(RuleSource::Requirements(system.join("requirements.toml")));
        }
        if let Some(home) = &self.codex_home {
            sources.push(RuleSource::Folder(home.join("rules")));
        }
        if let Some(start) = &self.trusted_project {
            sources.extend(project_folders(start).into_iter().map(RuleSource::Folder));
        }
        sources.extend(self.named.iter().cloned().map(RuleSource::Named));
        // The user's folder may lie in the project.
        let mut unique: Vec<RuleSource> = Vec::new();
        for source in sources {
            if !unique.contains(&source) {
                unique.push(source);
            }
        }
        unique
    }
}

/// The root of the repository that a folder lies in; the folder itself outside of one.
#[must_use]
pub fn project_root(start: &Path) -> &Path {
    start.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(start)
}

/// `.codex/rules` of every folder from the repository's root down to the start; of the start alone outside of a repository.
fn project_folders(start: &Path) -> Vec<PathBuf> {
    let root = project_root(start);
    let mut folders: Vec<PathBuf> = start
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .map(|folder| folder.join(".codex").join("rules"))
        .collect();
    folders.reverse();
    folders
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::Layers;
    use crate::load::RuleSource;

    #[test]
    fn a_project_is_read_from_its_root_down_and_only_if_trusted() {
        let root = tempfile::tempdir().unwrap();
        let start = root.path().join("repo/a/b");
        fs::create_dir_all(&start).unwrap();
        fs::create_dir(root.path().join("repo/.git")).unwrap();
        let layers = Layers {
            system: Some(PathBuf::from("/etc/codex")),
            codex_home: Some(root.path().join("repo/.codex")),
            trusted_project: Some(start),
            named: vec![PathBuf::from("/x.rules")],
        };
        let folder = |path: &str| RuleSource::Folder(root.path().join(path));
        let expected = [
            RuleSource::Folder(PathBuf::from("/etc/codex/rules")),
            RuleSource::Requirements(PathBuf::from("/etc/codex/requirements.toml")),
            folder("repo/.codex/rules"),
            folder("repo/a/.codex/rules"),
            folder("repo/a/b/.codex/rules"),
            RuleSource::Named(PathBuf::from("/x.rules")),
        ];
        assert_eq!(layers.sources(), expected);
        assert!(Layers::default().sources().is_empty());
    }
}
