//! The files that long outputs are kept in, and the bytes that all of them may have together.
//!
//! The files have no names (`O_TMPFILE`, or unlinked at once where the file system has no such thing): nobody else can
//! open them, and however the server ends, nothing of them is left behind.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::SpoolLimits;

/// The name of our folder in the user's cache folder.
const FOLDER: &str = "shell-tool-mcp";

/// Forgets the oldest finished output. `false`: there is none.
type MakeRoom = Box<dyn Fn() -> bool + Send + Sync>;

/// The bytes that outputs may take in files.
pub(super) struct Space {
    per_output: u64,
    total: u64,
    used: AtomicU64,
    make_room: MakeRoom,
}

/// A part of the space; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    space: Arc<Space>,
    bytes: u64,
}

impl Space {
    /// As much space as these limits give, nothing of it taken.
    pub(super) fn new(limits: SpoolLimits, make_room: MakeRoom) -> Space {
        let per_output = limits.per_output.max(2);
        Space { per_output, total: limits.total, used: AtomicU64::new(0), make_room }
    }

    /// Bytes that are kept of one output at most.
    pub(super) fn per_output(&self) -> u64 {
        self.per_output
    }

    /// A file without a name, and its part of the space.
    pub(super) fn new_file(self: &Arc<Space>) -> io::Result<(File, Reservation)> {
        let file = match cache_folder() {
            Some(folder) => tempfile::tempfile_in(folder).or_else(|_| tempfile::tempfile())?,
            None => tempfile::tempfile()?,
        };
        Ok((file, Reservation { space: Arc::clone(self), bytes: 0 }))
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Space {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Space").field("used", &self.used).finish_non_exhaustive()
    }
}

impl Reservation {
    /// Makes the part at least so large, at the cost of the oldest finished outputs.
    pub(super) fn cover(&mut self, bytes: u64) -> io::Result<()> {
        let more = bytes.saturating_sub(self.bytes);
        let Space { used, total, make_room, .. } = &*self.space;
        let taken = |used: u64| used.checked_add(more).filter(|used| used <= total);
        while used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_err() {
            if !make_room() {
                return Err(io::Error::other(format!(
                    "the limit of {total} bytes for all kept outputs is reached"
                )));
            }
        }
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.space.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Our folder in the user's cache folder, which is usually on a disk; folders for temporary files are often in memory.
fn cache_folder() -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(absolute)
        .or_else(|| home_folder::find().filter(absolute).map(|home| home.join(".cache")))?;
    let folder = cache.join(FOLDER);
    private_folder(&folder).ok().map(|()| folder)
}

fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
