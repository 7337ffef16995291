//! A stopwatch with a limit that can be paused: a command's timeout must not run while a human thinks.
//!
//! Pauses are counted, because several questions of one call may be open at once: the clock runs again when the last of
//! them has ended. Once the limit has been reached nothing takes that back, not even a pause.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A pausable clock with an optional limit. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Stopwatch {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: Option<Duration>,
    started: Instant,
    state: Mutex<State>,
    /// Announces each change of `state`. A watch channel remembers that something changed while nobody was waiting, so
    /// a resume between looking at the state and waiting for the next change is not lost.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    /// Time that counted before `running_since`.
    counted: Duration,
    /// `None` while paused.
    running_since: Option<Instant>,
    pauses: usize,
    /// The limit was reached; final.
    expired: bool,
}

impl Stopwatch {
    /// Starts a clock that expires when `limit` has been counted; without a limit it never does.
    #[must_use]
    pub fn start(limit: Option<Duration>) -> Stopwatch {
        let now = Instant::now();
        let state = State { counted: Duration::ZERO, running_since: Some(now), pauses: 0, expired: false };
        let (changed, _) = watch::channel(());
        Stopwatch { inner: Arc::new(Inner { limit, started: now, state: Mutex::new(state), changed }) }
    }

    /// Stops the clock until the returned value is dropped; with several pauses, until the last of them is.
    #[must_use = "the clock runs again as soon as the pause is dropped"]
    pub fn pause(&self) -> Pause {
        let mut state = self.state();
        state.pauses += 1;
        if let Some(since) = state.running_since.take() {
            state.counted += since.elapsed();
            state.expired |= self.inner.limit.is_some_and(|limit| state.counted >= limit);
        }
        drop(state);
        self.inner.changed.send_replace(());
        Pause { stopwatch: self.clone() }
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.inner.limit
    }

    /// Completes when the limit has been counted; never without a limit.
    pub async fn expired(&self) {
        self.until(|| self.remaining()).await;
    }

    /// Completes when so much time has been counted since the start.
    pub async fn counted(&self, time: Duration) {
        self.until(|| self.state().remaining(time)).await;
    }

    async fn until(&self, remaining: impl Fn() -> Remaining) {
        let mut changed = self.inner.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let remaining = match remaining() {
                Remaining::Nothing => return,
                Remaining::Unknown => None,
                Remaining::Time(time) => Some(time),
            };
            let change = changed.changed();
            match remaining {
                None => {
                    if change.await.is_err() {
                        return; // Cannot be: this value holds the sender.
                    }
                }
                Some(time) => {
                    let _ = tokio::time::timeout(time, change).await;
                }
            }
        }
    }

    /// Whether the clock stands still.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.state().pauses > 0
    }

    /// Time that counted so far, and time of the pauses.
    #[must_use]
    pub fn read(&self) -> (Duration, Duration) {
        let state = self.state();
        let now = Instant::now();
        let counted = state.counted + state.running_since.map_or(Duration::ZERO, |since| now - since);
        (counted, (now - self.inner.started).saturating_sub(counted))
    }

    fn remaining(&self) -> Remaining {
        let mut state = self.state();
        let Some(limit) = self.inner.limit else { return Remaining::Unknown };
        if state.expired {
            return Remaining::Nothing;
        }
        let remaining = state.remaining(limit);
        state.expired = matches!(remaining, Remaining::Nothing);
        remaining
    }

    fn resume(&self) {
        let mut state = self.state();
        state.pauses = state.pauses.saturating_sub(1);
        if state.pauses == 0 {
            state.running_since = Some(Instant::now());
        }
        drop(state);
        self.inner.changed.send_replace(());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements, so a panic elsewhere does not spoil it.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is left until so much has been counted.
    fn remaining(&self, limit: Duration) -> Remaining {
        let counted = self.counted + self.running_since.map_or(Duration::ZERO, |since| since.elapsed());
        match (counted >= limit, self.running_since) {
            (true, _) => Remaining::Nothing,
            (false, None) => Remaining::Unknown,
            (false, Some(_)) => Remaining::Time(limit.saturating_sub(counted)),
        }
    }
}

