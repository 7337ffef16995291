//! What a server that has a legacy policy does with a command: may the files that it names be written?

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use execpolicy::Command;
use execpolicy::legacy::{ArgType, Call, LegacyPolicy, MatchedCall, Outcome};

use super::load::{LoadError, on_deep_stack, read_file};

/// Reads a legacy policy from a file.
///
/// # Errors
/// The file cannot be read, or what is wrong with its text.
pub fn read_legacy_policy(file: &Path) -> Result<LegacyPolicy, LoadError> {
    let text = read_file(file)?;
    Ok(on_deep_stack(|| LegacyPolicy::from_text(file, &text)).map_err(LoadError::Thread)??)
}

/// What a legacy policy says about a command.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LegacyVerdict {
    /// It is known to be harmless where it is, or writes only where it may: it runs, inside the sandbox,
    /// unasked.
    Run,
    /// It is known, and may write a file elsewhere: a human is asked.
    Prompt {
        /// Why, for the human.
        reason: String,
    },
    /// It never runs.
    Deny {
        /// Why, in the author's words.
        reason: String,
    },
    /// It is not known: as if there were no legacy policy.
    NoOpinion,
}

/// Judges a command by its base name. It may write below `writable`; what it reads is the sandbox's business.
/// Relative paths are relative to `cwd`.
pub(crate) fn judge_by_legacy(
    policy: &LegacyPolicy,
    command: &Command<'_>,
    cwd: Option<&Path>,
    writable: &[PathBuf],
) -> LegacyVerdict {
    let Some(call) = call(command) else { return LegacyVerdict::NoOpinion };
    match policy.check(&call) {
        Outcome::Safe { .. } => LegacyVerdict::Run,
        Outcome::Forbidden { reason, .. } => LegacyVerdict::Deny { reason },
        Outcome::Unverified { .. } => LegacyVerdict::NoOpinion,
        Outcome::Match { r#match } => match check_files(&r#match, cwd, writable) {
            Ok(()) => LegacyVerdict::Run,
            Err(error) => LegacyVerdict::Prompt { reason: error.to_string() },
        },
    }
}

/// The command as a call; `None` when it is not text, which no description fits.
fn call(command: &Command<'_>) -> Option<Call> {
    let args = command.args().map(|arg| arg.to_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
    let program = Path::new(command.program()).file_name().and_then(OsStr::to_str)?.to_owned();
    Some(Call { program, args })
}

/// Why a file is not known to be where it may be.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{} is not in a writable folder", .0.display())]
    NotWritable(PathBuf),
    #[error("cannot check the relative path {}", .0.display())]
    Relative(PathBuf),
    #[error("cannot canonicalize {}: {error}", path.display())]
    NotCanonical { path: PathBuf, error: std::io::ErrorKind },
}

/// Checks that every file that a call may write lies in a folder where it may.
fn check_files(call: &MatchedCall, cwd: Option<&Path>, writable: &[PathBuf]) -> Result<(), FileError> {
    let args = call.args.iter().map(|arg| (&arg.r#type, &arg.value));
    let opts = call.opts.iter().map(|opt| (&opt.r#type, &opt.value));
    for (arg_type, value) in args.chain(opts) {
        match arg_type {
            ArgType::ReadableFile => {
                canonical(value, cwd)?;
            }
            // A word of unknown meaning may be a file that is written.
            ArgType::WriteableFile | ArgType::Unknown => {
                let file = canonical(value, cwd)?;
                if !lies_in(&file, writable) {
                    return Err(FileError::NotWritable(file));
                }
            }
            ArgType::Literal(_) | ArgType::OpaqueNonFile | ArgType::PositiveInteger | ArgType::SedCommand => {
            }
        }
    }
    Ok(())
}

fn lies_in(file: &Path, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| file.starts_with(fs::canonicalize(folder).as_deref().unwrap_or(folder)))
}

/// The canonical path of a file that may not exist yet: that of its folder, and its name.
fn canonical(value: &str, cwd: Option<&Path>) -> Result<PathBuf, FileError> {
    let given = PathBuf::from(value);
    let path = match cwd {
        _ if given.is_absolute() => given,
        Some(cwd) => cwd.join(given),
        None => return Err(FileError::Relative(given)),
    };
    let failed = |error: std::io::Error| FileError::NotCanonical { path: path.clone(), error: error.kind() };
    match fs::canonicalize(&path) {
        Ok(canonical) => Ok(canonical),
        // A dangling symlink would be followed by whoever writes: only a name that does not exist at all is
        // new.
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound && fs::symlink_metadata(&path).is_err() =>
        {
            match (path.parent(), path.file_name()) {
                (Some(folder), Some(name)) => Ok(fs::canonicalize(folder).map_err(failed)?.join(name)),
                _ => Err(failed(error)),
            }
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use execpolicy::legacy::default_policy;

    use super::*;

    fn judge(policy: &LegacyPolicy, line: &str, cwd: &Path, writable: &[PathBuf]) -> LegacyVerdict {
        let words: Vec<&str> = line.split(' ').collect();
        judge_by_legacy(policy, &Command::from_words(&words).unwrap(), Some(cwd), writable)
    }

    #[test]
    fn each_outcome_has_its_consequence() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        let (cwd, writable) = (root.path(), [root.path().to_owned()]);
        let policy = default_policy().unwrap();
        assert_eq!(judge(&policy, "/bin/ls -l", cwd, &writable), LegacyVerdict::Run);
        assert_eq!(judge(&policy, "cp a b", cwd, &writable), LegacyVerdict::Run);
        assert!(matches!(judge(&policy, "cp a /b", cwd, &writable), LegacyVerdict::Prompt { .. }));
        assert_eq!(judge(&policy, "rm a", cwd, &writable), LegacyVerdict::NoOpinion);
        let text = "forbid_program_regex(\"^rm$\", \"no\")";
        let forbidding = LegacyPolicy::from_text(Path::new("x.policy"), text).unwrap();
        let no = LegacyVerdict::Deny { reason: "no".into() };
        assert_eq!(judge(&forbidding, "/bin/rm a", cwd, &writable), no);
    }

    #[test]
    fn files_must_lie_where_they_may() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        for name in ["in", "out", "secret"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("in/a"), "").unwrap();
        std::os::unix::fs::symlink(root.join("secret/new"), root.join("out/link")).unwrap();
        let policy = default_policy().unwrap();
        for (line, expected) in [
            ("cp in/a out/b", "Run"),
            ("cp in/a in/b", "in/b is not in a writable folder"),
            ("cp in/a out/../secret/b", "secret/b is not in a writable folder"),
            ("cp none/a out/b", "cannot canonicalize"),
            ("cp in/a out/link", "cannot canonicalize"),
        ] {
            let said = format!("{:?}", judge(&policy, line, &root, &[root.join("out")]));
            assert!(said.contains(expected), "{line}: {said}");
        }
        let words = ["cp", "in/a", "out/b"];
        let nowhere = judge_by_legacy(&policy, &Command::from_words(&words).unwrap(), None, &[]);
        assert_eq!(nowhere, LegacyVerdict::Prompt { reason: "cannot check the relative path in/a".into() });
    }
}
