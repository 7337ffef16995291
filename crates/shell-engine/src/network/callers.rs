//! Which call and which program has made a connection.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::party::{Caller, Party};

/// Connections whose program is known and that have not come yet, at most.
const MOST_EXPECTED: usize = 8192;
/// How long to wait for the word of whoever makes a connection in a program's place: it comes right after the connection,
/// but not where something else that connects to the same place hangs.
const PATIENCE: Duration = Duration::from_secs(10);

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
    /// Connections that somebody is making in a program's place, by where they go to.
    under_way: HashMap<SocketAddr, usize>,
    /// Connections that were made so, by where they come from.
    expected: HashMap<SocketAddr, Expected>,
}

/// A connection of which is known who has made it.
struct Expected {
    call: u64,
    caller: Caller,
    is_made: Sender<bool>,
}

/// Whose connection one is.
pub(super) struct Told {
    pub(super) call: Option<Call>,
    pub(super) caller: Caller,
    /// Who connects in the program's place hears whether it comes about.
    pub(super) is_made: Option<Sender<bool>>,
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
        state.expected.retain(|_, expected| expected.call != number);
    }

    /// Takes note that somebody connects to an address in a program's place: whoever comes there may be that program.
    pub(super) fn connects(self: &Arc<Self>, to: SocketAddr, call: u64, caller: Caller) -> Connecting {
        let to = canonical(to);
        *self.lock().under_way.entry(to).or_default() += 1;
        Connecting { callers: Arc::clone(self), to, call, caller }
    }

    /// Whose connection this is, if somebody has said so.
    pub(super) async fn told(&self, from: SocketAddr, to: SocketAddr) -> Option<Told> {
        self.wait_for(to, || self.take(from)).await
    }

    /// Whose connection one is of which nobody has said so: of the only call that there is.
    pub(super) fn untold(&self) -> Told {
        Told { call: self.only(), caller: Caller::default(), is_made: None }
    }

    /// Whose connection this is, as far as it is known at once.
    pub(super) fn of(&self, from: SocketAddr) -> Told {
        self.take(from).unwrap_or_else(|| self.untold())
    }

    /// Whose share of the connections one from this address counts to, if somebody has said whose it is.
    pub(super) async fn share(&self, from: SocketAddr, to: SocketAddr) -> Option<u64> {
        self.wait_for(to, || self.lock().expected.get(&from).map(|expected| expected.call)).await
    }

    /// The share of one of which nobody has said so: of the only call that there is, or none's in particular.
    pub(super) fn untold_share(&self) -> u64 {
        self.only().map(|call| call.number).unwrap_or_default()
    }

    /// Waits until something is known of a connection that has come to an address, or it is clear that nothing will be.
    async fn wait_for<T>(&self, to: SocketAddr, mut known: impl FnMut() -> Option<T>) -> Option<T> {
        let to = canonical(to);
        let waited = async {
            loop {
                let came = self.came.notified();
                tokio::pin!(came);
                // From here on nothing is missed.
                came.as_mut().enable();
                // Looked at first: who is not under way any more has said whatever there is to say.
                let is_under_way = self.lock().under_way.contains_key(&to);
                let known = known();
                if known.is_some() || !is_under_way {
                    return known;
                }
                came.await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.ok().flatten()
    }

    fn take(&self, from: SocketAddr) -> Option<Told> {
        let mut state = self.lock();
        let Expected { call, caller, is_made } = state.expected.remove(&from)?;
        Some(Told { call: state.calls.get(&call).cloned(), caller, is_made: Some(is_made) })
    }

    fn only(&self) -> Option<Call> {
        self.lock().only().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that somebody is making in a program's place, until this is dropped.
pub(crate) struct Connecting {
    callers: Arc<Callers>,
    to: SocketAddr,
    call: u64,
    caller: Caller,
}

impl Connecting {
    /// It is made as far as the gateway, from this address. Whether it comes about is heard there.
    pub(crate) fn has_connected(self, from: SocketAddr) -> Receiver<bool> {
        let (is_made, hears) = channel();
        let mut state = self.callers.lock();
        if state.expected.len() >= MOST_EXPECTED {
            // They have not come, so they have given up.
            state.expected.clear();
        }
        let expected = Expected { call: self.call, caller: self.caller.clone(), is_made };
        state.expected.insert(canonical(from), expected);
        drop(state);
        hears
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let mut state = self.callers.lock();
        if let Some(count) = state.under_way.get_mut(&self.to) {
            *count -= 1;
            if *count == 0 {
                state.under_way.remove(&self.to);
            }
        }
        drop(state);
        self.callers.came.notify_waiters();
    }
}

/// One form for what the kernel takes for the same: no address at all means this machine.
fn canonical(address: SocketAddr) -> SocketAddr {
    let ip = address.ip().to_canonical();
    let own = if ip.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    SocketAddr::new(if ip.is_unspecified() { own } else { ip }, address.port())
}

impl State {
    fn only(&self) -> Option<&Call> {
        let mut calls = self.calls.values();
        calls.next().filter(|_| calls.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::super::party::{Ended, Said, Wish};
    use super::*;
    use std::path::PathBuf;
    use std::pin::Pin;

    struct Nobody;

    impl Party for Nobody {
        fn ask<'p>(&'p self, _: &'p Wish) -> Pin<Box<dyn Future<Output = Said> + Send + 'p>> {
            Box::pin(std::future::ready(Said::No(String::new())))
        }

        fn ended(&self, _: &Ended) {}

        fn has_no_way(&self, _: SocketAddr, _: &std::path::Path) {}
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn curl() -> Caller {
        Caller { program: PathBuf::from("/usr/bin/curl"), ..Caller::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn who_connects_is_known_however_late_the_word_of_it_comes() {
        let callers = Arc::new(Callers::default());
        let party: Arc<dyn Party> = Arc::new(Nobody);
        let (call, _other) =
            (callers.enter(&party, Handle::current()), callers.enter(&party, Handle::current()));
        let (from, to) = (address("192.0.0.2:40000"), address("198.18.1.0:443"));
        let connecting = callers.connects(to, call, curl());
        let told = async {
            tokio::time::sleep(PATIENCE / 2).await;
            drop(connecting.has_connected(from));
        };
        let found = async { (callers.share(from, to).await, callers.told(from, to).await) };
        let ((share, whose), ()) = tokio::join!(found, told);
        let whose = whose.unwrap();
        assert_eq!((whose.call.map(|call| call.number), whose.caller.program), (Some(call), curl().program));
        assert_eq!(share, Some(call));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_where_nobody_connects() {
        let callers = Arc::new(Callers::default());
        let party: Arc<dyn Party> = Arc::new(Nobody);
        let call = callers.enter(&party, Handle::current());
        let (from, to) = (address("192.0.0.2:40000"), address("198.18.1.0:443"));
        let elsewhere = callers.connects(address("198.18.1.0:80"), call, curl());
        let begin = tokio::time::Instant::now();
        assert!(callers.told(from, to).await.is_none());
        let whose = callers.untold();
        assert_eq!((whose.call.map(|call| call.number), whose.caller.program), (Some(call), PathBuf::new()));
        assert_eq!(begin.elapsed(), Duration::ZERO);
        drop(elsewhere);
    }

    #[tokio::test]
    async fn addresses_that_the_kernel_takes_for_the_same_are_the_same() {
        let callers = Arc::new(Callers::default());
        let connecting = callers.connects(address("0.0.0.0:5432"), 1, curl());
        drop(connecting.has_connected(address("[::ffff:127.0.0.1]:40000")));
        let told = callers.told(address("127.0.0.1:40000"), address("127.0.0.1:5432")).await;
        assert_eq!(told.unwrap().caller.program, curl().program);
    }
}
