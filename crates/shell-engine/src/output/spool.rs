//! The files that long outputs are kept in, their bounds, and the outputs that can still be asked for.
//!
//! The files have no names (`O_TMPFILE`, or unlinked at once where the file system has no such thing): nobody else can open
//! them, and however the server ends, nothing of them is left behind.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::recording::Recording;
use crate::config::SpoolLimits;

/// The name of our folder in the user's cache folder.
const FOLDER: &str = "shell-tool-mcp";

/// Where outputs are kept. Clones are the same spool.
#[derive(Clone, Debug)]
pub struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limits: SpoolLimits,
    /// Tells this server's outputs from another's, so that an agent that outlives a server does not get a stranger's, and
    /// nobody guesses them.
    prefix: String,
    next: AtomicU64,
    used: AtomicU64,
    kept: Mutex<VecDeque<Recording>>,
}

impl Spool {
    /// An empty spool.
    #[must_use]
    pub fn new(limits: SpoolLimits) -> Spool {
        // The system's random numbers, through a hash that does not give them away.
        let random = RandomState::new().hash_one(std::process::id());
        let prefix = format!("{:012x}", random & 0xffff_ffff_ffff);
        let inner = Inner {
            limits,
            prefix,
            next: AtomicU64::new(1),
            used: AtomicU64::new(0),
            kept: Mutex::default(),
        };
        Spool { inner: Arc::new(inner) }
    }

    /// Begins a new output, with an id of its own.
    pub(super) fn begin(&self) -> Recording {
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        Recording::new(format!("{}-{number}", self.inner.prefix), self.clone())
    }

    /// Lets this output be asked for by its id from now on.
    pub fn keep(&self, recording: &Recording) {
        recording.move_to_file();
        let mut kept = self.kept();
        kept.retain(|other| other.id() != recording.id());
        while kept.len() >= self.inner.limits.outputs.max(1) {
            let oldest = kept.iter().position(|recording| !recording.is_open()).unwrap_or(0);
            kept.remove(oldest);
        }
        kept.push_back(recording.clone());
    }

    /// The output with this id, if it is kept.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Recording> {
        self.kept().iter().find(|recording| recording.id() == id).cloned()
    }

    /// What is kept, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Recording> {
        self.kept().iter().cloned().collect()
    }

    pub(super) fn bytes_per_output(&self) -> u64 {
        self.inner.limits.per_output.max(2)
    }

    /// A file without a name, and its part of the limit.
    pub(super) fn new_file(&self) -> io::Result<(File, Reservation)> {
        let file = match cache_folder() {
            Some(folder) => tempfile::tempfile_in(folder).or_else(|_| tempfile::tempfile())?,
            None => tempfile::tempfile()?,
        };
        Ok((file, Reservation { spool: self.clone(), bytes: 0 }))
    }

    /// Forgets the oldest finished output. `false`: there is none.
    fn forget_oldest(&self) -> bool {
        let mut kept = self.kept();
        let oldest = kept.iter().position(|recording| !recording.is_open());
        let forgotten = oldest.and_then(|at| kept.remove(at));
        drop(kept); // Its end gives back its part of the limit, outside the lock.
        forgotten.is_some()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Recording>> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the spool's limit; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    spool: Spool,
    bytes: u64,
}

impl Reservation {
    /// Makes the part at least so large, at the cost of the oldest finished outputs.
    pub(super) fn cover(&mut self, bytes: u64) -> io::Result<()> {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else { return Ok(()) };
        let limit = self.spool.inner.limits.total;
        loop {
            let used = self.spool.inner.used.fetch_add(more, Ordering::Relaxed) + more;
            if used <= limit {
                self.bytes = bytes;
                return Ok(());
            }
            self.spool.inner.used.fetch_sub(more, Ordering::Relaxed);
            if !self.spool.forget_oldest() {
                return Err(io::Error::other(format!(
                    "the limit of {limit} bytes for all kept outputs is reached"
                )));
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.spool.inner.used.fetch_sub(self.bytes, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SpoolLimits = SpoolLimits { per_output: 1 << 20, total: 3 << 20, outputs: 3 };

    fn printed(spool: &Spool, length: usize) -> Recording {
        let recording = spool.begin();
        recording.add(&vec![b'x'; length]);
        recording.close();
        recording
    }

    #[test]
    fn only_so_many_outputs_are_kept_and_the_oldest_finished_goes_first() {
        let spool = Spool::new(LIMITS);
        let open = spool.begin();
        spool.keep(&open);
        let ids: Vec<String> = (0..4)
            .map(|_| {
                let recording = printed(&spool, 10);
                spool.keep(&recording);
                recording.id().to_owned()
            })
            .collect();
        assert!(spool.find(open.id()).is_some(), "it is still being written");
        assert!(spool.find(&ids[0]).is_none() && spool.find(&ids[1]).is_none());
        assert!(spool.find(&ids[2]).is_some() && spool.find(&ids[3]).is_some());
    }

    #[test]
    fn space_is_made_by_forgetting_and_given_back() {
        let spool = Spool::new(LIMITS);
        let first = printed(&spool, 1 << 20);
        spool.keep(&first);
        let id = first.id().to_owned();
        drop(first);
        let others: Vec<Recording> = (0..3).map(|_| printed(&spool, 1 << 20)).collect();
        assert!(spool.find(&id).is_none(), "it made room");
        assert!(others.iter().all(|recording| recording.no_file().is_none()));
        assert!(printed(&spool, 1 << 20).no_file().is_some(), "nothing more can be forgotten");
        drop(others);
        assert!(printed(&spool, 1 << 20).no_file().is_none());
        assert_eq!(spool.inner.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn ids_differ() {
        let spool = Spool::new(LIMITS);
        assert_ne!(spool.begin().id(), spool.begin().id());
        let number = |id: &str| id.split_once('-').map(|(prefix, _)| prefix.to_owned());
        assert_ne!(number(spool.begin().id()), number(Spool::new(LIMITS).begin().id()));
    }
}