enum Remaining {
    /// The limit has been reached.
    Nothing,
    /// Paused, or without a limit.
    Unknown,
    /// The limit will be reached after this time, if nothing changes.
    Time(Duration),
}

/// Keeps a [`Stopwatch`] from counting while it exists.
#[derive(Debug)]
pub struct Pause {
    stopwatch: Stopwatch,
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.stopwatch.resume();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, sleep, timeout};

    const LIMIT: Duration = Duration::from_millis(50);
    const MOMENT: Duration = Duration::from_millis(1);

    async fn has_expired(stopwatch: &Stopwatch) -> bool {
        timeout(Duration::ZERO, stopwatch.expired()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn fires_at_the_limit_and_not_before() {
        let stopwatch = Stopwatch::start(Some(LIMIT));
        advance(LIMIT - MOMENT).await;
        assert!(!has_expired(&stopwatch).await);
        advance(MOMENT).await;
        assert!(has_expired(&stopwatch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_under_the_limit_prevents_firing() {
        let stopwatch = Stopwatch::start(Some(LIMIT));
        advance(LIMIT / 2).await;
        let pause = stopwatch.pause();
        advance(LIMIT * 10).await;
        assert!(!has_expired(&stopwatch).await);
        drop(pause);
        advance(LIMIT / 2 - MOMENT).await;
        assert!(!has_expired(&stopwatch).await);
        advance(MOMENT).await;
        assert!(has_expired(&stopwatch).await);
        assert_eq!(stopwatch.read(), (LIMIT, LIMIT * 10));
    }

    #[tokio::test(start_paused = true)]
    async fn overlapping_pauses_resume_only_when_all_have_ended() {
        let stopwatch = Stopwatch::start(Some(LIMIT));
        let first = stopwatch.pause();
        let second = stopwatch.pause();
        advance(LIMIT * 2).await;
        drop(first);
        advance(LIMIT * 2).await;
        assert!(!has_expired(&stopwatch).await);
        drop(second);
        advance(LIMIT).await;
        assert!(has_expired(&stopwatch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_after_the_limit_does_not_unfire() {
        let stopwatch = Stopwatch::start(Some(LIMIT));
        advance(LIMIT).await;
        let _pause = stopwatch.pause(); // Nobody has looked yet: the limit was reached all the same.
        assert!(has_expired(&stopwatch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_sees_pauses_and_resumes_that_come_while_it_waits() {
        let stopwatch = Stopwatch::start(Some(LIMIT));
        let waiter = tokio::spawn({
            let stopwatch = stopwatch.clone();
            async move {
                stopwatch.expired().await;
                stopwatch.read()
            }
        });
        sleep(LIMIT / 2).await;
        for _ in 0..3 {
            let pause = stopwatch.pause();
            sleep(LIMIT).await;
            drop(pause);
        }
        assert_eq!(waiter.await.unwrap(), (LIMIT, LIMIT * 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_zero_expires_at_once_and_no_limit_never() {
        assert!(has_expired(&Stopwatch::start(Some(Duration::ZERO))).await);
        let unlimited = Stopwatch::start(None);
        advance(Duration::from_secs(1 << 30)).await;
        assert!(!has_expired(&unlimited).await);
    }

    /// A resume that falls between looking and waiting must not be lost: many threads, real time.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_up_is_lost() {
        for _ in 0..200 {
            let stopwatch = Stopwatch::start(Some(Duration::from_millis(2)));
            let pauses = tokio::spawn({
                let stopwatch = stopwatch.clone();
                async move {
                    for _ in 0..50 {
                        drop(stopwatch.pause());
                        tokio::task::yield_now().await;
                    }
                }
            });
            timeout(Duration::from_secs(20), stopwatch.expired()).await.expect("a resume was lost");
            pauses.await.unwrap();
        }
    }
}
