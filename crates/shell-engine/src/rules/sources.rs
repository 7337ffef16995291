//! Where rules are read from. Finds the files; `load` reads them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How files of rules are called.
const EXTENSION: &str = "rules";

/// Where rules are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSource {
    /// All regular files named `*.rules` in this folder, by name. A missing folder holds none.
    Folder(PathBuf),
    /// This file or folder, which must exist (`--rules`).
    Named(PathBuf),
    /// An administrator's `requirements.toml`; missing is fine.
    Requirements(PathBuf),
}

impl RuleSource {
    /// The file or folder itself.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Named(path) | Self::Requirements(path) => path,
        }
    }

    /// The folder whose files it stands for; `None` when it is a file.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Named(path) => path.is_dir().then_some(path),
            Self::Requirements(_) => None,
        }
    }

    /// Finds the rule files that are there now.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub(super) fn files(&self) -> io::Result<Vec<PathBuf>> {
        match self.folder() {
            Some(folder) => rule_files(folder),
            None => {
                Ok(Some(self.path()).filter(|file| file.exists()).map(Path::to_owned).into_iter().collect())
            }
        }
    }

    /// Finds files that look as if they were meant to be read, and are not, because of their names.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub(super) fn misnamed(&self) -> io::Result<Vec<PathBuf>> {
        let Some(folder) = self.folder() else { return Ok(Vec::new()) };
        let is_misnamed = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            let is_like =
                [".rule", ".rules", ".rules.txt", ".rules.py"].iter().any(|end| name.ends_with(end));
            is_like && !has_name_of_rules(path) && path.is_file()
        };
        Ok(entries(folder)?.into_iter().filter(is_misnamed).collect())
    }
}

/// Finds the rule files of a folder, sorted by name. A symlink to a regular file counts as one: people keep
/// their rules in a repository.
///
/// # Errors
/// The folder cannot be listed.
pub(super) fn rule_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    // What cannot be examined (a dangling link) is kept, so that reading it reports the error.
    let is_file = |path: &PathBuf| fs::metadata(path).map_or(true, |metadata| metadata.is_file());
    Ok(entries(folder)?.into_iter().filter(|path| has_name_of_rules(path) && is_file(path)).collect())
}

fn has_name_of_rules(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == EXTENSION)
}

/// What is in a folder, sorted by name; nothing in one that is missing.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_read_because_of_their_names_are_found() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a.rules", "b.rule", "C.RULES", "d.rules.txt", "e.bak"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        let misnamed = RuleSource::Folder(root.path().to_owned()).misnamed().unwrap();
        let names: Vec<_> = misnamed.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["C.RULES", "b.rule", "d.rules.txt"]);
    }
}
