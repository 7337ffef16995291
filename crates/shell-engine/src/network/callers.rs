//! Which call and which program has made a connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::party::{Caller, Party};

/// Connections whose program is known and that have not come yet, at most.
const MOST_EXPECTED: usize = 8192;
/// How long to wait for the word of whoever has made a connection in a program's place: it comes right after the connection.
const PATIENCE: Duration = Duration::from_millis(50);

/// A call, and the runtime in which its questions are asked.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) number: u64,
    pub(super) party: Weak<dyn Party>,
    pub(super) runtime: Handle,
}

/// Everybody who connects in one sandbox.
#[derive(Default)]
pub(super) struct Callers {
    state: Mutex<State>,
    came: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    calls: HashMap<u64, Call>,
    /// Each call is told apart from the others here, so nobody need say who it is.
    is_told: bool,
    expected: HashMap<SocketAddr, (u64, Caller)>,
}

impl Callers {
    pub(super) fn enter(&self, party: &Arc<dyn Party>, runtime: Handle) -> u64 {
        let mut state = self.lock();
        state.next += 1;
        let number = state.next;
        state.calls.insert(number, Call { number, party: Arc::downgrade(party), runtime });
        number
    }

    pub(super) fn leave(&self, number: u64) {
        let mut state = self.lock();
        state.calls.remove(&number);
        state.expected.retain(|_, (call, _)| *call != number);
    }

    /// Takes note of who has connected from an address.
    pub(super) fn expect(&self, from: SocketAddr, call: u64, caller: Caller) {
        let mut state = self.lock();
        if state.expected.len() >= MOST_EXPECTED {
            // They have not come, so they have given up.
            state.expected.clear();
        }
        state.is_told = true;
        state.expected.insert(from, (call, caller));
        drop(state);
        self.came.notify_waiters();
    }

    /// Whose connection this is: of the call that has said so, else of the only one that there is.
    pub(super) async fn whose(&self, from: SocketAddr) -> (Option<Call>, Caller) {
        match self.wait_for(|| self.take(from)).await {
            Some(found) => found,
            None => (self.only(), Caller::default()),
        }
    }

    /// The same, as far as it is known at once.
    pub(super) fn of(&self, from: SocketAddr) -> (Option<Call>, Caller) {
        self.take(from).unwrap_or_else(|| (self.only(), Caller::default()))
    }

    /// Whose share of the connections one from this address counts to: none's in particular where nobody says whose it is.
    pub(super) async fn share(&self, from: SocketAddr) -> u64 {
        let told = self.wait_for(|| self.lock().expected.get(&from).map(|(call, _)| *call)).await;
        told.or_else(|| self.only().map(|call| call.number)).unwrap_or_default()
    }

    /// Waits for a little while until something is known.
    async fn wait_for<T>(&self, mut known: impl FnMut() -> Option<T>) -> Option<T> {
        let waited = async {
            loop {
                let came = self.came.notified();
                tokio::pin!(came);
                // From here on nothing is missed.
                came.as_mut().enable();
                if let Some(known) = known() {
                    return known;
                }
                came.await;
            }
        };
        tokio::time::timeout(self.patience(), waited).await.ok()
    }

    fn patience(&self) -> Duration {
        if self.lock().is_told { PATIENCE } else { PATIENCE / 10 }
    }

    fn take(&self, from: SocketAddr) -> Option<(Option<Call>, Caller)> {
        let mut state = self.lock();
        let (call, caller) = state.expected.remove(&from)?;
        Some((state.calls.get(&call).cloned(), caller))
    }

    fn only(&self) -> Option<Call> {
        self.lock().only().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn only(&self) -> Option<&Call> {
        let mut calls = self.calls.values();
        calls.next().filter(|_| calls.next().is_none())
    }
}
