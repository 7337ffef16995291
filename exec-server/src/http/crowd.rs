//! Who has the connections. When there are as many as there may be, one on which nobody who is known has asked for anything
//! is closed for whoever comes next: a stranger's first, of those who have the most, and the one that has been so for longest.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http_body::{Frame, SizeHint};
use hyper::body::Bytes;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::listener::Peer;

/// How long a connection is kept on which nobody asks who is known.
const STRANGERS: Duration = Duration::from_secs(60);

/// All connections. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// How many there have been.
    number: u64,
    seats: HashMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    from: Source,
    /// When somebody who is known has last asked for something, or it began.
    since: Instant,
    /// Somebody who is known has asked for something.
    is_known: bool,
    /// Requests of those who are known that are not answered yet.
    asking: usize,
    leave: CancellationToken,
}

/// Where connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    Address(IpAddr),
    User(u32),
}

/// A connection, as long as this is kept.
#[derive(Debug)]
pub(super) struct Present {
    crowd: Crowd,
    number: u64,
    /// Cancelled when it is to make room.
    pub(super) leave: CancellationToken,
}

/// A request on a connection, in its extensions. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Asking(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    crowd: Crowd,
    number: u64,
    is_known: AtomicBool,
}

impl Crowd {
    /// A connection has come.
    pub(super) fn come(&self, peer: Peer) -> Present {
        let from = match peer {
            Peer::Network(address) => Source::Address(address.ip()),
            Peer::User(user) => Source::User(user),
        };
        let leave = CancellationToken::new();
        let seat = Seat { from, since: Instant::now(), is_known: false, asking: 0, leave: leave.clone() };
        let mut state = self.state();
        state.number += 1;
        let number = state.number;
        state.seats.insert(number, seat);
        Present { crowd: self.clone(), number, leave }
    }

    /// Has one leave on which nothing is answered to anybody who is known.
    pub(super) fn make_room(&self) {
        let state = self.state();
        let staying = || state.seats.values().filter(|seat| !seat.leave.is_cancelled());
        let mut counts: HashMap<Source, usize> = HashMap::new();
        for seat in staying() {
            *counts.entry(seat.from).or_default() += 1;
        }
        let order = |seat: &&Seat| (seat.is_known, Reverse(counts.get(&seat.from).copied()), seat.since);
        if let Some(seat) = staying().filter(|seat| seat.asking == 0).min_by_key(order) {
            seat.leave.cancel();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present {
    /// A request has come on it.
    pub(super) fn asking(&self) -> Asking {
        let inner =
            Inner { crowd: self.crowd.clone(), number: self.number, is_known: AtomicBool::new(false) };
        Asking(Arc::new(inner))
    }

    /// Completes when it has been a stranger's for long.
    pub(super) async fn is_strangers(&self) {
        loop {
            let stranger = |seat: &Seat| (!seat.is_known).then_some(seat.since);
            let since = self.crowd.state().seats.get(&self.number).and_then(stranger);
            let Some(since) = since else { return std::future::pending().await };
            if since.elapsed() >= STRANGERS {
                return;
            }
            sleep_until(since + STRANGERS).await;
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.crowd.state().seats.remove(&self.number);
    }
}

impl Asking {
    /// It is known who asks.
    pub(super) fn is_known(&self) {
        if !self.0.is_known.swap(true, Ordering::Relaxed) {
            self.0.change(|seat| {
                seat.is_known = true;
                seat.asking += 1;
            });
        }
    }
}

impl Inner {
    fn change(&self, change: impl FnOnce(&mut Seat)) {
        if let Some(seat) = self.crowd.state().seats.get_mut(&self.number) {
            seat.since = Instant::now();
            change(seat);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.is_known.load(Ordering::Relaxed) {
            self.change(|seat| seat.asking = seat.asking.saturating_sub(1));
        }
    }
}

/// An answer's body, until whose end its request is being answered.
pub(super) struct Answering {
    body: Body,
    _asking: Option<Asking>,
}

impl Answering {
    pub(super) fn new(body: Body, asking: Option<Asking>) -> Answering {
        Answering { body, _asking: asking }
    }
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::Network(([192, 0, 2, last], 1).into())
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_make_room_first_and_who_is_answered_does_not() {
        let crowd = Crowd::default();
        let come = async |last: u8| {
            tokio::time::advance(Duration::from_millis(1)).await;
            crowd.come(peer(last))
        };
        let (alone, known, answered) = (come(1).await, come(3).await, come(3).await);
        let strangers = [come(2).await, come(2).await];
        let (asked, asking) = (known.asking(), answered.asking());
        asked.is_known();
        asking.is_known();
        drop(asked);
        let new = come(3).await;
        let mut order = Vec::new();
        let all = [&alone, &known, &answered, &strangers[0], &strangers[1], &new];
        for _ in 0..6 {
            crowd.make_room();
            let gone = |at: &usize| all[*at].leave.is_cancelled() && !order.contains(at);
            if let Some(at) = (0..all.len()).find(gone) {
                order.push(at);
            }
        }
        // Of the address with the most, then of those with two, then the single ones; at last who is known.
        assert_eq!(order, [5, 3, 0, 4, 1]);
        drop(asking);
        crowd.make_room();
        assert!(answered.leave.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_strangers_connection_is_kept_for_a_short_time() {
        let crowd = Crowd::default();
        let (stranger, known) = (crowd.come(peer(1)), crowd.come(peer(1)));
        known.asking().is_known();
        stranger.is_strangers().await;
        assert!(tokio::time::timeout(STRANGERS * 10, known.is_strangers()).await.is_err());
    }
}
