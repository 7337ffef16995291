//! Appends lines to the logs, together with the other servers of the same user.
//!
//! Each batch is written under the logs' lock: what others wrote since is read first, so that each chain is one. A file
//! that has grown large is put aside, and the chain goes on in a new one. Each line about a run says how far the
//! decisions went, so that their end cannot be cut off unnoticed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::AuditError;
use super::event::Event;
use super::files::{Folder, Log, open};
use super::line::{self, Head, MAX_LINE};

/// How large each log may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLimits {
    /// Bytes after which a file is put aside.
    pub(super) file: u64,
    /// Files that are kept aside; older ones are removed.
    pub(super) files: usize,
}

impl Default for LogLimits {
    fn default() -> LogLimits {
        LogLimits { file: 16 << 20, files: 15 }
    }
}

/// The logs, as one server writes to them.
pub(super) struct Appender {
    folder: Folder,
    decisions: Writer,
    runs: Writer,
}

/// What became of a batch.
#[must_use]
pub(super) struct Written {
    pub(super) decisions: Result<(), AuditError>,
    pub(super) runs: Result<(), AuditError>,
}

/// One log, as one server writes to it.
struct Writer {
    log: Log,
    folder: Folder,
    limits: LogLimits,
    current: Option<Current>,
}

/// The file that is written to, as this server left it.
struct Current {
    file: File,
    length: u64,
    head: Head,
}

impl Appender {
    pub(super) fn new(folder: Folder, limits: LogLimits) -> Appender {
        let writer = |log| Writer { log, folder: folder.clone(), limits, current: None };
        Appender { decisions: writer(Log::Decisions), runs: writer(Log::Runs), folder }
    }

    /// Writes all events of each log, or none. After an error all is looked at anew the next time.
    pub(super) fn append<'a>(
        &mut self,
        events: impl Iterator<Item = (SystemTime, &'a Event)>,
    ) -> Result<Written, AuditError> {
        let (decisions, runs): (Vec<_>, Vec<_>) =
            events.partition(|(_, event)| event.log() == Log::Decisions);
        if self.decisions.current.is_none() && self.runs.current.is_none() {
            crate::private::make_private(self.folder.path())?;
        }
        let _locked = match self.folder.lock() {
            Ok(locked) => locked,
            Err(source) => {
                (self.decisions.current, self.runs.current) = (None, None);
                return Err(AuditError::Io { step: "lock", path: self.folder.path().to_owned(), source });
            }
        };
        let decisions = self.decisions.append(decisions, None);
        // Where none were written now, those of other servers count.
        let last = match runs[..] {
            [] => Ok(None),
            [_, ..] => self.decisions.last().map(Some),
        };
        let runs = last.and_then(|last| self.runs.append(runs, last));
        Ok(Written { decisions, runs })
    }
}

impl Written {
    /// The first thing that went wrong.
    #[cfg(test)]
    pub(super) fn whole(self) -> Result<(), AuditError> {
        self.decisions.and(self.runs)
    }
}

impl Writer {
    /// The number of the last line.
    fn last(&mut self) -> Result<u64, AuditError> {
        let current = self.current.take();
        let current = self.current(current)?;
        Ok(self.current.insert(current).head.number)
    }

