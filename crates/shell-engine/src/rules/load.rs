//! Reads rule files and folders into one [`Policy`], with every error of every file.
//!
//! A missing folder is an empty one; everything else that cannot be read is an error that names it.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use execpolicy::{ParseError, Policy};

use super::sources::{RuleSource, rule_files};

/// Largest rules file that is read, in bytes; about ten thousand rules.
const MAX_FILE: u64 = 4 << 20;

/// One thing that is wrong with one rule file or folder.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder exists but cannot be listed, or is not a folder.
    #[error("failed to read rules files from {}: {}", folder.display(), io_reason(source))]
    ReadFolder {
        /// The folder as it was given.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("failed to read rules file {}: {}", file.display(), io_reason(source))]
    ReadFile {
        /// The file as it was found.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is too large to be a rules file.
    #[error("failed to read rules file {}: it is larger than {MAX_FILE} bytes", file.display())]
    TooLarge {
        /// The file as it was found.
        file: PathBuf,
    },
    /// A link leads where commands may write.
    #[error(
        "{} leads to {}, which was not there, or not named so, when the server started, so commands may be able to write it; start the \
         server again", file.display(), real.display()
    )]
    LeadsElsewhere {
        /// The file as it was found.
        file: PathBuf,
        /// Where it leads.
        real: PathBuf,
    },
    /// The file is not valid.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// There is no thread for it.
    #[error("cannot start a thread to read rules files: {0}")]
    Thread(io::Error),
}

/// The system's words without Rust's `(os error N)`.
fn io_reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// All errors of one load, never empty: a user mends them in one go.
#[derive(Debug)]
pub struct LoadErrors(pub Vec<LoadError>);

impl fmt::Display for LoadErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for LoadErrors {}

/// Reads all sources.
///
/// # Errors
/// All errors of all files.
pub fn load_rules(sources: &[RuleSource]) -> Result<Policy, LoadErrors> {
    match load(sources) {
        (policy, None) => Ok(policy),
        (_, Some(errors)) => Err(errors),
    }
}

/// Reads all sources once more. Commands have been kept from what the files were at the start (`kept`, free of links),
/// and from no others.
///
/// # Errors
/// All errors of all files.
pub(super) fn load_again(sources: &[RuleSource], kept: &[PathBuf]) -> Result<Policy, LoadErrors> {
    let files = sources.iter().flat_map(|source| source.files().unwrap_or_default());
    let elsewhere = files.filter_map(|file| {
        let real = file.canonicalize().ok()?;
        let is_kept = kept.iter().any(|place| real.starts_with(place));
        (!is_kept).then_some(LoadError::LeadsElsewhere { file, real })
    });
    let elsewhere: Vec<LoadError> = elsewhere.collect();
    if elsewhere.is_empty() { load_rules(sources) } else { Err(LoadErrors(elsewhere)) }
}

/// Reads all sources, in order: the rules of the good files, and the errors of the others. With errors, the
/// policy allows nothing without asking.
pub(super) fn load(sources: &[RuleSource]) -> (Policy, Option<LoadErrors>) {
    let texts: Vec<_> = sources.iter().flat_map(read_source).collect();
    if texts.is_empty() {
        return (Policy::empty(), None);
    }
    let (mut policy, errors) = parse(texts);
    if errors.is_empty() {
        return (policy, None);
    }
    policy.mark_incomplete();
    (policy, Some(LoadErrors(errors)))
}

/// Checks the text of a rules file.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(file: &Path, text: String) -> Result<(), LoadError> {
    let text = SourceText { file: file.to_owned(), text, add: add_rules };
    // Profiles that it names may be of other files.
    let read = on_deep_stack(|| add_rules(&mut Policy::empty(), &text)).map_err(LoadError::Thread)?;
    Ok(read?)
}

/// What was read, and how it is added to a policy.
struct SourceText {
    file: PathBuf,
    text: String,
    add: fn(&mut Policy, &SourceText) -> Result<(), ParseError>,
}

fn add_rules(policy: &mut Policy, text: &SourceText) -> Result<(), ParseError> {
    policy.add_text(&text.file, &text.text, home_folder::find().as_deref().and_then(Path::to_str))
}

fn add_requirements(policy: &mut Policy, text: &SourceText) -> Result<(), ParseError> {
    policy.add_requirements(&text.file, &text.text)
}

