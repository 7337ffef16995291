//! Checks the chains: every line carries the hash of the one before it; and whether decisions are missing.

use std::path::PathBuf;

use super::event::Event;
use super::files::{Folder, Log};
use super::line::{HashLink, Head, Line, hash};
use super::read::{Lines, ReadError, snapshot};

/// What unbroken logs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intact {
    /// The log of what left the sandbox, was asked about or was refused.
    pub decisions: Extent,
    /// The log of what simply ran inside.
    pub runs: Extent,
    /// Decisions that are known to have been made and are not there, a sentence each.
    pub missing: Vec<String>,
}

/// How much of one log there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Files.
    pub files: usize,
    /// Lines in them.
    pub lines: u64,
    /// The first line's number; not 1 when rotation removed older files, 0 when there is none.
    pub first: u64,
    /// The last line's number; 0 when there is none.
    pub last: u64,
    /// The last line's hash. Who keeps it elsewhere can tell later whether the log was cut or written anew.
    pub head: String,
}

/// Why a log is not known to be intact.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
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

/// Checks the logs of the user whose rules are below `codex_home`; with `expected`, also that a line with this hash is
/// in one of them.
///
/// # Errors
///
/// When a log is not intact; the error names the first line that is wrong.
pub fn verify(codex_home: &std::path::Path, expected: Option<&str>) -> Result<Intact, VerifyError> {
    check(&Folder::of(codex_home), expected)
}

#[cfg(test)]
pub(super) fn verify_folder(folder: &Folder) -> Result<Intact, VerifyError> {
    check(folder, None)
}

fn check(folder: &Folder, expected: Option<&str>) -> Result<Intact, VerifyError> {
    let [decisions, runs] = snapshot(folder, Log::ALL)?;
    let decisions = Chain::check(decisions, expected)?;
    let runs = Chain::check(runs, expected)?;
    if decisions.head.is_none() && runs.head.is_none() {
        return Err(ReadError::Nothing(folder.path().to_owned()).into());
    }
    if let Some(expected) = expected.filter(|_| !decisions.found && !runs.found) {
        return Err(VerifyError::NoSuchLine(expected.to_owned()));
    }
    let missing = missing(&decisions, &runs);
    Ok(Intact { decisions: decisions.extent(), runs: runs.extent(), missing })
}

fn missing(decisions: &Chain, runs: &Chain) -> Vec<String> {
    let Extent { first, last, .. } = decisions.extent();
    let rotated = (first > 1).then(|| format!("the decisions before line {first} were rotated away"));
    let cut = (runs.after > last).then(|| {
        format!("the decisions end at line {last}, but programs ran after line {} was written", runs.after)
    });
    let lost = (decisions.lost > 0).then(|| format!("{} decisions could not be written", decisions.lost));
    rotated.into_iter().chain(cut).chain(lost).collect()
}

#[derive(Default)]
struct Chain {
    files: usize,
    first: u64,
    head: Option<Head>,
    lines: u64,
    found: bool,
    /// The last line of decisions that a run was recorded after.
    after: u64,
    /// Decisions that it says could not be written.
    lost: u64,
}

impl Chain {
    fn check(lines: Lines, expected: Option<&str>) -> Result<Chain, VerifyError> {
        let mut chain = Chain { files: lines.files(), ..Chain::default() };
        for line in lines {
            let line = line?;
            let followed = line.text.map_err(str::to_owned).and_then(|text| chain.follow(&text));
            let hash = followed.map_err(|problem| {
                VerifyError::Broken(Box::new(Fault { file: line.file, line: line.number, problem }))
            })?;
            chain.found |= expected.is_some_and(|expected| expected.eq_ignore_ascii_case(&hash));
        }
        Ok(chain)
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
        if self.head.is_none() {
            self.first = link.n;
        }
        self.head = Some(Head { number: link.n, hash: hash.clone() });
        self.lines += 1;
        self.after = self.after.max(link.after.unwrap_or_default());
        const LOST: &[u8] = br#""event":"lost","#;
        if line.windows(LOST.len()).any(|part| part == LOST)
            && let Ok(Line { event: Event::Lost { decisions }, .. }) = serde_json::from_slice(line)
        {
            self.lost = self.lost.saturating_add(decisions);
        }
        Ok(hash)
    }

