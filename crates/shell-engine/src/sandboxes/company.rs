//! Which programs of a sandbox were alive at the same time: what the kernel counts for all of them is one's own only if
//! nobody else was there.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The programs of one sandbox, each with all that it has started. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Company(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    begun: u64,
    alive: HashSet<u64>,
}

/// When a program came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    number: u64,
    was_alone: bool,
}

/// A program that is alive, as long as this is kept.
#[derive(Debug)]
pub(super) struct Presence {
    company: Company,
    number: u64,
}

impl Company {
    pub(super) fn arrive(&self) -> (Arrival, Presence) {
        let mut state = self.lock();
        state.begun += 1;
        let (number, was_alone) = (state.begun, state.alive.is_empty());
        state.alive.insert(number);
        (Arrival { number, was_alone }, Presence { company: self.clone(), number })
    }

    /// Whether nobody was there but the one that has arrived so.
    pub(super) fn was_nobody_but(&self, arrival: Arrival) -> bool {
        let state = self.lock();
        arrival.was_alone
            && state.begun == arrival.number
            && state.alive.iter().all(|number| *number == arrival.number)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.company.lock().alive.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_meets_nobody_is_alone() {
        let company = Company::default();
        let (first, one) = company.arrive();
        assert!(company.was_nobody_but(first));
        let (second, two) = company.arrive();
        drop(one);
        assert!(!company.was_nobody_but(first) && !company.was_nobody_but(second));
        drop(two);
        assert!(!company.was_nobody_but(second), "also when the other is gone");
        let (third, _three) = company.arrive();
        assert!(company.was_nobody_but(third));
    }
}
