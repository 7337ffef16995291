//! Sandboxes of several users of one server. Each is four processes at least, which wait for commands. Before there are too
//! many, the one that nobody has used for longest ends; whose it was gets a new one with his next command.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use rustix::process::{Resource, getrlimit};

use super::sandbox::Sandbox;

/// Policies that keep a sandbox at the same time. A client that sends another policy with each call pays for it with set-up
/// time; what the oldest sandbox still runs ends with it.
pub(super) const MAX_SANDBOXES: usize = 16;

/// Sandboxes at a time when no more commands may run.
const LEAST: usize = 64;

/// One user may have one part of so many of them.
const SHARE: usize = 4;

/// What one user may have in any case: where his commands run, and programs that rules give other rights.
const LEAST_SHARE: usize = 4;

/// Descriptors of the server's that a sandbox takes, with a command in it, and room for more of these.
const DESCRIPTORS: u64 = 64;

/// One user's sandboxes.
pub(super) trait Neighbour: Send + Sync {
    /// When one was last asked for.
    fn used(&self) -> Instant;

    /// How many there are, and whether nobody uses one of them.
    fn counted(&self) -> (usize, bool);

    /// Takes one out that nobody uses.
    fn take_idle(&self) -> Option<Arc<Sandbox>>;
}

/// The users' sandboxes. Clones are the same.
#[derive(Clone)]
pub(crate) struct Neighbours {
    most: usize,
    all: Arc<Mutex<Vec<Weak<dyn Neighbour>>>>,
}

impl Neighbours {
    /// Nobody's yet, of which there may be as many as commands at a time: each of these may be another user's.
    pub(crate) fn new(commands: usize) -> Neighbours {
        Neighbours { most: commands.max(LEAST).min(most_sandboxes()), all: Arc::default() }
    }

    /// One more user's.
    pub(super) fn join(&self, one: &Arc<dyn Neighbour>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(one));
    }

    /// How many one user may have.
    pub(super) fn share(&self) -> usize {
        (self.most / SHARE).clamp(LEAST_SHARE, MAX_SANDBOXES)
    }

    /// Ends sandboxes of others that nobody uses until there is room for one more. Whoever asks has `own`, and cannot be
    /// looked at meanwhile.
    pub(super) async fn make_room(&self, own: usize) {
        loop {
            let all: Vec<Arc<dyn Neighbour>> = {
                let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
                all.iter().filter_map(Weak::upgrade).collect()
            };
            let looked: Vec<(usize, bool)> = all.iter().map(|one| one.counted()).collect();
            if own + looked.iter().map(|(count, _)| count).sum::<usize>() < self.most {
                return;
            }
            let idle = all.iter().zip(&looked).filter(|(_, (_, has_idle))| *has_idle).map(|(one, _)| one);
            let Some(sandbox) = idle.min_by_key(|one| one.used()).and_then(|one| one.take_idle()) else {
                return;
            };
            // Its end takes some milliseconds.
            let _ = tokio::task::spawn_blocking(move || drop(sandbox)).await;
        }
    }
}

impl std::fmt::Debug for Neighbours {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Neighbours").field("most", &self.most).finish_non_exhaustive()
    }
}

/// How many sandboxes there may be at a time in one server that has raised its limit of descriptors.
#[must_use]
pub fn most_sandboxes() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((limit / DESCRIPTORS).max(1)).unwrap_or(usize::MAX)
}
