//! What a person has allowed for the rest of the session, and which questions are the same.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

/// Commands that are remembered; more are asked about again.
const MOST: usize = 4096;

/// What makes two questions the same: a digest of everything that the answer is bound to (the program's file and its
/// state, every argument, the folder, the environment, who asks and what a yes gives).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity([u8; 32]);

impl Identity {
    /// The identity of a question that is bound to these parts, in this order.
    pub fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Identity {
        let mut digest = Sha256::new();
        for part in parts {
            // With its length, so that what is moved from one part to the next makes another identity.
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        Identity(digest.finalize().into())
    }
}

impl Identity {
    /// The identity of a question that is bound to these parts, too.
    #[must_use]
    pub fn with<'p>(&'p self, parts: impl IntoIterator<Item = &'p [u8]>) -> Identity {
        Identity::of(std::iter::once(&self.0[..]).chain(parts))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = self.0;
        write!(formatter, "Identity({first:02x}{second:02x}{third:02x}{fourth:02x}…)")
    }
}

/// What was allowed until the server ends. Only a person's answer adds to it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    allowed: Mutex<HashSet<Identity>>,
}

impl Memory {
    /// Whether the very same command was allowed before.
    pub(super) fn allows(&self, identity: &Identity) -> bool {
        self.allowed().contains(identity)
    }

    /// Whether one more can be remembered.
    pub(super) fn has_room(&self) -> bool {
        self.allowed().len() < MOST
    }

    /// Remembers a command.
    pub(super) fn allow(&self, identity: Identity) {
        let mut allowed = self.allowed();
        if allowed.len() < MOST {
            allowed.insert(identity);
        }
    }

    fn allowed(&self) -> MutexGuard<'_, HashSet<Identity>> {
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_can_be_moved_into_another() {
        let of = |parts: &[&str]| Identity::of(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab", ""]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
    }
}
