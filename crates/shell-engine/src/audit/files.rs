//! The two logs and their files: for each one that is written to, and older ones that rotation put aside; and the lock
//! that servers share.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::AuditError;

/// One of the two logs. Each has a chain of its own, so that what happens often never rotates away what matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// What left the sandbox, was asked about or was refused.
    Decisions,
    /// What simply ran inside.
    Runs,
}

impl Log {
    pub(super) const ALL: [Log; 2] = [Log::Decisions, Log::Runs];

    /// Its files' name.
    fn name(self) -> &'static str {
        match self {
            Log::Decisions => "decisions",
            Log::Runs => "runs",
        }
    }
}

/// The folder of the logs.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The logs of the user whose rules are below `codex_home`.
    pub(super) fn of(codex_home: &Path) -> Folder {
        Folder(crate::private::state_folder(codex_home).join("audit"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The file that is written to.
    pub(super) fn newest(&self, log: Log) -> PathBuf {
        self.0.join(format!("{}.jsonl", log.name()))
    }

    /// The name of a file that rotation puts aside, by its last line's number: their order is the names' order.
    pub(super) fn aside(&self, log: Log, last: u64) -> PathBuf {
        self.0.join(format!("{}-{last:020}.jsonl", log.name()))
    }

    /// The files that rotation put aside, oldest first.
    pub(super) fn old(&self, log: Log) -> io::Result<Vec<PathBuf>> {
        let mut old = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(log.name())?.strip_prefix('-'));
            let number = rest.and_then(|rest| rest.strip_suffix(".jsonl"));
            if number
                .is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            {
                old.push(self.0.join(name));
            }
        }
        old.sort();
        Ok(old)
    }

    /// All files, oldest first.
    pub(super) fn all(&self, log: Log) -> io::Result<Vec<PathBuf>> {
        let mut all = self.old(log)?;
        let newest = self.newest(log);
        if newest.try_exists()? {
            all.push(newest);
        }
        Ok(all)
    }

    /// Waits until no other server writes; until the guard is dropped, none does.
    pub(super) fn lock(&self) -> io::Result<Locked> {
        let file =
            open(&self.0.join("lock"), std::fs::OpenOptions::new().create(true).write(true).truncate(false))?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Locked(file)),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
/// Makes sure that the log of this user could be written, without writing to it.
///
/// # Errors
///
/// Why not.
pub fn check_writable(codex_home: &Path) -> Result<PathBuf, AuditError> {
    let folder = Folder::of(codex_home).0;
    crate::private::make_private(&folder)?;
    match tempfile::tempfile_in(&folder) {
        Ok(_) => Ok(folder),
        Err(source) => Err(AuditError::Io { step: "write in", path: folder, source }),
    }
}

/// The right to write.
#[derive(Debug)]
pub(super) struct Locked(File);

impl Drop for Locked {
    /// Closing would not do: a program that is being started right now may still hold a copy of the descriptor.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Opens a file of the log, for its owner alone; not what a link points to.
pub(super) fn open(path: &Path, options: &mut std::fs::OpenOptions) -> io::Result<File> {
    let file = options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    Ok(file)
}
