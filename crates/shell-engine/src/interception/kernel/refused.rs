//! What was refused to a call, whatever its programs say of it: protected names that it would have changed, and system calls that no
//! command may make.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandbox::denial::Denied;

/// Names that are remembered; more are not told.
const MOST: usize = 64;

/// What was refused to one call. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    names: BTreeSet<PathBuf>,
    calls: BTreeMap<Denied, String>,
    wanted_terminal: bool,
}

impl Refused {
    /// A program would have changed this.
    pub(crate) fn note(&self, path: &Path) {
        let mut known = self.lock();
        if known.names.len() < MOST {
            known.names.insert(path.to_owned());
        }
    }

    /// A program of this name has made a system call that is refused to all.
    pub(crate) fn note_call(&self, denied: Denied, program: impl FnOnce() -> String) {
        self.lock().calls.entry(denied).or_insert_with(program);
    }

    /// A program would have waited for a terminal.
    pub(crate) fn note_terminal(&self) {
        self.lock().wanted_terminal = true;
    }

    /// All names, in order.
    pub(crate) fn names(&self) -> Vec<PathBuf> {
        self.lock().names.iter().cloned().collect()
    }

    /// All kinds of calls, and which program was the first to make one.
    pub(crate) fn calls(&self) -> BTreeMap<Denied, String> {
        self.lock().calls.clone()
    }

    /// Whether a program would have waited for a terminal.
    pub(crate) fn wanted_terminal(&self) -> bool {
        self.lock().wanted_terminal
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