    /// Writes all of the events, or none.
    fn append(&mut self, events: Vec<(SystemTime, &Event)>, after: Option<u64>) -> Result<(), AuditError> {
        if events.is_empty() {
            return Ok(());
        }
        let failed = |step: &'static str, writer: &Writer| {
            let path = writer.folder.newest(writer.log);
            move |source| AuditError::Io { step, path, source }
        };
        let current = self.current.take();
        let mut current = self.current(current)?;
        let mut buffer = Vec::new();
        let mut head = current.head.clone();
        for (time, event) in events {
            line::push(&mut buffer, &mut head, time, after, event)
                .map_err(|error| failed("encode a line of", self)(error.into()))?;
        }
        if current.length > 0 && current.length + buffer.len() as u64 > self.limits.file {
            current = self.rotate(current)?;
        }
        if let Err(error) = current.file.write_all(&buffer) {
            // What was not written whole was not written: nobody is told that it was.
            let _ = current.file.set_len(current.length);
            return Err(failed("write to", self)(error));
        }
        current.length += buffer.len() as u64;
        current.head = head;
        self.current = Some(current);
        Ok(())
    }

    /// The newest file with its end as it is now.
    fn current(&self, as_left: Option<Current>) -> Result<Current, AuditError> {
        let path = self.folder.newest(self.log);
        let failed = |source| AuditError::Io { step: "open", path: path.clone(), source };
        if let Some(current) = as_left {
            let ours = current.file.metadata().map_err(failed)?;
            let there = std::fs::symlink_metadata(&path).ok();
            let same = there.is_some_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
            if same && ours.len() == current.length {
                return Ok(current);
            }
        }
        let mut file =
            open(&path, OpenOptions::new().read(true).append(true).create(true)).map_err(failed)?;
        let (head, length) = match end_of(&mut file, &path)? {
            LogEnd::Line(head, length) => (head, length),
            LogEnd::Nothing => (self.head_of_old_files()?, 0),
            LogEnd::Torn { whole, torn } => {
                file.set_len(whole).map_err(failed)?;
                let head = match end_of(&mut file, &path)? {
                    LogEnd::Line(head, _) => head,
                    LogEnd::Nothing | LogEnd::Torn { .. } => self.head_of_old_files()?,
                };
                let mut current = Current { file, length: whole, head };
                current.repaired(torn).map_err(failed)?;
                return Ok(current);
            }
        };
        Ok(Current { file, length, head })
    }

    /// Where the chain stands when the newest file is empty.
    fn head_of_old_files(&self) -> Result<Head, AuditError> {
        let failed = |path: &Path, source| AuditError::Io { step: "read", path: path.to_owned(), source };
        let old = self.folder.old(self.log).map_err(|source| failed(self.folder.path(), source))?;
        let Some(newest) = old.last() else { return Ok(Head::genesis()) };
        let mut file =
            open(newest, OpenOptions::new().read(true)).map_err(|source| failed(newest, source))?;
        match end_of(&mut file, newest)? {
            LogEnd::Line(head, _) => Ok(head),
            LogEnd::Nothing | LogEnd::Torn { .. } => Err(AuditError::NotOurs(newest.clone())),
        }
    }

    /// Puts the file aside and goes on in a new one.
    fn rotate(&self, full: Current) -> Result<Current, AuditError> {
        let newest = self.folder.newest(self.log);
        let failed = |source| AuditError::Io { step: "rotate", path: newest.clone(), source };
        std::fs::rename(&newest, self.folder.aside(self.log, full.head.number)).map_err(failed)?;
        let old = self.folder.old(self.log).map_err(failed)?;
        for surplus in old.iter().take(old.len().saturating_sub(self.limits.files)) {
            std::fs::remove_file(surplus).map_err(failed)?;
        }
        let file =
            open(&newest, OpenOptions::new().read(true).append(true).create_new(true)).map_err(failed)?;
        Ok(Current { file, length: 0, head: full.head })
    }
}

impl Current {
    fn repaired(&mut self, removed_bytes: u64) -> io::Result<()> {
        let mut buffer = Vec::new();
        line::push(&mut buffer, &mut self.head, SystemTime::now(), None, &Event::Repaired { removed_bytes })?;
        self.file.write_all(&buffer)?;
        self.length += buffer.len() as u64;
        Ok(())
    }
}

/// How a file ends.
enum LogEnd {
    /// There is nothing in it.
    Nothing,
    /// With a whole line.
    Line(Head, u64),
    /// In the middle of a line.
    Torn { whole: u64, torn: u64 },
}

fn end_of(file: &mut File, path: &Path) -> Result<LogEnd, AuditError> {
    let failed = |source| AuditError::Io { step: "read", path: path.to_owned(), source };
    let length = file.metadata().map_err(failed)?.len();
    let from = length.saturating_sub(2 * MAX_LINE as u64);
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    let mut tail = Vec::new();
    file.take(2 * MAX_LINE as u64).read_to_end(&mut tail).map_err(failed)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let torn = (tail.len() - whole) as u64;
    if tail.is_empty() {
        return Ok(LogEnd::Nothing);
    }
    if torn > 0 {
        // Where there is no newline in all of this, it is not a line of ours that broke off.
        let ours = whole > 0 || from == 0;
        return if ours { Ok(LogEnd::Torn { whole: length - torn, torn }) } else { Err(not_ours(path)) };
    }
    let lines = tail.get(..whole - 1).unwrap_or_default();
    let last = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Head::after(last).map(|head| LogEnd::Line(head, length)).ok_or_else(|| not_ours(path))
}

