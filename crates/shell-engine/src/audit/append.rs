//! Appends lines to the log, together with the other servers of the same user.
//!
//! Each batch is written under the log's lock: what others wrote since is read first, so that the chain is one. A file
//! that has grown large is put aside, and the chain goes on in a new one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::AuditError;
use super::event::Event;
use super::files::{Folder, open};
use super::line::{self, Head, MAX_LINE};

/// How large the log may become: about half a million decisions.
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

/// The log, as one server writes to it.
pub(super) struct Appender {
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
        Appender { folder, limits, current: None }
    }

    /// Writes all of the events, or none. After an error all is looked at anew the next time.
    pub(super) fn append<'a>(
        &mut self,
        events: impl Iterator<Item = (SystemTime, &'a Event)>,
    ) -> Result<(), AuditError> {
        let current = self.current.take();
        if current.is_none() {
            crate::private::make_private(self.folder.path())?;
        }
        let failed = |step: &'static str, folder: &Folder| {
            let path = folder.newest();
            move |source| AuditError::Io { step, path, source }
        };
        let _locked = self.folder.lock().map_err(failed("lock", &self.folder))?;
        let mut current = self.current(current)?;
        let mut buffer = Vec::new();
        let mut head = current.head.clone();
        for (time, event) in events {
            line::push(&mut buffer, &mut head, time, event)
                .map_err(|error| failed("encode a line of", &self.folder)(error.into()))?;
        }
        if current.length > 0 && current.length + buffer.len() as u64 > self.limits.file {
            current = self.rotate(current)?;
        }
        if let Err(error) = current.file.write_all(&buffer) {
            // What was not written whole was not written: nobody is told that it was.
            let _ = current.file.set_len(current.length);
            return Err(failed("write to", &self.folder)(error));
        }
        current.length += buffer.len() as u64;
        current.head = head;
        self.current = Some(current);
        Ok(())
    }

    /// The newest file with its end as it is now.
    fn current(&self, as_left: Option<Current>) -> Result<Current, AuditError> {
        let path = self.folder.newest();
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
        let old = self.folder.old().map_err(|source| failed(self.folder.path(), source))?;
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
        let newest = self.folder.newest();
        let failed = |source| AuditError::Io { step: "rotate", path: newest.clone(), source };
        std::fs::rename(&newest, self.folder.aside(full.head.number)).map_err(failed)?;
        let old = self.folder.old().map_err(failed)?;
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
        line::push(&mut buffer, &mut self.head, SystemTime::now(), &Event::Repaired { removed_bytes })?;
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
        appender.append([(SystemTime::now(), &Event::Lost { decisions })].into_iter()).expect("written");
    }

    fn newest(folder: &Folder) -> String {
        std::fs::read_to_string(folder.newest()).expect("a file")
    }

    #[test]
    fn servers_share_one_chain() {
        let (_home, folder, mut first) = log(LogLimits::default());
        let mut second = Appender::new(folder.clone(), LogLimits::default());
        for round in 0..3 {
            append(&mut first, round);
            append(&mut second, round);
        }
        let intact = verify_folder(&folder).expect("intact");
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
        let intact = verify_folder(&folder).expect("intact");
        assert_eq!((intact.lines, intact.first), (200, 1));
        assert!(intact.files > 10, "{} files", intact.files);
    }

    #[test]
    fn the_chain_goes_on_through_rotation_and_only_the_oldest_files_go() {
        let (_home, folder, mut appender) = log(SMALL);
        for round in 0..60 {
            append(&mut appender, round);
        }
        assert_eq!(folder.all().expect("listed").len(), 4);
        let intact = verify_folder(&folder).expect("intact");
        assert_eq!(intact.last, 60);
        assert_eq!(intact.first, 60 - intact.lines + 1);
        assert!(intact.first > 1);
        for file in folder.all().expect("listed") {
            let metadata = file.metadata().expect("there");
            assert_eq!(metadata.mode() & 0o7777, 0o600);
            assert!(metadata.len() <= SMALL.file, "{} bytes", metadata.len());
        }
        // A crash between putting the file aside and beginning a new one.
        std::fs::rename(folder.newest(), folder.aside(60)).expect("renamed");
        append(&mut Appender::new(folder.clone(), SMALL), 0);
        assert_eq!(verify_folder(&folder).expect("intact").last, 61);
    }

    #[test]
    fn a_torn_line_is_removed_and_that_is_recorded() {
        for lines in [0, 1, 2] {
            let (_home, folder, mut appender) = log(LogLimits::default());
            crate::private::make_private(folder.path()).expect("made");
            (0..lines).for_each(|round| append(&mut appender, round));
            let mut file =
                OpenOptions::new().append(true).create(true).open(folder.newest()).expect("opened");
            file.write_all(b"{\"n\":3,\"prev").expect("torn");
            append(&mut appender, 7);
            assert_eq!(verify_folder(&folder).expect("intact").lines, lines + 2);
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
        assert!(appender.append([(SystemTime::now(), &event)].into_iter()).is_err());
        append(&mut appender, 3);
        assert_eq!(verify_folder(&folder).expect("intact").lines, 1);
    }

    #[test]
    fn a_log_that_ends_in_something_else_is_not_continued() {
        let (_home, folder, mut appender) = log(LogLimits::default());
        append(&mut appender, 1);
        std::fs::write(folder.newest(), "not ours\n").expect("written");
        let event = Event::Lost { decisions: 1 };
        let error = appender.append([(SystemTime::now(), &event)].into_iter()).expect_err("refused");
        assert!(matches!(error, AuditError::NotOurs(_)), "{error}");
        std::fs::remove_file(folder.newest()).expect("removed");
        append(&mut appender, 2);
    }
}
