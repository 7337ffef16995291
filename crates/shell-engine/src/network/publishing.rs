//! Ports of programs in one sandbox that are reachable at this machine's loopback: what listens inside is looked for, and
//! published while it does.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use egress::{Published, Sockets};
use tokio::runtime::Handle;

use crate::config::Ports;

/// How often it is looked for what listens.
const LOOKED_FOR: Duration = Duration::from_millis(200);
/// Ports of one sandbox that are published at the same time, and sentences about them that are kept.
const MOST: usize = 64;
const MOST_TOLD: usize = 1024;

/// The published ports of one sandbox.
pub(crate) struct Publishing {
    session: Weak<sandbox::Session>,
    runtime: Handle,
    /// Ports that are listened on inside for others.
    taken: Vec<u16>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    allowed: Ports,
    open: BTreeMap<u16, Option<Published>>,
    /// What there is to say to calls, in order.
    told: Vec<String>,
    watches: bool,
}

impl Publishing {
    pub(super) fn new(session: Weak<sandbox::Session>, runtime: Handle, taken: Vec<u16>) -> Publishing {
        Publishing { session, runtime, taken, state: Mutex::default() }
    }

    /// Publishes what listens on these ports, now or later.
    pub(crate) fn allow(self: &Arc<Self>, ports: &Ports) {
        if ports.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.allowed.add(ports);
        if !std::mem::replace(&mut state.watches, true) {
            self.runtime.spawn(watch(Arc::downgrade(self)));
        }
    }

    /// Whether a port is published as soon as something listens there.
    pub(crate) fn allows(&self, port: u16) -> bool {
        self.lock().allowed.has(port)
    }

    /// Lets a call hear what is published from now on.
    pub(crate) fn follow(self: &Arc<Self>) -> Publications {
        let seen = self.lock().told.len();
        Publications { publishing: Arc::clone(self), seen: AtomicUsize::new(seen) }
    }

    fn update(&self, listening: &[SocketAddr]) {
        let mut state = self.lock();
        let mut wanted: BTreeMap<u16, SocketAddr> = BTreeMap::new();
        for address in listening.iter().filter(|address| !self.taken.contains(&address.port())) {
            let known = wanted.get(&address.port());
            if state.allowed.has(address.port()) && known.is_none_or(|known| known.is_ipv6()) {
                wanted.insert(address.port(), *address);
            }
        }
        state.open.retain(|port, _| wanted.contains_key(port));
        for (port, inside) in wanted {
            if state.open.len() >= MOST || state.open.contains_key(&port) {
                continue;
            }
            let sockets = Arc::new(SessionSockets(self.session.clone()));
            let opened = Published::open(inside, sockets, &self.runtime);
            let told = match &opened {
                Ok(published) => in_words(port, published.address()),
                Err(error) => format!("port {port} could not be published: {error}"),
            };
            state.open.insert(port, opened.ok());
            if state.told.len() < MOST_TOLD {
                state.told.push(told);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_words(port: u16, address: SocketAddr) -> String {
    let other =
        if address.port() == port { String::new() } else { format!(" ({port} is taken on this machine)") };
    format!("port {port} of the command is published at http://{address}{other}")
}

async fn watch(publishing: Weak<Publishing>) {
    loop {
        let session = publishing.upgrade().and_then(|publishing| publishing.session.upgrade());
        let listed = match session {
            // The kernel answers at once, but whoever holds the session last waits for its end.
            Some(session) => tokio::task::spawn_blocking(move || session.listening()).await.ok(),
            None => None,
        };
        let Some(publishing) = publishing.upgrade() else { return };
        let Some(Ok(listening)) = listed else {
            publishing.lock().open.clear();
            return;
        };
        publishing.update(&listening);
        drop(publishing);
        tokio::time::sleep(LOOKED_FOR).await;
    }
}

/// Makes sockets in a session's network, as long as there is one.
#[derive(Debug)]
struct SessionSockets(Weak<sandbox::Session>);

impl Sockets for SessionSockets {
    fn make(&self, count: u16) -> io::Result<Vec<OwnedFd>> {
        self.0.upgrade().ok_or(io::ErrorKind::NotConnected)?.make_sockets(count)
    }
}

/// What one call hears of published ports.
pub(crate) struct Publications {
    publishing: Arc<Publishing>,
    seen: AtomicUsize,
}

impl std::fmt::Debug for Publications {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Publications").finish_non_exhaustive()
    }
}

impl Publications {
    /// What has been published since this was last called, a sentence each.
    pub(crate) fn news(&self) -> Vec<String> {
        let state = self.publishing.lock();
        let seen = self.seen.swap(state.told.len(), Ordering::Relaxed);
        state.told.get(seen..).unwrap_or_default().to_vec()
    }
}
