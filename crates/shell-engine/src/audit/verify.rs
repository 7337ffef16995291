//! Checks the chain: every line carries the hash of the one before it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::files::{Folder, open};
use super::line::{HashLink, Head, MAX_LINE, hash};

/// What an intact log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intact {
    /// Files.
    pub files: usize,
    /// Lines in them.
    pub lines: u64,
    /// The first line's number; not 1 when rotation removed older files.
    pub first: u64,
    /// The last line's number.
    pub last: u64,
    /// The last line's hash. Who keeps it elsewhere can tell later whether the log was cut or written anew.
    pub head: String,
}

/// Why a log is not known to be intact.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nothing was recorded so far.
    #[error("there is no audit log in {}", .0.display())]
    Nothing(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A line is not what it must be.
    #[error("{}:{}: {}", .0.file.display(), .0.line, .0.problem)]
    Broken(Box<Fault>),
    /// The line that somebody kept the hash of is not there.
    #[error(
        "the chain is unbroken, but no line has the hash {0}: the log was cut or written anew, or rotation removed the line"
    )]
    NoSuchLine(String),
}

/// The first line that is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its file.
    pub file: PathBuf,
    /// Its number in the file, from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: String,
}

/// Checks the log of the user whose rules are below `codex_home`; with `expected`, also that a line with this hash is
/// in it.
///
/// # Errors
///
/// When the log is not intact; the error names the first line that is wrong.
pub fn verify(codex_home: &Path, expected: Option<&str>) -> Result<Intact, VerifyError> {
    check(&Folder::of(codex_home), expected)
}

#[cfg(test)]
pub(super) fn verify_folder(folder: &Folder) -> Result<Intact, VerifyError> {
    check(folder, None)
}

fn check(folder: &Folder, expected: Option<&str>) -> Result<Intact, VerifyError> {
    let mut chain = Chain { first: None, head: None, lines: 0, found: false };
    let files = snapshot(folder)?;
    for file in &files {
        chain.check(file, expected)?;
    }
    let (Some(first), Some(head)) = (chain.first, chain.head) else {
        return Err(VerifyError::Nothing(folder.path().to_owned()));
    };
    if let Some(expected) = expected.filter(|_| !chain.found) {
        return Err(VerifyError::NoSuchLine(expected.to_owned()));
    }
    Ok(Intact { files: files.len(), lines: chain.lines, first, last: head.number, head: head.hash })
}

/// A file as it was at one moment.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) length: u64,
}

/// All files, oldest first, as they are together at one moment. Servers go on writing afterwards.
pub(super) fn snapshot(folder: &Folder) -> Result<Vec<Opened>, VerifyError> {
    let failed = |path: &Path, source| VerifyError::Io { path: path.to_owned(), source };
    if !folder.path().exists() {
        return Err(VerifyError::Nothing(folder.path().to_owned()));
    }
    let _locked = folder.lock().map_err(|source| failed(folder.path(), source))?;
    let paths = folder.all().map_err(|source| failed(folder.path(), source))?;
    let opened = paths.into_iter().map(|path| {
        let file = open(&path, OpenOptions::new().read(true)).map_err(|source| failed(&path, source))?;
        let length = file.metadata().map_err(|source| failed(&path, source))?.len();
        Ok(Opened { path, file, length })
    });
    opened.collect()
}

impl Opened {
    /// Calls `each` with every line and its number from 1. A line that is cut off, or endless, comes as an error's
    /// text.
    pub(super) fn lines<E: From<VerifyError>>(
        &self,
        mut each: impl FnMut(u64, Result<&[u8], &'static str>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = BufReader::new((&self.file).take(self.length));
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let length = (&mut reader)
                .take(MAX_LINE as u64)
                .read_until(b'\n', &mut line)
                .map_err(|source| VerifyError::Io { path: self.path.clone(), source })?;
            if length == 0 {
                break;
            }
            match line.strip_suffix(b"\n") {
                Some(line) => each(number, Ok(line))?,
                None if length < MAX_LINE => each(number, Err("the line is cut off"))?,
                None => {
                    each(number, Err("the line is longer than any line of the log"))?;
                    break;
                }
            }
        }
        Ok(())
    }
}

struct Chain {
    first: Option<u64>,
    head: Option<Head>,
    lines: u64,
    found: bool,
}

impl Chain {
    fn check(&mut self, file: &Opened, expected: Option<&str>) -> Result<(), VerifyError> {
        file.lines(|number, line| {
            let hash = line.map_err(str::to_owned).and_then(|line| self.follow(line)).map_err(|problem| {
                VerifyError::Broken(Box::new(Fault { file: file.path.clone(), line: number, problem }))
            })?;
            self.found |= expected.is_some_and(|expected| expected.eq_ignore_ascii_case(&hash));
            Ok(())
        })
    }

