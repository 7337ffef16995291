//! What holds a protected name that does not exist while a session lives, and how it is recognised.
//!
//! Placeholders carry a mark, their time of modification, so that a second session recognises those of a first, or of
//! one that could not clean up, and does not take them for the user's. Making and removing them is the guard's work.

use crate::plan::Placeholder;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Seconds since 1970 (2001-09-09 01:46:40 UTC): even, so that file systems that count in twos keep it.
pub(crate) const MARK_SECONDS: i64 = 1_000_000_000;

/// Tells whether what is at a path is a placeholder: marked, and still as it was made.
pub(crate) fn is_placeholder(path: &Path, placeholder: &Placeholder) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    if metadata.mtime() != MARK_SECONDS {
        return false;
    }
    match placeholder {
        Placeholder::Folder | Placeholder::SocketFolder(_) => {
            metadata.is_dir() && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
        }
        Placeholder::FileHolding(text) => {
            let as_long = usize::try_from(metadata.len()).is_ok_and(|length| length == text.len());
            metadata.is_file() && as_long && fs::read(path).is_ok_and(|found| found == text.as_bytes())
        }
    }
}
