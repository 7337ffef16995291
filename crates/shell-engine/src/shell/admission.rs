//! How many commands run at once; more wait, in the order in which they came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::places::{Places, TakenPlace, User};

/// Places for running commands.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    count: usize,
    waiting: Arc<AtomicUsize>,
    /// Places that others use too.
    shared: Option<User>,
}

/// The right to run one command; given back when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the turn to the next command"]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    _shared: Option<TakenPlace>,
    used: Arc<AtomicBool>,
    waited: Duration,
}

/// Whether a turn was used: from then on the command may run. Clones are the same.
#[derive(Clone, Debug)]
pub struct TurnUse(Arc<AtomicBool>);

impl Turn {
    /// What tells later whether it was used.
    pub fn used(&self) -> TurnUse {
        TurnUse(Arc::clone(&self.used))
    }

    /// How long it was waited for.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    pub(super) fn use_it(&self) {
        self.used.store(true, Ordering::Release);
    }
}

impl TurnUse {
    /// Whether it was.
    #[must_use]
    pub fn is_made(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Counts itself among those who wait.
struct Waiting(Arc<AtomicUsize>);

impl Admission {
    pub(super) fn new(count: usize) -> Admission {
        let count = count.clamp(1, Semaphore::MAX_PERMITS);
        Admission { places: Arc::new(Semaphore::new(count)), count, waiting: Arc::default(), shared: None }
    }

    /// The same, where each command needs one of these places besides.
    pub(super) fn sharing(self, places: &Places) -> Admission {
        Admission { shared: Some(places.user()), ..self }
    }

    /// Waits for a turn. Dropping the future leaves the queue.
    pub(super) async fn enter(&self) -> Turn {
        let place = Arc::clone(&self.places);
        if self.shared.is_none()
            && let Ok(permit) = Arc::clone(&place).try_acquire_owned()
        {
            return Turn {
                _permit: Some(permit),
                _shared: None,
                used: Arc::default(),
                waited: Duration::ZERO,
            };
        }
        let begun = Instant::now();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(Arc::clone(&self.waiting));
        // The semaphore is never closed; if it were, nobody would be held up.
        let permit = place.acquire_owned().await.ok();
        let shared = match &self.shared {
            Some(user) => Some(user.enter().await),
            None => None,
        };
        Turn { _permit: permit, _shared: shared, used: Arc::default(), waited: begun.elapsed() }
    }

    /// How many commands run at once, and how many wait.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.count, self.waiting.load(Ordering::Relaxed))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[tokio::test]
    async fn those_who_wait_enter_in_the_order_in_which_they_came() {
        let admission = Admission::new(2);
        let (first, _second) = (admission.enter().await, admission.enter().await);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiters = Vec::new();
        for number in 0..5 {
            let (admission, order) = (admission.clone(), Arc::clone(&order));
            waiters.push(tokio::spawn(async move {
                let _turn = admission.enter().await;
                order.lock().unwrap().push(number);
            }));
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.load(), (2, 5));
        waiters.remove(3).abort();
        drop(first);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 4]);
        assert_eq!(admission.load(), (2, 0));
    }
}
