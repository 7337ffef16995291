//! Both sides: programs inside, servers outside, a judge and a resolver that do what a test says.

use egress::{
    Addresses, Attempt, Egress, Inside, Judge, Limits, Name, Owner, Range, Record, Resolve, Verdict, Waiting,
};
use rustix::net::{AddressFamily, SocketType};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// Local to every machine, and nobody else's.
pub(crate) const RANGE: Range =
    Range { v4: Ipv4Addr::new(127, 77, 0, 0), v4_prefix: 16, v6: Range::SANDBOX.v6 };

/// Where connections come from that are nobody's.
pub(crate) const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 99));

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A judge that knows names.
pub(crate) struct Rules {
    pub(crate) allowed: watch::Sender<Vec<&'static str>>,
    /// Answers nothing about other names, instead of no.
    pub(crate) waits: bool,
    /// Grants loopback, on which the servers outside are.
    pub(crate) grants_loopback: bool,
    /// Each address that programs come from, or connect to, has a share of the connections of its own; [`STRANGER`] has none.
    pub(crate) shares_by_address: bool,
    pub(crate) asked: AtomicUsize,
    pub(crate) withdrawn: Arc<AtomicUsize>,
    pub(crate) records: Mutex<Vec<Record>>,
    pub(crate) ended: watch::Sender<usize>,
}

impl Rules {
    pub(crate) fn allowing(names: &[&'static str]) -> Rules {
        Rules {
            allowed: watch::channel(names.to_vec()).0,
            waits: false,
            grants_loopback: true,
            shares_by_address: false,
            asked: AtomicUsize::new(0),
            withdrawn: Arc::default(),
            records: Mutex::default(),
            ended: watch::channel(0).0,
        }
    }

    pub(crate) fn allow(&self, name: &'static str) {
        self.allowed.send_modify(|allowed| allowed.push(name));
    }

    /// What became of connections, once there are so many.
    pub(crate) async fn records(&self, count: usize) -> Vec<Record> {
        let ended = async { self.ended.subscribe().wait_for(|ended| *ended >= count).await.map(|_| ()) };
        tokio::time::timeout(LONG, ended).await.unwrap().unwrap();
        self.records.lock().unwrap().clone()
    }
}

/// Counts questions that nobody waits for any more.
struct Withdrawn(Option<Arc<AtomicUsize>>);

impl Drop for Withdrawn {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Judge for Rules {
    fn judge<'j>(&'j self, attempt: &'j Attempt) -> Waiting<'j, Verdict> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let host = attempt.host.to_string();
            let mut allowed = self.allowed.subscribe();
            let is_allowed = |names: &Vec<&str>| names.contains(&host.as_str());
            if self.waits {
                let mut withdrawn = Withdrawn(Some(Arc::clone(&self.withdrawn)));
                allowed.wait_for(is_allowed).await.unwrap();
                withdrawn.0 = None;
            }
            let is_allowed = is_allowed(&self.allowed.borrow());
            if is_allowed { Verdict::Allow("a rule".to_owned()) } else { Verdict::Refuse }
        })
    }

    fn grants_address(&self, _attempt: &Attempt, address: IpAddr) -> bool {
        self.grants_loopback && address == Ipv6Addr::LOCALHOST
    }

    fn share(&self, program: SocketAddr, inside: SocketAddr) -> Waiting<'_, Option<u64>> {
        let last = |address: SocketAddr| match address.ip() {
            IpAddr::V4(address) => u64::from(address.octets()[3]),
            IpAddr::V6(_) => 0,
        };
        let share = if self.shares_by_address { last(program) << 8 | last(inside) } else { 0 };
        Box::pin(std::future::ready((program.ip() != STRANGER).then_some(share)))
    }

    fn ended(&self, record: &Record) {
        self.records.lock().unwrap().push(record.clone());
        self.ended.send_modify(|ended| *ended += 1);
    }
}

/// A resolver that knows what it is told, and all other names as `::1`.
#[derive(Default)]
pub(crate) struct Hosts {
    pub(crate) known: HashMap<&'static str, Vec<IpAddr>>,
    /// What is answered first, whatever is asked for.
    pub(crate) first: Mutex<Vec<Vec<IpAddr>>>,
    pub(crate) by_hosts_file: bool,
    pub(crate) asked: AtomicUsize,
}

impl Resolve for Hosts {
    fn resolve<'r>(&'r self, name: &'r Name) -> Waiting<'r, Result<Addresses, String>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let first = self.first.lock().unwrap().pop();
        let addresses = first.or_else(|| self.known.get(name.as_str()).cloned());
        let addresses = addresses.unwrap_or_else(|| vec![Ipv6Addr::LOCALHOST.into()]);
        let by_hosts_file = self.by_hosts_file;
        Box::pin(async move { Ok(Addresses { addresses, by_hosts_file }) })
    }
}

pub(crate) struct World {
    pub(crate) egress: Egress,
    pub(crate) rules: Arc<Rules>,
    pub(crate) hosts: Arc<Hosts>,
    /// Where the name server is.
    pub(crate) name_server: SocketAddr,
    /// Where the proxy is.
    pub(crate) proxy: SocketAddr,
}

impl World {
    pub(crate) fn new(rules: Rules) -> World {
        World::with(rules, Hosts::default(), Limits::with_descriptors(100_000))
    }

    pub(crate) fn with(rules: Rules, hosts: Hosts, limits: Limits) -> World {
        let (rules, hosts) = (Arc::new(rules), Arc::new(hosts));
        let unbound = || rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let streams = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let name_server = streams.local_addr().unwrap();
        let datagrams = std::net::UdpSocket::bind(name_server).unwrap();
        let proxy = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy_address = proxy.local_addr().unwrap();
        let inside = Inside {
            listening: Vec::new(),
            proxies: vec![OwnedFd::from(proxy)],
            range: RANGE,
            unbound: (0..8).map(|_| unbound()).collect(),
            more: None,
            datagrams: vec![OwnedFd::from(datagrams)],
            streams: vec![OwnedFd::from(streams)],
        };
        let egress = Egress::start(inside, rules.clone(), hosts.clone(), limits, &Owner::default()).unwrap();
        World { egress, rules, hosts, name_server, proxy: proxy_address }
    }

    /// A server outside, on a port that is listened on inside.
    pub(crate) async fn server(&self) -> (TcpListener, u16) {
        loop {
            let server = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
            let port = server.local_addr().unwrap().port();
            // Over IPv4 somebody else may have it.
            match self.egress.listen(port) {
                Ok(()) => return (server, port),
                Err(egress::ListenError::Refused(..)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// A program connects to a name.
    pub(crate) async fn connect(&self, name: &str, port: u16) -> TcpStream {
        let (address, _) = self.egress.names().addresses_of(&Name::new(name).unwrap()).unwrap();
        TcpStream::connect((address, port)).await.unwrap()
    }
}

/// A program connects from an address of this machine. It may be reset before it knows that it is connected.
pub(crate) async fn connect_from(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    tokio::time::timeout(LONG, socket.connect(to)).await.unwrap()
}

/// Whether machines can have no IPv6 at all.
pub(crate) fn has_outside() -> bool {
    let has = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        tell!("skipped: this machine has no IPv6 loopback");
    }
    has
}

/// Whether this process may open as many descriptors as a thousand connections need.
pub(crate) fn has_descriptors() -> bool {
    let maximum = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let limit = maximum.unwrap_or(u64::MAX);
    if limit < 8192 {
        tell!("skipped: {limit} descriptors are too few");
        return false;
    }
    let raised = rustix::process::Rlimit { current: Some(limit), maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    true
}
