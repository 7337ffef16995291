//! How a server lives and leaves: it is ready, then told to end; then it takes no new calls, finishes those that run, and
//! goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The life of one server. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    leaving: CancellationToken,
    answering: Arc<Answering>,
}

#[derive(Debug, Default)]
struct Answering {
    count: AtomicUsize,
    done: Notify,
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(super) struct Answer(Arc<Answering>);

impl Life {
    /// Nothing new begins from now on.
    pub(super) fn leave(&self) {
        self.leaving.cancel();
    }

    /// Whether nothing new may begin.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    /// Counts a request that is answered from now on.
    pub(super) fn answering(&self) -> Answer {
        self.answering.count.fetch_add(1, Ordering::Relaxed);
        Answer(Arc::clone(&self.answering))
    }

    /// How many requests are being answered.
    pub(super) fn count(&self) -> usize {
        self.answering.count.load(Ordering::Relaxed)
    }

    /// Completes when none is answered any more.
    pub(super) async fn all_answered(&self) {
        loop {
            let mut done = std::pin::pin!(self.answering.done.notified());
            done.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            done.await;
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.done.notify_waiters();
        }
    }
}
