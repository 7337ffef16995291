//! The protected names that a command would have made, replaced or removed, and that are as they were.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Names that are remembered; more are not told.
const MOST: usize = 64;

/// What was refused to one call. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct RefusedNames(Arc<Mutex<BTreeSet<PathBuf>>>);

impl RefusedNames {
    /// A program would have changed this.
    pub(crate) fn note(&self, path: &Path) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST {
            known.insert(path.to_owned());
        }
    }

    /// All of them, in order.
    pub(crate) fn read(&self) -> Vec<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
