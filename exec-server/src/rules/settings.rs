//! Which rules are asked for, and what can be wrong with them.

use std::path::{Path, PathBuf};

use execpolicy::{Heuristics, Layers, LoadError, LoadErrors};

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
    /// Start although rule files are broken. Until they are mended every program is asked about.
    pub keep_going: bool,
    /// What is asked about although no rule mentions it.
    pub heuristics: Heuristics,
    /// A `.policy` file, which speaks where no rule does.
    pub legacy_policy: Option<PathBuf>,
}

/// What is wrong with the rules: everything at once, so that it can be mended in one go.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Rule files cannot be read, or are wrong.
    #[error(transparent)]
    Rules(#[from] LoadErrors),
    /// The legacy policy cannot be read, or is wrong.
    #[error("the legacy policy cannot be used: {0}")]
    Legacy(LoadError),
    /// Both.
    #[error("{0}\nthe legacy policy cannot be used: {1}")]
    Both(LoadErrors, LoadError),
    /// The project's folder is not known.
    #[error(
        "the rules of the project cannot be found, for the folder that the server starts in is gone: {0}"
    )]
    NoFolder(std::io::Error),
}

impl RuleSettings {
    /// Where rules are read from, for a user whose folder is `codex_home`.
    ///
    /// # Errors
    ///
    /// When the project is to be trusted, and the folder that the server starts in is gone.
    pub fn layers(&self, codex_home: &Path) -> Result<Layers, RulesError> {
        let trusted_project = if self.trust_project {
            Some(std::env::current_dir().map_err(RulesError::NoFolder)?)
        } else {
            None
        };
        Ok(Layers {
            system: Some(self.system_folder.clone().unwrap_or_else(|| SYSTEM_FOLDER.into())),
            codex_home: Some(codex_home.to_owned()),
            trusted_project,
            named: self.named.clone(),
        })
    }
}
