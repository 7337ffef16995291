//! The network of one sandbox, as its calls see it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use egress::Egress;
use sandbox::ByName;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use super::callers::{Callers, Connecting};
use super::party::{Caller, Party};
use super::publishing::Publishing;

/// Ports on which is listened before anything connects that the kernel's door does not report: services that are commonly reached
/// elsewhere. What it reports is listened on before it is connected to.
const COMMON_PORTS: &[u16] = &[22, 80, 443, 3000, 3306, 5000, 5432, 6379, 8000, 8080, 8443, 9418, 27_017];

/// The connections of one sandbox. Dropping it ends them.
pub(crate) struct SandboxNetwork {
    egress: Arc<Egress>,
    callers: Arc<Callers>,
    /// What leads here besides names.
    by_name: ByName,
    /// Where programs ask for hosts, if they have to.
    proxy: Option<SocketAddr>,
    publishing: Arc<Publishing>,
    /// Whether programs that nothing reports can connect to common ports.
    common: OnceCell<()>,
}

/// A call in a sandbox, as long as this is kept.
pub(crate) struct Entered {
    callers: Arc<Callers>,
    number: u64,
    party: Arc<dyn Party>,
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
        by_name: ByName,
        proxy: Option<SocketAddr>,
        publishing: Arc<Publishing>,
    ) -> SandboxNetwork {
        SandboxNetwork { egress, callers, by_name, proxy, publishing, common: OnceCell::new() }
    }

    /// Lets a call's connections be told from those of others. Must be called in the runtime in which it asks.
    pub(crate) fn enter(&self, party: Arc<dyn Party>) -> Entered {
        let number = self.callers.enter(&party, Handle::current());
        Entered { callers: Arc::clone(&self.callers), number, party }
    }

    /// The ports of its programs that are published.
    pub(crate) fn publishing(&self) -> &Arc<Publishing> {
        &self.publishing
    }

    /// Whether a connection to an address comes here.
    pub(crate) fn has(&self, address: SocketAddr) -> bool {
        match self.proxy {
            Some(proxy) => address == proxy,
            None => self.is_gateways(address) || self.is_host_port(address),
        }
    }

    /// Where programs ask for hosts, because the sandbox has no network of its own: all that they may connect to.
    pub(crate) fn proxy(&self) -> Option<SocketAddr> {
        self.proxy
    }

    fn is_gateways(&self, address: SocketAddr) -> bool {
        let range = self.egress.names().range();
        range.place_of(address.ip()).is_some() || self.by_name.addresses.contains(&address.ip())
    }

    fn is_host_port(&self, address: SocketAddr) -> bool {
        let is_this_machine = address.ip().is_loopback() || address.ip().is_unspecified();
        is_this_machine && self.by_name.host_ports.contains(&address.port())
    }

    /// Makes ready for a program whose connections nothing reports before they are made.
    pub(crate) async fn expect_unreported(&self) {
        if self.proxy.is_some() {
            return;
        }
        let listen = || async {
            let egress = Arc::clone(&self.egress);
            let listen = move || COMMON_PORTS.iter().try_for_each(|port| egress.listen(*port));
            match tokio::task::spawn_blocking(listen).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "some programs in this sandbox cannot connect to a port by name");
                }
                Err(error) => tracing::error!(%error, "listening for a sandbox broke"),
            }
        };
        self.common.get_or_init(listen).await;
    }

    /// Makes ready for a connection to an address that leads here.
    pub(crate) fn expect(&self, address: SocketAddr) {
        if !self.is_gateways(address) {
            return;
        }
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

    /// Takes note that a program met no way to an address.
    pub(crate) fn has_no_way(&self, to: SocketAddr, program: &Path) {
        self.party.has_no_way(to, program);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.callers.leave(self.number);
    }
}
