//! The connections that there are, whose shares they count to, and how they are ended.

use crate::exchange::Counts;
use crate::judge::{Attempt, Failure};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one egress.
    pub connections: usize,
    /// Of one share of it.
    pub of_share: usize,
    /// Of one share, those that are not made yet: heard, judged, asked about, resolved, connecting.
    pub waiting_of_share: usize,
    /// Of all egresses of this process together, of which each [`Owner`] gets a part.
    pub of_process: usize,
}

impl Limits {
    /// Returns what a process can afford that may open so many descriptors: a connection needs two, and half of all is
    /// left for other work.
    #[must_use]
    pub fn with_descriptors(descriptors: u64) -> Limits {
        let affordable = usize::try_from(descriptors / 4).unwrap_or(usize::MAX);
        let connections = affordable.min(8192);
        // A third is always left for the others.
        let of_share = connections.min(4096).min((connections - connections / 3).max(64));
        Limits { connections, of_share, waiting_of_share: of_share.min(1024), of_process: affordable }
    }
}

/// All egresses.
static OF_PROCESS: All = All { connections: AtomicUsize::new(0), owners: AtomicUsize::new(0) };

/// What egresses share.
#[derive(Debug)]
struct All {
    connections: AtomicUsize,
    owners: AtomicUsize,
}

/// Whose egresses they are, among several who share what a process can afford. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Owner(Arc<Own>);

#[derive(Debug)]
struct Own {
    connections: AtomicUsize,
    all: &'static All,
}

impl Default for Owner {
    fn default() -> Owner {
        Owner::among(&OF_PROCESS)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.all.owners.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Owner {
    fn among(all: &'static All) -> Owner {
        all.owners.fetch_add(1, Ordering::Relaxed);
        Owner(Arc::new(Own { connections: AtomicUsize::new(0), all }))
    }

    /// Takes one of `most` that all can have; where there are others, not when he has twice as many as are left. So the first
    /// who takes all that he can get leaves a third to the others, the next a third of that to whoever comes later, and nobody
    /// gets none.
    fn enter(&self, most: usize) -> bool {
        let all = self.0.all.connections.fetch_add(1, Ordering::Relaxed);
        let own = self.0.connections.fetch_add(1, Ordering::Relaxed);
        let left = most.saturating_sub(all);
        let is_alone = self.0.all.owners.load(Ordering::Relaxed) == 1;
        let has_room = left > 0 && (is_alone || own < left.saturating_mul(2));
        if !has_room {
            self.leave();
        }
        has_room
    }

    fn leave(&self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.all.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connections of one egress.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    owner: Owner,
    next: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<u64, Entry>,
    shares: HashMap<u64, Share>,
}

#[derive(Debug)]
struct Entry {
    share: u64,
    /// What it is, and why it was allowed, once it is made.
    made: Option<(Attempt, String)>,
    counts: Arc<Counts>,
    since: Instant,
    /// Ends it; for this reason, or for none when it is dropped.
    end: Option<oneshot::Sender<Failure>>,
}

#[derive(Debug, Default)]
struct Share {
    all: usize,
    waiting: usize,
}

/// A connection that is open, as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenConnection {
    /// What it is.
    pub attempt: Attempt,
    /// Why it was allowed.
    pub allowed: String,
    /// Bytes that the program has sent and received so far.
    pub sent: u64,
    /// See above.
    pub received: u64,
    /// When it began.
    pub since: Instant,
}

/// A place among the connections, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    number: u64,
    pub(crate) counts: Arc<Counts>,
    /// Completes when the connection is to end.
    pub(crate) ended: oneshot::Receiver<Failure>,
}

impl Connections {
    pub(crate) fn new(limits: Limits, owner: Owner) -> Connections {
        Connections { limits, owner, next: AtomicU64::new(1), state: Mutex::default() }
    }

    /// Returns a number for a connection that nobody else has.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a place for a connection; none if there is no room for it.
    pub(crate) fn enter(self: &Arc<Self>, number: u64, share: u64) -> Option<Place> {
        let mut state = self.lock();
        let Limits { connections, of_share, waiting_of_share, of_process } = self.limits;
        let own = state.shares.get(&share);
        let has_room = state.open.len() < connections
            && own.is_none_or(|own| own.all < of_share && own.waiting < waiting_of_share);
        if !has_room {
            return None;
        }
        if !self.owner.enter(of_process) {
            return None;
        }
        let own = state.shares.entry(share).or_default();
        own.all += 1;
        own.waiting += 1;
        let counts = Arc::new(Counts::default());
        let (end, ended) = oneshot::channel();
        let entry =
            Entry { share, made: None, counts: Arc::clone(&counts), since: Instant::now(), end: Some(end) };
        state.open.insert(number, entry);
        Some(Place { connections: Arc::clone(self), number, counts, ended })
    }

    /// Lists those that are made.
    pub(crate) fn list(&self) -> Vec<OpenConnection> {
        let made = |entry: &Entry| {
            let (attempt, allowed) = entry.made.clone()?;
            let (sent, received) = (&entry.counts.sent, &entry.counts.received);
            let (sent, received) = (sent.load(Ordering::Relaxed), received.load(Ordering::Relaxed));
            Some(OpenConnection { attempt, allowed, sent, received, since: entry.since })
        };
        self.lock().open.values().filter_map(made).collect()
    }