    /// One more line; gives its hash.
    fn follow(&mut self, line: &[u8]) -> Result<String, String> {
        let link: HashLink =
            serde_json::from_slice(line).map_err(|error| format!("not a line of the log ({error})"))?;
        let genesis = Head::genesis();
        match &self.head {
            Some(head) if link.previous != head.hash => {
                return Err("the line before it is not the one that was there when it was written".to_owned());
            }
            Some(head) if link.n != head.number + 1 => {
                return Err(format!("it is number {}, after number {}", link.n, head.number));
            }
            None if link.n == 1 && link.previous != genesis.hash => {
                return Err("it is number 1, but claims that there was one before it".to_owned());
            }
            Some(_) | None => {}
        }
        let hash = hash(line);
        self.first.get_or_insert(link.n);
        self.head = Some(Head { number: link.n, hash: hash.clone() });
        self.lines += 1;
        Ok(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::append::{Appender, LogLimits};
    use crate::audit::event::Event;
    use std::time::SystemTime;

    fn log(lines: u64) -> (tempfile::TempDir, Folder) {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(home.path());
        let mut appender = Appender::new(folder.clone(), LogLimits { file: 1000, files: 9 });
        for decisions in 0..lines {
            appender.append([(SystemTime::now(), &Event::Lost { decisions })].into_iter()).expect("written");
        }
        (home, folder)
    }

    fn fault(folder: &Folder) -> (PathBuf, u64, String) {
        match check(folder, None) {
            Err(VerifyError::Broken(fault)) => (fault.file, fault.line, fault.problem),
            other => panic!("not broken: {other:?}"),
        }
    }

    /// Replaces the first file's text by what `change` makes of its lines.
    fn tamper(folder: &Folder, change: impl FnOnce(&mut Vec<String>)) -> PathBuf {
        let path = folder.all().expect("listed").remove(0);
        let text = std::fs::read_to_string(&path).expect("read");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>())
            .expect("written");
        path
    }

    #[test]
    fn a_changed_removed_swapped_or_added_line_is_found() {
        let (_home, folder) = log(5);
        assert_eq!(check(&folder, None).expect("intact").lines, 5);
        let path = tamper(&folder, |lines| lines[1] = lines[1].replace("\"decisions\":1", "\"decisions\":8"));
        assert!(matches!(fault(&folder), (file, 3, _) if file == path));
        for change in [
            |lines: &mut Vec<String>| drop(lines.remove(2)),
            |lines: &mut Vec<String>| lines.swap(2, 3),
            |lines: &mut Vec<String>| lines.insert(2, lines[1].clone()),
        ] {
            let (_home, folder) = log(5);
            let path = tamper(&folder, change);
            assert!(matches!(fault(&folder), (file, 3, _) if file == path));
        }
    }

    #[test]
    fn a_removed_file_is_found_unless_it_is_the_oldest() {
        let (_home, folder) = log(20);
        let files = folder.all().expect("listed");
        assert!(files.len() > 3);
        std::fs::remove_file(&files[0]).expect("removed");
        assert!(check(&folder, None).expect("as after a rotation").first > 1);
        std::fs::remove_file(&files[2]).expect("removed");
        assert!(matches!(fault(&folder), (file, 1, _) if file == files[3]));
    }

    #[test]
    fn a_kept_hash_shows_that_the_end_was_cut() {
        let (_home, folder) = log(5);
        let kept = check(&folder, None).expect("intact").head;
        assert!(check(&folder, Some(&kept)).is_ok());
        tamper(&folder, |lines| drop(lines.pop()));
        assert!(check(&folder, None).is_ok());
        assert!(matches!(check(&folder, Some(&kept)), Err(VerifyError::NoSuchLine(_))));
    }

    #[test]
    fn junk_is_named_and_no_log_is_no_intact_log() {
        let (_home, folder) = log(2);
        let path = tamper(&folder, |lines| lines.push("junk".to_owned()));
        assert!(
            matches!(fault(&folder), (file, 3, problem) if file == path && problem.starts_with("not a line"))
        );
        std::fs::write(&path, vec![b'x'; 2 * MAX_LINE]).expect("written");
        assert!(matches!(fault(&folder), (_, 1, problem) if problem.contains("longer")));
        let nowhere = tempfile::tempdir().expect("a folder");
        assert!(matches!(verify(nowhere.path(), None), Err(VerifyError::Nothing(_))));
    }
}
