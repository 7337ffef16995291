//! The network of one sandbox, as its calls see it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use egress::Egress;
use tokio::runtime::Handle;

use super::callers::{Callers, Connecting};
use super::party::{Caller, Party};
use super::publishing::Publishing;

/// The connections of one sandbox. Dropping it ends them.
pub(crate) struct SandboxNetwork {
    egress: Arc<Egress>,
    callers: Arc<Callers>,
    /// Addresses that lead here by themselves.
    addresses: Vec<IpAddr>,
    publishing: Arc<Publishing>,
}

/// A call in a sandbox, as long as this is kept.
pub(crate) struct Entered {
    callers: Arc<Callers>,
    number: u64,
    _party: Arc<dyn Party>,
}

impl std::fmt::Debug for SandboxNetwork {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SandboxNetwork").field("egress", &self.egress).finish_non_exhaustive()
    }
}

impl SandboxNetwork {
    pub(super) fn new(
        egress: Arc<Egress>,
        callers: Arc<Callers>,
        addresses: Vec<IpAddr>,
        publishing: Arc<Publishing>,
    ) -> SandboxNetwork {
        SandboxNetwork { egress, callers, addresses, publishing }
    }

    /// Lets a call's connections be told from those of others. Must be called in the runtime in which it asks.
    pub(crate) fn enter(&self, party: Arc<dyn Party>) -> Entered {
        let number = self.callers.enter(&party, Handle::current());
        Entered { callers: Arc::clone(&self.callers), number, _party: party }
    }

    /// The ports of its programs that are published.
    pub(crate) fn publishing(&self) -> &Arc<Publishing> {
        &self.publishing
    }

    /// Whether a connection to an address comes here.
    pub(crate) fn has(&self, address: SocketAddr) -> bool {
        self.egress.names().range().place_of(address.ip()).is_some() || self.addresses.contains(&address.ip())
    }

    /// Makes ready for a connection to an address that stands for a name.
    pub(crate) fn expect(&self, address: SocketAddr) {
        // Who connects is refused by the kernel then.
        if let Err(error) = self.egress.listen(address.port()) {
            tracing::debug!(%error, "a port is not listened on");
        }
    }
}

impl Entered {
    /// Takes note that a program connects to an address, which somebody does in its place.
    pub(crate) fn connects(&self, to: SocketAddr, caller: Caller) -> Connecting {
        self.callers.connects(to, self.number, caller)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.callers.leave(self.number);
    }
}
