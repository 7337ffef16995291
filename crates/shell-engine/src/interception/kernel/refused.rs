//! What was refused to a call, whatever its programs say of it: protected names that it would have changed, and system calls that no
//! command may make.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandbox::denial::{Denied, Writes};

/// Names that are remembered; more are not told.
const MOST: usize = 64;

/// What was refused to one call. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused {
    known: Arc<Mutex<Known>>,
    /// The program that it is refused to, of those that may run once more.
    tried: u64,
}

#[derive(Debug, Default)]
struct Known {
    /// Each with the program that would have changed it.
    names: BTreeSet<(PathBuf, u64)>,
    /// What lies where nobody inside can write, each with the program that would have.
    writes: BTreeSet<(PathBuf, u64)>,
    /// Whether each call that writes by a path is looked at.
    is_looked_at: bool,
    /// More was refused than is remembered, or where nobody has looked.
    has_more: bool,
    /// What was refused to a program that was then given it.
    given: BTreeSet<PathBuf>,
    /// Programs that may run once more, so far.
    tries: u64,
    calls: BTreeMap<Denied, String>,
    wanted_terminal: bool,
}

impl Refused {
    /// A program would have changed this.
    pub(crate) fn note(&self, path: &Path) {
        let mut known = self.lock();
        if known.names.len() < MOST {
            known.names.insert((path.to_owned(), self.tried));
        }
    }

    /// A program would have written this, and the kernel refuses it.
    pub(crate) fn note_write(&self, path: PathBuf) {
        let mut known = self.lock();
        let write = (path, self.tried);
        match known.writes.len() < MOST {
            true => drop(known.writes.insert(write)),
            false => known.has_more |= !known.writes.contains(&write),
        }
    }

    /// Each call that writes by a path is looked at from now on.
    pub(crate) fn is_looked_at(&self) {
        self.lock().is_looked_at = true;
    }

    /// A program runs where what it writes is not looked at, or not by what this call may write.
    pub(crate) fn runs_elsewhere(&self) {
        self.lock().has_more = true;
    }

    /// What would have been written, protected names among it.
    pub(crate) fn writes(&self) -> Writes {
        let known = self.lock();
        let is_all = known.is_looked_at && !known.has_more && known.names.len() < MOST;
        let seen = known.writes.union(&known.names).map(|(path, _)| path.clone()).collect();
        Writes { seen, is_all }
    }

    /// The same for a program that may run once more with what was refused to it.
    pub(crate) fn of_a_try(&self) -> Refused {
        let mut known = self.lock();
        known.tries += 1;
        Refused { tried: known.tries, known: Arc::clone(&self.known) }
    }

    /// The program has run once more with it, and succeeded.
    pub(crate) fn was_given(&self) {
        let mut known = self.lock();
        let Known { names, writes, given, .. } = &mut *known;
        for refused in [names, writes] {
            given.extend(
                refused.iter().filter(|(_, tried)| *tried == self.tried).map(|(path, _)| path.clone()),
            );
            refused.retain(|(_, tried)| *tried != self.tried);
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
        let mut names: Vec<PathBuf> = self.lock().names.iter().map(|(path, _)| path.clone()).collect();
        names.dedup();
        names
    }

    /// Names that were refused first and given then.
    pub(crate) fn given(&self) -> Vec<PathBuf> {
        self.lock().given.iter().cloned().collect()
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
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
