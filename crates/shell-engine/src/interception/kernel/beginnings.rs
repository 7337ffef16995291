//! What files begin with, as far as it was read before.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use crate::programs::shebang::Beginning;
use crate::programs::{FileState, reopen};

/// Files that are remembered.
const MOST: usize = 1024;

/// What is known. A file in the same state begins with the same.
#[derive(Debug, Default)]
pub(super) struct Beginnings(HashMap<FileState, Beginning>);

impl Beginnings {
    /// What a file begins with; `None` where that cannot be read.
    pub(super) fn of(&mut self, file: &OwnedFd, state: &FileState) -> Option<Beginning> {
        if let Some(known) = self.0.get(state) {
            return Some(known.clone());
        }
        let read = Beginning::of(&reopen(file)?)?;
        if state.is_settled() {
            if self.0.len() >= MOST {
                self.0.clear();
            }
            self.0.insert(state.clone(), read.clone());
        }
        Some(read)
    }
}
