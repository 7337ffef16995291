//! Rule files and folders → one [`Policy`], with every error of every file.
//!
//! The only place that reads files. A missing folder is an empty one; everything else that cannot be read is an error that names it.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::dialect;
use crate::errors::{LoadError, LoadErrors};
use crate::policy::Policy;
use crate::requirements;

/// Largest rules file that is read; about ten thousand rules.
const MAX_FILE: u64 = 4 << 20;

/// Where rules are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSource {
    /// All regular files named `*.rules` or `*.answers` in this folder, by name. A missing folder holds none.
    Folder(PathBuf),
    /// This file, which must exist.
    File(PathBuf),
    /// This file or folder, which must exist (`--rules`).
    Named(PathBuf),
    /// An administrator's `requirements.toml`; missing is fine.
    Requirements(PathBuf),
}

impl RuleSource {
    /// The file or folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::File(path) | Self::Named(path) | Self::Requirements(path) => path,
        }
    }

    /// The rule files that are there now.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        match self {
            Self::Folder(folder) => rule_files(folder),
            Self::Named(path) if path.is_dir() => rule_files(path),
            Self::File(file) | Self::Named(file) | Self::Requirements(file) => {
                Ok(if file.exists() { vec![file.clone()] } else { Vec::new() })
            }
        }
    }
}

/// What loading brought: the rules of all good files, and what is wrong with the others.
#[must_use]
#[derive(Debug, Default)]
pub struct Loaded {
    policy: Policy,
    errors: Vec<LoadError>,
}

impl Loaded {
    /// The policy if every file is good.
    ///
    /// # Errors
    /// All errors of all files.
    pub fn strict(self) -> Result<Policy, LoadErrors> {
        if self.errors.is_empty() { Ok(self.policy) } else { Err(LoadErrors(self.errors)) }
    }

    /// The rules of the good files, and the errors of the others. With errors, the policy allows nothing without asking.
    #[must_use]
    pub fn keep_going(mut self) -> (Policy, Option<LoadErrors>) {
        if self.errors.is_empty() {
            return (self.policy, None);
        }
        self.policy.mark_incomplete();
        (self.policy, Some(LoadErrors(self.errors)))
    }
}

/// Reads all sources, in order.
pub fn load(sources: &[RuleSource]) -> Loaded {
    let mut loaded = Loaded::default();
    for source in sources {
        match source {
            RuleSource::Named(path) if path.is_dir() => loaded.add_folder(path),
            RuleSource::File(file) | RuleSource::Named(file) => loaded.add_file(file),
            RuleSource::Folder(folder) => loaded.add_folder(folder),
            RuleSource::Requirements(file) => loaded.add_requirements(file),
        }
    }
    loaded
}

impl Policy {
    /// Reads rules from text; the path stands for the file in errors and origins.
    ///
    /// # Errors
    /// What is wrong with the text, with line, column and excerpt.
    pub fn from_text(file: &Path, text: &str) -> Result<Self, LoadError> {
        let mut policy = Self::empty();
        policy.add_text(file, text)?;
        Ok(policy)
    }

    fn add_text(&mut self, file: &Path, text: &str) -> Result<(), LoadError> {
        let home = home_folder::find();
        let declared = dialect::read(file, text, home.as_deref().and_then(Path::to_str))
            .map_err(|problem| LoadError::Parse { file: file.to_owned(), problem: Box::new(problem) })?;
        self.add_declarations(declared);
        Ok(())
    }
}

impl Loaded {
    fn add_folder(&mut self, folder: &Path) {
        match rule_files(folder) {
            Ok(files) => files.iter().for_each(|file| self.add_file(file)),
            Err(source) => self.errors.push(LoadError::ReadFolder { folder: folder.to_owned(), source }),
        }
    }

    fn add_requirements(&mut self, file: &Path) {
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let read = match read_file(file) {
            Err(LoadError::ReadFile { source, .. }) if missing(&source) => return,
            Err(error) => Err(error),
            Ok(text) => requirements::read(file, &text)
                .map_err(|what| LoadError::Requirements { file: file.to_owned(), what }),
        };
        match read {
            Ok(rules) => rules.into_iter().for_each(|rule| self.policy.add(rule)),
            Err(error) => self.errors.push(error),
        }
    }

    fn add_file(&mut self, file: &Path) {
        if let Err(error) = read_file(file).and_then(|text| self.policy.add_text(file, &text)) {
            self.errors.push(error);
        }
    }
}

/// How files of rules are called. What a person has answered for good is kept apart from the other rules: programs that share these
/// would not understand `overrides_prompt`, and could then read none of them.
const EXTENSIONS: [&str; 2] = ["rules", "answers"];

/// The rule files of a folder, sorted by name. A symlink to a regular file counts as one: people keep their rules in a repository.
pub(crate) fn rule_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known)) {
            // What cannot be examined (a dangling link) is kept, so that reading it reports the error.
            if fs::metadata(&path).map_or(true, |metadata| metadata.is_file()) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

pub(crate) fn read_file(file: &Path) -> Result<String, LoadError> {
    let failed = |source| LoadError::ReadFile { file: file.to_owned(), source };
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(failed)?;
    let read = opened.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > MAX_FILE {
        return Err(LoadError::TooLarge { file: file.to_owned(), limit: MAX_FILE });
    }
    Ok(text)
}
