//! Which rules are asked for: the machine's, the user's, the project's, and those named on the command line.
//!
//! These layers are added up, and the strictest rule wins whatever its layer, so no layer can loosen
//! another's prohibition.

use std::path::{Path, PathBuf};

use execpolicy::Heuristics;
use sandbox::resolve::real_path;
use sha2::{Digest, Sha256};

use super::sources::{RuleSource, rule_files};

/// The user's rules with words that Codex does not know, below the user's folder: it reads `rules` only, and may not
/// start for such a word. Of the same rank.
pub(crate) const OWN_RULES: &str = "shell-tool/rules";

/// The folder that those and the server's own programs for commands lie in.
pub(crate) const OWN: &str = "shell-tool";

/// The machine's folder, which only an administrator can change.
const SYSTEM_FOLDER: &str = "/etc/codex";

/// Which rules a server goes by, besides those of the machine (`/etc/codex`) and of the user (`$CODEX_HOME`).
#[derive(Clone, Debug, Default)]
pub struct RuleSettings {
    /// The machine's folder, with `rules` and `requirements.toml` in it; by default `/etc/codex`.
    pub system_folder: Option<PathBuf>,
    /// More rule files, and folders of them, which must exist.
    pub named: Vec<PathBuf>,
    /// The rules of the project that the server starts in count too. Its author writes them, so this is trust
    /// in the author.
    pub trust_project: bool,
    /// Folders of projects whose rules count too, when the server starts in them or below them in the same
    /// repository.
    pub trusted_projects: Vec<PathBuf>,
    /// Run commands although rule files are broken at the start. Until they are mended every program is asked
    /// about.
    pub keep_going: bool,
    /// What is asked about although no rule mentions it.
    pub heuristics: Heuristics,
    /// A `.policy` file, which speaks where no rule does.
    pub legacy_policy: Option<PathBuf>,
    /// The folder that the server is for; by default the current one.
    pub started_in: Option<PathBuf>,
    /// The folder of whoever serves this user, among others: its rules count too.
    pub operator_home: Option<PathBuf>,
}

/// Where the rules of one server are, and what becomes of commands when they are broken.
#[derive(Clone, Debug)]
pub struct RuleFiles {
    pub(super) sources: Vec<RuleSource>,
    pub(super) legacy: Option<PathBuf>,
    /// Rule files of a project that is not trusted.
    pub(super) left_out: Vec<PathBuf>,
    pub(super) keep_going: bool,
    /// What the rules of this session are called.
    pub(super) session: PathBuf,
    /// Where they were when the server started, free of links: what commands are kept from.
    pub(super) kept: Vec<PathBuf>,
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

    fn start(&self) -> std::io::Result<PathBuf> {
        self.started_in.clone().map_or_else(std::env::current_dir, Ok)
    }

    /// Finds out where rules are, for a user whose folder is `codex_home` and a server that starts in the
    /// current folder.
    ///
    /// # Errors
    ///
    /// When the project is to be trusted, and the current folder is gone.
    pub(crate) fn find(&self, codex_home: &Path) -> Result<RuleFiles, RulesError> {
        let mut found = RuleFiles {
            sources: self.sources(codex_home)?,
            legacy: self.legacy_policy.as_deref().map(absolute),
            left_out: self.left_out(codex_home),
            keep_going: self.keep_going,
            session: codex_home.join(OWN_RULES).join("this session"),
            kept: Vec::new(),
        };
        found.kept = found.places().iter().map(|place| real_path(place)).collect();
        Ok(found)
    }

    /// Lists where rules are read from, from the widest layer to the narrowest, for a user whose folder is
    /// `codex_home` and a server that starts in the current folder.
    ///
    /// # Errors
    ///
    /// When the project is to be trusted, and the current folder is gone.
    pub fn sources(&self, codex_home: &Path) -> Result<Vec<RuleSource>, RulesError> {
        let start = match self.start() {
            Ok(start) => Some(start),
            Err(error) if self.trust_project => return Err(RulesError::NoFolder(error)),
            Err(_) => None,
        };
        let trusted_project = start.filter(|start| self.trust_project || self.trusts(start));
        Ok(self.layers(codex_home, trusted_project.as_deref()))
    }

    /// Rule files of the project that the current folder is in, which are not read because the project is not
    /// trusted.
    #[must_use]
    pub fn left_out(&self, codex_home: &Path) -> Vec<PathBuf> {
        let Ok(start) = self.start() else { return Vec::new() };
        if self.trust_project || self.trusts(&start) {
            return Vec::new();
        }
        let own = codex_home.join("rules");
        let folders = project_folders(&start).into_iter().filter(|folder| *folder != own);
        folders.flat_map(|folder| rule_files(&folder).unwrap_or_default()).collect()
    }