fn read_source(source: &RuleSource) -> Vec<Result<SourceText, LoadError>> {
    let rules = |file: PathBuf| Ok(SourceText { text: read_file(&file)?, file, add: add_rules });
    match (source, source.folder()) {
        (_, Some(folder)) => match rule_files(folder) {
            Ok(files) => files.into_iter().map(rules).collect(),
            Err(source) => vec![Err(LoadError::ReadFolder { folder: folder.to_owned(), source })],
        },
        (RuleSource::Requirements(file), None) => match read_file(file) {
            Err(LoadError::ReadFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => vec![read.map(|text| SourceText { file: file.clone(), text, add: add_requirements })],
        },
        (RuleSource::Folder(file) | RuleSource::Named(file), None) => vec![rules(file.clone())],
    }
}

fn parse(texts: Vec<Result<SourceText, LoadError>>) -> (Policy, Vec<LoadError>) {
    let parsed = on_deep_stack(|| {
        let mut policy = Policy::empty();
        let add = |text: Result<SourceText, LoadError>| {
            text.and_then(|text| (text.add)(&mut policy, &text).map_err(LoadError::from)).err()
        };
        let mut errors: Vec<LoadError> = texts.into_iter().filter_map(add).collect();
        // What a file that is broken would define is not missing.
        if errors.is_empty() {
            errors.extend(policy.problems().into_iter().map(LoadError::from));
        }
        (policy, errors)
    });
    parsed.unwrap_or_else(|error| (Policy::empty(), vec![LoadError::Thread(error)]))
}

/// Runs what evaluates rule files on a thread of its own, whose stack is deep enough for any of them. Only
/// what is used takes memory.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn on_deep_stack<T: Send>(evaluate: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("rules".into()).stack_size(execpolicy::STACK);
        let running = thread.spawn_scoped(scope, evaluate)?;
        Ok(running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

pub(super) fn read_file(file: &Path) -> Result<String, LoadError> {
    let failed = |source| LoadError::ReadFile { file: file.to_owned(), source };
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(failed)?;
    let read = opened.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > MAX_FILE { Err(LoadError::TooLarge { file: file.to_owned() }) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use execpolicy::{Command, DecidedBy, Decision, Options};

    use super::*;

    #[test]
    fn a_missing_folder_holds_no_rules() {
        let root = tempfile::tempdir().unwrap();
        let policy = load_rules(&[RuleSource::Folder(root.path().join("rules"))]).unwrap();
        assert_eq!(policy.rules().len(), 0);
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let rules = root.path().join("rules");
        fs::write(&rules, "").unwrap();
        let error = load_rules(&[RuleSource::Folder(rules.clone())]).unwrap_err().to_string();
        assert_eq!(error, format!("failed to read rules files from {}: Not a directory", rules.display()));
    }

    #[test]
    fn only_regular_files_with_the_right_name_are_read_in_order_of_their_names() {
        let root = tempfile::tempdir().unwrap();
        for (name, program) in [("b.rules", "b"), ("a.rules", "a"), ("c.rules.bak", "c"), ("d.txt", "d")] {
            fs::write(root.path().join(name), format!("prefix_rule([\"{program}\"])")).unwrap();
        }
        fs::create_dir(root.path().join("e.rules")).unwrap();
        let policy = load_rules(&[RuleSource::Folder(root.path().to_owned())]).unwrap();
        let files: Vec<_> =
            policy.rules().map(|rule| rule.origin.file.file_name().unwrap().to_owned()).collect();
        assert_eq!(files, ["a.rules", "b.rules"]);
    }

    #[test]
    fn every_error_of_every_file_is_reported() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.rules"), "prefix_rule([])").unwrap();
        fs::write(root.path().join("b.rules"), "prefix_rule([\"ok\"])\nprefix_rule([\"no\"], \"forbidden\")")
            .unwrap();
        fs::write(root.path().join("c.rules"), "nonsense(").unwrap();
        fs::write(root.path().join("d.rules"), b"\xff").unwrap();
        let sources = [
            RuleSource::Folder(root.path().to_owned()),
            RuleSource::Named(root.path().join("missing.rules")),
        ];
        let error = load_rules(&sources).unwrap_err();
        assert_eq!(error.0.len(), 4, "{error}");
        for name in ["a.rules:1:1", "c.rules:", "d.rules", "missing.rules"] {
            assert!(error.to_string().contains(name), "{name} in {error}");
        }

        let (policy, errors) = load(&sources);
        assert_eq!(errors.unwrap().0.len(), 4);
        let decide = |words: &[&str]| {
            let evaluation = policy.evaluate(&Command::from_words(words).unwrap(), &Options::default());
            (evaluation.decision(), evaluation.decided_by())
        };
        assert_eq!(decide(&["ok"]), (Decision::Prompt, DecidedBy::IncompleteRules));
        assert_eq!(decide(&["other"]), (Decision::Prompt, DecidedBy::IncompleteRules));
        assert_eq!(decide(&["no"]), (Decision::Forbidden, DecidedBy::Rule));
    }
}
