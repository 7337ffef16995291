//! Which rules are asked for, and what can be wrong with them.

use std::path::{Path, PathBuf};

use execpolicy::{Heuristics, Layers, RuleSource};

/// The machine's folder, which only an administrator can change.
const SYSTEM_FOLDER: &str = "/etc/codex";

/// Which rules a server goes by, besides those of the machine (`/etc/codex`) and of the user (`$CODEX_HOME`).
#[derive(Clone, Debug, Default)]
pub struct RuleSettings {
    /// The machine's folder, with `rules` and `requirements.toml` in it; by default `/etc/codex`.
    pub system_folder: Option<PathBuf>,
    /// More rule files, and folders of them, which must exist.
    pub named: Vec<PathBuf>,
    /// The rules of the project that the server starts in count too. Its author writes them, so this is trust in the author.
    pub trust_project: bool,
    /// Folders of projects whose rules count too, when the server starts in them or below them in the same repository.
    pub trusted_projects: Vec<PathBuf>,
    /// Run commands although rule files are broken at the start. Until they are mended every program is asked about.
    pub keep_going: bool,
    /// What is asked about although no rule mentions it.
    pub heuristics: Heuristics,
    /// A `.policy` file, which speaks where no rule does.
    pub legacy_policy: Option<PathBuf>,
}

/// Why it is not known where rules are.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The project's folder is not known.
    #[error(
        "the rules of the project cannot be found, for the folder that the server starts in is gone: {0}"
    )]
    NoFolder(std::io::Error),
}

impl RuleSettings {
    /// Trusts these projects too.
    #[must_use]
    pub fn trusting(mut self, projects: Vec<PathBuf>) -> RuleSettings {
        self.trusted_projects.extend(projects);
        self
    }

    /// Where rules are read from, for a user whose folder is `codex_home` and a server that starts in the current folder.
    ///
    /// # Errors
    ///
    /// When the project is to be trusted, and the current folder is gone.
    pub fn layers(&self, codex_home: &Path) -> Result<Layers, RulesError> {
        let start = match std::env::current_dir() {
            Ok(start) => Some(start),
            Err(error) if self.trust_project => return Err(RulesError::NoFolder(error)),
            Err(_) => None,
        };
        let trusted_project = start.filter(|start| self.trust_project || self.trusts(start));
        Ok(Layers {
            system: Some(self.system_folder.clone().unwrap_or_else(|| SYSTEM_FOLDER.into())),
            codex_home: Some(codex_home.to_owned()),
            trusted_project,
            // Commands start in other folders than the server.
            named: self.named.iter().map(|path| absolute(path)).collect(),
        })
    }

    /// Rule files of the project that the current folder is in, which are not read because the project is not trusted.
    #[must_use]
    pub fn left_out(&self, codex_home: &Path) -> Vec<PathBuf> {
        let Ok(start) = std::env::current_dir() else { return Vec::new() };
        if self.trust_project || self.trusts(&start) {
            return Vec::new();
        }
        let trusting = Layers { trusted_project: Some(start), ..Layers::default() };
        let own = RuleSource::Folder(codex_home.join("rules"));
        let sources = trusting.sources().into_iter().filter(|source| *source != own);
        sources.flat_map(|source| source.files().unwrap_or_default()).collect()
    }

    /// Whether a folder, or the repository that it lies in, is one of the trusted projects.
    fn trusts(&self, start: &Path) -> bool {
        let root = execpolicy::layers::project_root(start);
        self.trusted_projects.iter().any(|project| {
            let project = project.canonicalize().unwrap_or_else(|_| project.clone());
            project == start || project == root
        })
    }
}

/// A path as seen from the folder that the server starts in.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