    fn layers(&self, codex_home: &Path, trusted_project: Option<&Path>) -> Vec<RuleSource> {
        let system = self.system_folder.as_deref().unwrap_or(Path::new(SYSTEM_FOLDER));
        let project = trusted_project.map(project_folders).unwrap_or_default();
        let mut sources = vec![
            RuleSource::Folder(system.join("rules")),
            RuleSource::Requirements(system.join("requirements.toml")),
            RuleSource::Folder(codex_home.join("rules")),
            RuleSource::Folder(codex_home.join(OWN_RULES)),
        ];
        for folder in self.operator_home.iter().flat_map(|home| [home.join("rules"), home.join(OWN_RULES)]) {
            sources.push(RuleSource::Folder(folder));
        }
        let root = started_in(self.started_in.as_deref());
        sources.extend(root.map(|root| RuleSource::Folder(project_rules(codex_home, &root))));
        // The user's folder may lie in the project. Commands start in other folders than the server.
        let named = self.named.iter().map(|path| RuleSource::Named(absolute(path)));
        for source in project.into_iter().map(RuleSource::Folder).chain(named) {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }

    /// Whether a folder, or the repository that it lies in, is one of the trusted projects.
    fn trusts(&self, start: &Path) -> bool {
        let root = project_root(start);
        self.trusted_projects.iter().any(|project| {
            let project = project.canonicalize().unwrap_or_else(|_| project.clone());
            project == start || project == root
        })
    }
}

/// The root of the project that the server is for: the one that this folder lies in, else the current one.
pub(crate) fn started_in(folder: Option<&Path>) -> Option<PathBuf> {
    let start = folder.map(Path::to_owned).or_else(|| std::env::current_dir().ok());
    start.map(|start| project_root(&start).to_owned())
}

/// The folder of a user's rules about one project, which is never in the project.
pub(crate) fn project_rules(codex_home: &Path, root: &Path) -> PathBuf {
    let hash = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    codex_home.join("shell-tool/projects").join(name)
}

/// The root of the repository that a folder lies in; the folder itself outside of one.
fn project_root(start: &Path) -> &Path {
    start.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(start)
}

/// `.codex/rules` of every folder from the repository's root down to the start; of the start alone outside of
/// a repository.
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

impl RuleFiles {
    /// Every file and folder that rules are read from, also those that are not there yet, and what links lead
    /// to: whoever may write one of them writes the rules.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        let mut places: Vec<PathBuf> = self.legacy.iter().cloned().collect();
        for source in &self.sources {
            places.push(source.path().to_owned());
            places.extend(source.files().unwrap_or_default());
        }
        // A missing name can be held only where its folder is there: `.codex` for `.codex/rules`.
        let missing: Vec<PathBuf> = places.iter().filter_map(|place| topmost_missing(place)).collect();
        places.extend(missing);
        let targets: Vec<PathBuf> = places.iter().filter_map(|place| place.canonicalize().ok()).collect();
        places.extend(targets);
        places.sort();
        places.dedup();
        places
    }
}

/// The first folder on the way to a path that is not there; `None` when the path is.
fn topmost_missing(path: &Path) -> Option<PathBuf> {
    path.ancestors().take_while(|ancestor| !ancestor.exists()).last().map(Path::to_owned)
}

/// A path as seen from the folder that the server starts in.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_read_from_its_root_down_and_only_if_trusted() {
        let root = tempfile::tempdir().unwrap();
        let start = root.path().join("repo/a/b");
        std::fs::create_dir_all(&start).unwrap();
        std::fs::create_dir(root.path().join("repo/.git")).unwrap();
        let codex_home = root.path().join("repo/.codex");
        let folder = |path: &str| RuleSource::Folder(root.path().join(path));
        let settings = RuleSettings { named: vec!["/x.rules".into()], ..RuleSettings::default() };
        let expected = [
            RuleSource::Folder("/etc/codex/rules".into()),
            RuleSource::Requirements("/etc/codex/requirements.toml".into()),
            folder("repo/.codex/rules"),
            folder("repo/.codex/shell-tool/rules"),
            RuleSource::Folder(project_rules(&codex_home, &started_in(None).expect("a folder"))),
            folder("repo/a/.codex/rules"),
            folder("repo/a/b/.codex/rules"),
            RuleSource::Named("/x.rules".into()),
        ];
        assert_eq!(settings.layers(&codex_home, Some(&start)), expected);
        let [system, requirements, user, own, project, _, _, named] = expected;
        assert_eq!(settings.layers(&codex_home, None), [system, requirements, user, own, project, named]);
    }

    #[test]
    fn the_name_to_hold_for_a_missing_path_is_the_first_that_is_missing() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(topmost_missing(&root.path().join("a/b/c.rules")), Some(root.path().join("a")));
        assert_eq!(topmost_missing(root.path()), None);
    }
}
