//! Threads that make connections: as many as wait at once, up to a bound for each call and for all.
//!
//! A connection may take as long as whoever listens likes. When its process is gone, or its call, its thread
//! is interrupted.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::interception::kernel::messages::CallNumber;
use crate::sys::connections::Interruptible;

/// Connections that are made at once, of one call and of all: the others wait. Each has a thread.
const MOST_OF_CALL: usize = 16;
const MOST: usize = 1024;
/// How often those are looked for whose processes are gone. Ordinary ones are made before.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a thread waits for more to do.
const IDLE: Duration = Duration::from_secs(10);
/// A path, an address and the kernel's list, of which the heap holds the most.
const STACK: usize = 256 << 10;

/// Makes connections elsewhere.
#[derive(Clone, Default)]
pub(in crate::interception::kernel) struct Connector(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(CallNumber, Arc<Connection>)>,
    under_way: HashMap<u64, UnderWay>,
    of_calls: HashMap<CallNumber, usize>,
    threads: usize,
    idle: usize,
    next: u64,
    looked: Option<Instant>,
}

struct UnderWay {
    call: CallNumber,
    connection: Arc<Connection>,
    thread: Interruptible,
    since: Instant,
}

impl Connector {
    /// Makes a connection of a call, as soon as its others let it.
    pub(in crate::interception::kernel) fn begin(&self, call: CallNumber, connection: Connection) {
        let mut state = self.0.lock();
        state.queue.push_back((call, Arc::new(connection)));
        if state.idle == 0 && state.threads < MOST {
            let shared = Arc::clone(&self.0);
            let started = std::thread::Builder::new().name("kernel-door-to".into()).stack_size(STACK);
            match started.spawn(move || shared.serve()) {
                Ok(_) => state.threads += 1,
                // The others get to it. Where there is none, its process waits until its call ends.
                Err(error) => tracing::warn!(%error, "a connection waits: no thread can be started"),
            }
        }
        drop(state);
        self.0.more.notify_one();
    }

    /// Gives up what was wanted by processes that are gone; says when that is to be done again.
    pub(in crate::interception::kernel) fn remind(&self) -> Option<Duration> {
        let mut state = self.0.lock();
        if state.under_way.is_empty() {
            return None;
        }
        if state.looked.is_none_or(|looked| looked.elapsed() >= PATIENCE) {
            state.looked = Some(Instant::now());
            state.interrupt(|under_way| {
                under_way.since.elapsed() >= PATIENCE && !under_way.connection.is_wanted()
            });
        }
        Some(PATIENCE)
    }

    /// Gives up what a call that has ended wanted.
    pub(in crate::interception::kernel) fn give_up(&self, call: CallNumber) {
        let mut state = self.0.lock();
        state.queue.retain(|(of, _)| *of != call);
        state.interrupt(|under_way| under_way.call == call);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let Ok(thread) = Interruptible::current() else {
            self.lock().threads -= 1;
            return;
        };
        let mut state = self.lock();
        loop {
            if let Some((call, connection)) = state.take() {
                let number = state.enter(call, &connection, thread);
                drop(state);
                connection.make();
                state = self.lock();
                state.leave(number);
                continue;
            }
            state.idle += 1;
            let (woken, waited) = self.more.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

impl State {
    /// Takes the first of a call that may have more under way.
    fn take(&mut self) -> Option<(CallNumber, Arc<Connection>)> {
        let may = |call: &CallNumber| self.of_calls.get(call).is_none_or(|number| *number < MOST_OF_CALL);
        let at = self.queue.iter().position(|(call, _)| may(call))?;
        self.queue.remove(at)
    }

    fn enter(&mut self, call: CallNumber, connection: &Arc<Connection>, thread: Interruptible) -> u64 {
        self.next += 1;
        *self.of_calls.entry(call).or_default() += 1;
        let connection = Arc::clone(connection);
        self.under_way.insert(self.next, UnderWay { call, connection, thread, since: Instant::now() });
        self.next
    }

    fn leave(&mut self, number: u64) {
        let Some(UnderWay { call, .. }) = self.under_way.remove(&number) else { return };
        if let Some(of_call) = self.of_calls.get_mut(&call) {
            *of_call -= 1;
            if *of_call == 0 {
                self.of_calls.remove(&call);
            }
        }
    }

    fn interrupt(&self, those: impl Fn(&UnderWay) -> bool) {
        for under_way in self.under_way.values().filter(|under_way| those(under_way)) {
            under_way.thread.interrupt();
        }
    }
}
