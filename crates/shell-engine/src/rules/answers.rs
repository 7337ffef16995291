//! The file of what people have answered for good: a rule is added under a lock, whole or not at all, and
//! only if the file is then valid.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use execpolicy::amend::Amendment;

use super::load::{LoadError, check};

/// The file into which what a person has answered for good goes.
#[derive(Clone, Debug)]
pub struct AnswerFile(PathBuf);

impl AnswerFile {
    /// The file of this name, which need not exist.
    #[must_use]
    pub fn new(path: PathBuf) -> AnswerFile {
        AnswerFile(path)
    }

    /// Writes the rule that a person asked for. Returns whether it is in the file from now on; the log says
    /// why not.
    pub(crate) async fn add(&self, rule: Amendment) -> bool {
        let file = self.0.clone();
        // Beside the server's own work: others may hold the lock.
        match tokio::task::spawn_blocking(move || append(&file, &rule)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(%error, "a rule that a person asked for was not written; the command is allowed once");
                false
            }
            Err(error) => {
                tracing::error!(%error, "writing a rule broke; the command is allowed once");
                false
            }
        }
    }
}

/// Why a rule was not added; the file is as it was.
#[derive(Debug, thiserror::Error)]
enum AppendError {
    #[error("failed to amend {}: it has no folder", .0.display())]
    NoFolder(PathBuf),
    #[error("failed to create {}: {source}", folder.display())]
    CreateFolder { folder: PathBuf, source: io::Error },
    #[error("failed to lock {}: {source}", folder.display())]
    Lock { folder: PathBuf, source: io::Error },
    #[error("failed to read {}: {source}", file.display())]
    Read { file: PathBuf, source: io::Error },
    /// The file is broken, before or after the change.
    #[error("failed to amend {}: {source}", file.display())]
    Broken { file: PathBuf, source: Box<LoadError> },
    #[error("failed to write {}: {source}", file.display())]
    Write { file: PathBuf, source: io::Error },
}

/// Adds a rule to a file, which is made when missing, as are its folders. A line that is there
/// already stays the only one.
///
/// Others that use this function wait; a reader sees the old file or the new one. A symlink stays one.
fn append(file: &Path, rule: &Amendment) -> Result<(), AppendError> {
    // The file behind a symlink is the one to replace.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().ok_or_else(|| AppendError::NoFolder(file.clone()))?;
    create_folder(folder)?;
    let lock_failed = |source| AppendError::Lock { folder: folder.to_owned(), source };
    // The folder is locked, not the file: the file is replaced by another one below.
    let lock = File::open(folder).map_err(lock_failed)?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|error| lock_failed(error.into()))?;

    let old = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(AppendError::Read { file, source }),
    };
    if old.lines().any(|line| line == rule.line()) {
        return Ok(());
    }
    let newline = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
    let new = format!("{old}{newline}{}\n", rule.line());
    if let Err(error) = check(&file, new.clone()) {
        return Err(AppendError::Broken { file, source: Box::new(error) });
    }
    replace(&file, folder, &new).map_err(|source| AppendError::Write { file: file.clone(), source })
}

fn create_folder(folder: &Path) -> Result<(), AppendError> {
    fs::create_dir_all(folder)
        .map_err(|source| AppendError::CreateFolder { folder: folder.to_owned(), source })
}

/// Writes a new file beside the old one and renames it over it.
fn replace(file: &Path, folder: &Path, text: &str) -> io::Result<()> {
    let mut new = tempfile::Builder::new().prefix(".amend-").tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    if let Ok(metadata) = fs::metadata(file) {
        new.as_file().set_permissions(metadata.permissions())?;
    }
    new.as_file().sync_all()?;
    new.persist(file).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn amendment(line: &str) -> Amendment {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Amendment::allow(&words).unwrap()
    }

    #[test]
    fn a_rule_is_added_once_on_a_line_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("rules/default.rules");
        append(&file, &amendment("cargo test")).unwrap();
        append(&file, &amendment("cargo test")).unwrap();
        let line = "prefix_rule(pattern=[\"cargo\", \"test\"], decision=\"allow\")\n";
        assert_eq!(fs::read_to_string(&file).unwrap(), line);
        fs::write(&file, "# mine").unwrap();
        append(&file, &amendment("cargo test")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("# mine\n{line}"));
    }

    #[test]
    fn a_broken_file_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("default.rules");
        fs::write(&file, "nonsense(").unwrap();
        assert!(matches!(append(&file, &amendment("ls")), Err(AppendError::Broken { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), "nonsense(");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_symlink_stays_one_and_permissions_stay() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("mine.rules");
        fs::write(&target, "").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        let link = root.path().join("default.rules");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        append(&link, &amendment("ls")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::read_to_string(&target).unwrap().contains("ls"));
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("rules/default.rules");
        std::thread::scope(|scope| {
            for index in 0..8 {
                let file = &file;
                scope.spawn(move || append(file, &amendment(&format!("tool{index} x"))).unwrap());
            }
        });
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 8);
    }
}