    fn extent(&self) -> Extent {
        let (last, head) = self.head.clone().map(|head| (head.number, head.hash)).unwrap_or_default();
        Extent { files: self.files, lines: self.lines, first: self.first, last, head }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::append::{Appender, LogLimits, Written};
    use crate::audit::event::{ActionKind, Decision};
    use crate::audit::line::MAX_LINE;
    use std::time::SystemTime;

    fn log(lines: u64) -> (tempfile::TempDir, Folder) {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(home.path());
        let mut appender = Appender::new(folder.clone(), LogLimits { file: 1000, files: 9 });
        for decisions in 0..lines {
            let event = Event::Started { version: decisions.to_string(), sandbox: None };
            let events = [(SystemTime::now(), &event)].into_iter();
            appender.append(events).and_then(Written::whole).expect("written");
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
        let path = folder.all(Log::Decisions).expect("listed").remove(0);
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
        assert_eq!(check(&folder, None).expect("intact").decisions.lines, 5);
        let path =
            tamper(&folder, |lines| lines[1] = lines[1].replace("\"version\":\"1\"", "\"version\":\"8\""));
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
        let files = folder.all(Log::Decisions).expect("listed");
        assert!(files.len() > 3);
        std::fs::remove_file(&files[0]).expect("removed");
        assert!(check(&folder, None).expect("as after a rotation").decisions.first > 1);
        std::fs::remove_file(&files[2]).expect("removed");
        assert!(matches!(fault(&folder), (file, 1, _) if file == files[3]));
    }

    #[test]
    fn a_kept_hash_shows_that_the_end_was_cut() {
        let (_home, folder) = log(5);
        let kept = check(&folder, None).expect("intact").decisions.head;
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
        assert!(matches!(verify(nowhere.path(), None), Err(VerifyError::Read(ReadError::Nothing(_)))));
    }

    fn run() -> Event {
        Event::Decision(Box::new(Decision {
            call: "1".into(),
            exec: 1,
            parent: None,
            decision: ActionKind::Run,
            program: "/bin/true".into(),
            argv: Vec::new(),
            cut: None,
            cwd: "/".into(),
            rule: None,
            asked: None,
            reason: None,
            rights: None,
        }))
    }

    #[test]
    fn decisions_that_are_missing_are_named() {
        let missing = |folder: &Folder| check(folder, None).expect("unbroken").missing;
        let append = |folder: &Folder, event: &Event| {
            let mut appender = Appender::new(folder.clone(), LogLimits { file: 1000, files: 9 });
            appender
                .append([(SystemTime::now(), event)].into_iter())
                .and_then(Written::whole)
                .expect("written");
        };
        let (_home, folder) = log(4);
        append(&folder, &run());
        assert_eq!(missing(&folder), [""; 0]);
        let files = folder.all(Log::Decisions).expect("listed");
        // The end is cut off, in a way that leaves a chain.
        let text = std::fs::read_to_string(files.last().expect("one")).expect("read");
        let shorter = text.trim_end().rsplit_once('\n').map_or("", |(before, _)| before);
        std::fs::write(files.last().expect("one"), format!("{shorter}\n")).expect("written");
        let said = missing(&folder);
        assert!(matches!(&said[..], [one] if one.contains("programs ran after line 4")), "{said:?}");

        let (_home, folder) = log(20);
        std::fs::remove_file(&folder.all(Log::Decisions).expect("listed")[0]).expect("removed");
        let said = missing(&folder);
        assert!(matches!(&said[..], [one] if one.ends_with("were rotated away")), "{said:?}");

        let (_home, folder) = log(1);
        append(&folder, &Event::Lost { decisions: 3 });
        assert_eq!(missing(&folder), ["3 decisions could not be written"]);
        // Runs may be missing: none of them gave a right.
        let (_home, folder) = log(1);
        append(&folder, &Event::LostRuns { runs: 3 });
        assert_eq!(missing(&folder), [""; 0]);
    }
}
