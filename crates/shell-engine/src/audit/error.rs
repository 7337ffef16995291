//! Why a decision cannot be put on record.

use std::io;
use std::path::PathBuf;

use crate::private::PrivateFolderError;
use crate::user_command::user_command;

/// Why something could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There is no place for the log.
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    /// A step failed: the disk is full, for example.
    #[error("cannot {step} {}", path.display())]
    Io {
        /// Which step.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The log does not end in a line that the chain could go on from.
    #[error(
        "{} does not end in a line of the audit log; look at it with `{} audit verify`, and move it away to begin a new log",
        .0.display(), user_command()
    )]
    NotOurs(PathBuf),
    /// The log did not take the line in time.
    #[error("the audit log did not take the line in time; another process may hold its lock")]
    TooSlow,
    /// Too much is waiting to be written.
    #[error("too much is waiting to be written to the audit log")]
    Full,
    /// There is no thread that writes.
    #[error("the audit log's thread is not running")]
    NoThread,
}
