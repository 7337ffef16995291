//! The outputs that can still be asked for, and their bounds: the oldest finished one makes room.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::recording::Recording;
use super::space::Space;
use crate::config::SpoolLimits;

/// Where outputs are kept. Clones are the same spool.
#[derive(Clone, Debug)]
pub struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// How many outputs are kept.
    outputs: usize,
    /// Tells this server's outputs from another's, so that an agent that outlives a server does not get a stranger's,
    /// and nobody guesses them.
    prefix: String,
    /// The server's name, where there are others.
    server: Option<String>,
    next: AtomicU64,
    space: Arc<Space>,
    kept: Arc<Kept>,
}

/// The outputs that are kept, oldest first.
#[derive(Debug, Default)]
struct Kept(Mutex<VecDeque<Recording>>);

impl Spool {
    /// An empty spool.
    #[must_use]
    pub fn new(limits: SpoolLimits) -> Spool {
        Spool::of_server(limits, None)
    }

    /// An empty spool of a server that has this name among others, which ids begin with.
    pub(crate) fn of_server(limits: SpoolLimits, server: Option<&str>) -> Spool {
        // The system's random numbers, through a hash that does not give them away.
        let random = || RandomState::new().hash_one(std::process::id());
        let prefix = match server {
            Some(server) => format!("{server}~{:016x}{:016x}", random(), random()),
            None => format!("{:012x}", random() & 0xffff_ffff_ffff),
        };
        let kept = Arc::<Kept>::default();
        // Outputs know their space, and the space none of them.
        let known = Arc::downgrade(&kept);
        let make_room = move || known.upgrade().is_some_and(|kept| kept.forget_oldest());
        let inner = Inner {
            outputs: limits.outputs.max(1),
            prefix,
            server: server.map(ToOwned::to_owned),
            next: AtomicU64::new(1),
            space: Arc::new(Space::new(limits, Box::new(make_room))),
            kept,
        };
        Spool { inner: Arc::new(inner) }
    }

    /// The server's name, where there are others.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.inner.server.as_deref()
    }

    /// Begins a new output, with an id of its own.
    pub(super) fn begin(&self) -> Recording {
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        Recording::new(format!("{}-{number}", self.inner.prefix), Arc::clone(&self.inner.space))
    }

    /// A finished output that no command has printed, for those who show outcomes and try that.
    #[must_use]
    pub fn finished(&self, bytes: &[u8]) -> Recording {
        let recording = self.begin();
        recording.add(bytes);
        recording.close();
        recording
    }

    /// Lets this output be asked for by its id from now on.
    pub fn keep(&self, recording: &Recording) {
        recording.move_to_file();
        let mut kept = self.inner.kept.list();
        kept.retain(|other| other.id() != recording.id());
        while kept.len() >= self.inner.outputs {
            let oldest = kept.iter().position(|recording| !recording.is_open()).unwrap_or(0);
            kept.remove(oldest);
        }
        kept.push_back(recording.clone());
    }

    /// The output with this id, if it is kept.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Recording> {
        self.inner.kept.list().iter().find(|recording| recording.id() == id).cloned()
    }

    /// What is kept, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Recording> {
        self.inner.kept.list().iter().cloned().collect()
    }
}

impl Kept {
    /// Forgets the oldest finished output. `false`: there is none.
    fn forget_oldest(&self) -> bool {
        let mut kept = self.list();
        let oldest = kept.iter().position(|recording| !recording.is_open());
        let forgotten = oldest.and_then(|at| kept.remove(at));
        drop(kept); // Its end gives back its part of the limit, outside the lock.
        forgotten.is_some()
    }

    fn list(&self) -> MutexGuard<'_, VecDeque<Recording>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SpoolLimits = SpoolLimits { per_output: 1 << 20, total: 3 << 20, outputs: 3 };

    fn printed(spool: &Spool, length: usize) -> Recording {
        spool.finished(&vec![b'x'; length])
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
        assert_eq!(spool.inner.space.used(), 0);
    }

    #[test]
    fn ids_differ() {
        let spool = Spool::new(LIMITS);
        assert_ne!(spool.begin().id(), spool.begin().id());
        let number = |id: &str| id.split_once('-').map(|(prefix, _)| prefix.to_owned());
        assert_ne!(number(spool.begin().id()), number(Spool::new(LIMITS).begin().id()));
    }
}
