//! What all sandboxes of a server have in common, and the thread that serves their connections.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use egress::{Egress, Inside, Limits, Owner, Range, SystemResolver};
use execpolicy::Policy;
use sandbox::{ByName, Gateway, RANGE_V4, RANGE_V6};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::callers::Callers;
use super::grounds::{Reach, named};
use super::judge::{SandboxJudge, host};
use super::opened::OpenConnection;
use super::publishing::Publishing;
use super::sandbox_network::SandboxNetwork;
use crate::config::{Hosts, Reachable};
use crate::rules::Rules;

/// Where names are asked for inside.
const NAMES: u16 = 53;
/// How often open connections are compared with the rules.
const RULES_LOOKED_AT: Duration = Duration::from_millis(500);

/// Makes connections for the sandboxes of one server, on one thread of its own: bytes of a command are not in the way of calls.
pub(crate) struct Networks {
    rules: Arc<Rules>,
    hosts: Arc<Hosts>,
    resolver: Arc<SystemResolver>,
    /// One who asks, of whom a server may have many.
    owner: Owner,
    runtime: OnceLock<Runtime>,
    served: Mutex<Vec<(Weak<Egress>, Weak<SandboxJudge>)>>,
}

#[derive(Debug)]
struct Runtime {
    handle: Handle,
    /// Ends the thread when it is dropped.
    _end: oneshot::Sender<()>,
}

impl std::fmt::Debug for Networks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Networks").finish_non_exhaustive()
    }
}

impl Networks {
    /// None yet; the thread starts with the first.
    pub(crate) fn new(rules: Arc<Rules>, hosts: Arc<Hosts>) -> Networks {
        Networks {
            rules,
            hosts,
            resolver: Arc::default(),
            owner: Owner::default(),
            runtime: OnceLock::new(),
            served: Mutex::default(),
        }
    }

    /// Whether the user has said something about hosts.
    pub(crate) async fn are_wanted(&self) -> bool {
        self.hosts.said || !self.rules.current().await.network_rules().is_empty()
    }

    /// What commands reach by name at present, besides names: that has to be made ready before they run.
    pub(crate) async fn reachable(&self) -> Reachable {
        let policy = self.rules.current().await;
        Reachable::of(named(&policy, &self.hosts), policy.caps().bounds_hosts())
    }

    /// The connections that are open in all sandboxes, the oldest first.
    pub(crate) fn open(&self) -> Vec<OpenConnection> {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.retain(|(egress, _)| egress.strong_count() > 0);
        let served = served.iter().filter_map(|(egress, judge)| Some((egress.upgrade()?, judge.upgrade()?)));
        let mut open: Vec<(Instant, OpenConnection)> = Vec::new();
        for (egress, judge) in served {
            open.extend(egress.open().into_iter().map(|one| {
                let program = judge.program_of(&one.attempt);
                (one.since, OpenConnection::new(host(&one.attempt), program, one))
            }));
        }
        open.sort_by_key(|(since, _)| *since);
        open.into_iter().map(|(_, one)| one).collect()
    }

    /// Serves the gateway of a sandbox, which reaches this, too.
    pub(crate) fn serve(
        &self,
        gateway: Gateway,
        by_name: &ByName,
        reach: Reach,
        session: Weak<sandbox::Session>,
    ) -> io::Result<SandboxNetwork> {
        let runtime = self.runtime()?;
        let callers = Arc::new(Callers::default());
        let judge = Arc::new(SandboxJudge {
            rules: Arc::clone(&self.rules),
            hosts: Arc::clone(&self.hosts),
            reach,
            named: by_name.clone(),
            only_announced: gateway.proxy.is_some(),
            callers: Arc::clone(&callers),
            known: Mutex::new(HashMap::new()),
            seen: Mutex::new(Arc::new(Policy::empty())),
        });
        let sockets = GatewaySockets(Weak::clone(&session));
        let proxy =
            gateway.proxy.as_ref().and_then(|proxy| rustix::net::getsockname(proxy).ok()?.try_into().ok());
        let inside = Inside {
            range: Range { v4: RANGE_V4.0, v4_prefix: RANGE_V4.1, v6: RANGE_V6.0 },
            unbound: gateway.unbound,
            more: Some(Arc::new(sockets)),
            datagrams: gateway.datagrams,
            streams: gateway.streams,
            listening: gateway.host_ports,
            proxies: gateway.proxy.into_iter().collect(),
        };
        let limits = Limits::with_descriptors(
            rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX),
        );
        let _entered = runtime.enter();
        let (judging, resolving): (Arc<dyn egress::Judge>, Arc<dyn egress::Resolve>) =
            (judge.clone(), self.resolver.clone());
        let egress = Arc::new(Egress::start(inside, judging, resolving, limits, &self.owner)?);
        let (watched, looking) = (Arc::downgrade(&egress), Arc::clone(&judge));
        let of_sandbox = (watched.clone(), Arc::downgrade(&judge));
        self.served.lock().unwrap_or_else(PoisonError::into_inner).push(of_sandbox);
        runtime.spawn(async move {
            let mut before = Arc::new(Policy::empty());
            loop {
                tokio::time::sleep(RULES_LOOKED_AT).await;
                let Some(egress) = watched.upgrade() else { return };
                if egress.open().is_empty() {
                    continue;
                }
                let policy = looking.rules.current().await;
                if !Arc::ptr_eq(&before, &policy) {
                    egress.retain(|attempt, _| looking.may_stay(&policy, attempt));
                    before = policy;
                }
            }
        });
        let taken = [NAMES].into_iter().chain(by_name.host_ports.iter().copied()).collect();
        let publishing = Arc::new(Publishing::new(session, runtime.clone(), taken));
        publishing.allow(&self.hosts.published);
        Ok(SandboxNetwork::new(egress, callers, by_name.clone(), proxy, publishing))
    }

    fn runtime(&self) -> io::Result<&Handle> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(&runtime.handle);
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        std::thread::Builder::new().name("egress".into()).spawn(move || {
            // It ends with whoever holds the other side.
            let _ = runtime.block_on(ended);
        })?;
        Ok(&self.runtime.get_or_init(|| Runtime { handle, _end: end }).handle)
    }
}

/// Makes sockets in a session's gateway, as long as there is one.
#[derive(Debug)]
struct GatewaySockets(Weak<sandbox::Session>);

impl egress::Sockets for GatewaySockets {
    fn make(&self, count: u16) -> io::Result<Vec<OwnedFd>> {
        self.0.upgrade().ok_or(io::ErrorKind::NotConnected)?.make_gateway_sockets(count)
    }
}