fn not_ours(path: &Path) -> AuditError {
    AuditError::NotOurs(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::verify::verify_folder;

    const SMALL: LogLimits = LogLimits { file: 1000, files: 3 };

    fn log(limits: LogLimits) -> (tempfile::TempDir, Folder, Appender) {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(home.path());
        let appender = Appender::new(folder.clone(), limits);
        (home, folder, appender)
    }

    fn append(appender: &mut Appender, decisions: u64) {
        let event = Event::Lost { decisions };
        let events = [(SystemTime::now(), &event)].into_iter();
        appender.append(events).and_then(Written::whole).expect("written");
    }

    fn newest(folder: &Folder) -> String {
        std::fs::read_to_string(folder.newest(Log::Decisions)).expect("a file")
    }

    #[test]
    fn servers_share_one_chain() {
        let (_home, folder, mut first) = log(LogLimits::default());
        let mut second = Appender::new(folder.clone(), LogLimits::default());
        for round in 0..3 {
            append(&mut first, round);
            append(&mut second, round);
        }
        let intact = verify_folder(&folder).expect("intact").decisions;
        assert_eq!((intact.lines, intact.files), (6, 1));
    }

    #[test]
    fn many_threads_write_one_chain_through_rotations() {
        let (_home, folder, _) = log(SMALL);
        let limits = LogLimits { file: 2000, files: 1000 };
        let mut writers: Vec<_> = (0..4).map(|_| Appender::new(folder.clone(), limits)).collect();
        std::thread::scope(|scope| {
            for writer in &mut writers {
                scope.spawn(|| (0..50).for_each(|round| append(writer, round)));
            }
        });
        let intact = verify_folder(&folder).expect("intact").decisions;
        assert_eq!((intact.lines, intact.first), (200, 1));
        assert!(intact.files > 10, "{} files", intact.files);
    }

    #[test]
    fn the_chain_goes_on_through_rotation_and_only_the_oldest_files_go() {
        let (_home, folder, mut appender) = log(SMALL);
        for round in 0..60 {
            append(&mut appender, round);
        }
        assert_eq!(folder.all(Log::Decisions).expect("listed").len(), 4);
        let intact = verify_folder(&folder).expect("intact").decisions;
        assert_eq!(intact.last, 60);
        assert_eq!(intact.first, 60 - intact.lines + 1);
        assert!(intact.first > 1);
        for file in folder.all(Log::Decisions).expect("listed") {
            let metadata = file.metadata().expect("there");
            assert_eq!(metadata.mode() & 0o7777, 0o600);
            assert!(metadata.len() <= SMALL.file, "{} bytes", metadata.len());
        }
        // A crash between putting the file aside and beginning a new one.
        std::fs::rename(folder.newest(Log::Decisions), folder.aside(Log::Decisions, 60)).expect("renamed");
        append(&mut Appender::new(folder.clone(), SMALL), 0);
        assert_eq!(verify_folder(&folder).expect("intact").decisions.last, 61);
    }

    #[test]
    fn a_torn_line_is_removed_and_that_is_recorded() {
        for lines in [0, 1, 2] {
            let (_home, folder, mut appender) = log(LogLimits::default());
            crate::private::make_private(folder.path()).expect("made");
            (0..lines).for_each(|round| append(&mut appender, round));
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(folder.newest(Log::Decisions))
                .expect("opened");
            file.write_all(b"{\"n\":3,\"prev").expect("torn");
            append(&mut appender, 7);
            assert_eq!(verify_folder(&folder).expect("intact").decisions.lines, lines + 2);
            assert!(
                newest(&folder).contains("\"event\":\"repaired\",\"removed_bytes\":12"),
                "{}",
                newest(&folder)
            );
        }
    }

    #[test]
    fn a_removed_log_begins_anew() {
        let (_home, folder, mut appender) = log(LogLimits::default());
        append(&mut appender, 1);
        std::fs::remove_dir_all(folder.path()).expect("removed");
        let event = Event::Lost { decisions: 2 };
        let events = [(SystemTime::now(), &event)].into_iter();
        assert!(appender.append(events).and_then(Written::whole).is_err());
        append(&mut appender, 3);
        assert_eq!(verify_folder(&folder).expect("intact").decisions.lines, 1);
    }

    #[test]
    fn a_log_that_ends_in_something_else_is_not_continued() {
        let (_home, folder, mut appender) = log(LogLimits::default());
        append(&mut appender, 1);
        std::fs::write(folder.newest(Log::Decisions), "not ours\n").expect("written");
        let event = Event::Lost { decisions: 1 };
        let events = [(SystemTime::now(), &event)].into_iter();
        let error = appender.append(events).and_then(Written::whole).expect_err("refused");
        assert!(matches!(error, AuditError::NotOurs(_)), "{error}");
        std::fs::remove_file(folder.newest(Log::Decisions)).expect("removed");
        append(&mut appender, 2);
    }
}