    /// Ends those that are made and not to be kept.
    pub(crate) fn retain(&self, keep: impl Fn(&Attempt, &str) -> bool) {
        for entry in self.lock().open.values_mut() {
            let goes = entry.made.as_ref().is_some_and(|(attempt, allowed)| !keep(attempt, allowed));
            if let Some(end) = entry.end.take_if(|_| goes) {
                // It may be ending already.
                let _ = end.send(Failure::Revoked);
            }
        }
    }

    /// Ends all of them.
    pub(crate) fn end_all(&self) {
        self.lock().open.values_mut().for_each(|entry| entry.end = None);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Notes that the connection is made.
    pub(crate) fn made(&self, attempt: &Attempt, allowed: &str) {
        let mut state = self.connections.lock();
        let Some(entry) = state.open.get_mut(&self.number) else { return };
        entry.made = Some((attempt.clone(), allowed.to_owned()));
        let share = entry.share;
        if let Some(share) = state.shares.get_mut(&share) {
            share.waiting = share.waiting.saturating_sub(1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.owner.leave();
        let mut state = self.connections.lock();
        let Some(entry) = state.open.remove(&self.number) else { return };
        if let Some(share) = state.shares.get_mut(&entry.share) {
            share.all = share.all.saturating_sub(1);
            if entry.made.is_none() {
                share.waiting = share.waiting.saturating_sub(1);
            }
            if share.all == 0 {
                state.shares.remove(&entry.share);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Host, Name};

    fn attempt(number: u64) -> Attempt {
        let host = Host::Name(Name::new("a.example").unwrap());
        let (program, inside) = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 443).into());
        Attempt { number, host, port: 443, program, inside }
    }

    #[test]
    fn each_share_has_its_own_room() {
        let limits = Limits { connections: 5, of_share: 3, waiting_of_share: 2, of_process: 1000 };
        let connections = Arc::new(Connections::new(limits, Owner::default()));
        let enter = |share| connections.enter(connections.number(), share);
        let (first, _second) = (enter(1).unwrap(), enter(1).unwrap());
        assert!(enter(1).is_none(), "two wait");
        let made = |place: &Place| place.made(&attempt(place.number), "a rule");
        made(&first);
        let third = enter(1).unwrap();
        made(&third);
        assert!(enter(1).is_none(), "three there are");
        let _others = [enter(2).unwrap(), enter(2).unwrap()];
        assert!(enter(3).is_none(), "five there are in all");
        drop(third);
        assert!(enter(1).is_some());
        assert_eq!(connections.list().len(), 1);
    }

    #[test]
    fn whoever_takes_all_that_he_can_get_leaves_some_to_each_other() {
        static ALL: All = All { connections: AtomicUsize::new(0), owners: AtomicUsize::new(0) };
        let owner = || Owner::among(&ALL);
        let take_all = |owner: &Owner| (0..1000).filter(|_| owner.enter(900)).count();
        let [greedy, next, last] = std::array::from_fn(|_| owner());
        assert_eq!(take_all(&greedy), 600);
        assert_eq!(take_all(&greedy.clone()), 0, "in whichever sandbox of his");
        assert_eq!(take_all(&next), 200);
        assert!(take_all(&last) >= 66);
        assert!(owner().enter(900));
        greedy.leave();
        assert!(!greedy.enter(900), "what he gives up is for those who have less");
    }

    #[test]
    fn whoever_is_alone_leaves_nothing_to_nobody() {
        static ALL: All = All { connections: AtomicUsize::new(0), owners: AtomicUsize::new(0) };
        let alone = Owner::among(&ALL);
        assert_eq!((0..1000).filter(|_| alone.enter(900)).count(), 900);
        let comes = Owner::among(&ALL);
        assert!(!comes.enter(900));
        alone.leave();
        assert!(!alone.enter(900) && comes.enter(900));
    }

    #[test]
    fn a_connection_whose_rule_is_gone_is_told_to_end() {
        let connections = Arc::new(Connections::new(Limits::with_descriptors(12_000), Owner::default()));
        let [mut kept, mut gone] =
            [0, 0].map(|share| connections.enter(connections.number(), share).unwrap());
        kept.made(&attempt(kept.number), "kept");
        gone.made(&attempt(gone.number), "gone");
        connections.retain(|_, allowed| allowed == "kept");
        assert_eq!(gone.ended.try_recv(), Ok(Failure::Revoked));
        assert!(kept.ended.try_recv().is_err());
        connections.end_all();
        assert_eq!(kept.ended.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }

    #[test]
    fn half_of_the_descriptors_is_left() {
        for descriptors in [1024, 4096, 65_536, 1 << 20] {
            let limits = Limits::with_descriptors(descriptors);
            assert!(u64::try_from(limits.of_process).unwrap() * 2 <= descriptors / 2);
            assert!(limits.of_share <= limits.connections && limits.waiting_of_share <= limits.of_share);
        }
        assert!(Limits::with_descriptors(6144).waiting_of_share >= 1000);
    }
}
