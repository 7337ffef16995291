//! Names outside: the machine's own hosts file, then its name servers.
//!
//! Not by the C library: in a static program its `getaddrinfo` loads plug-ins of another one.

use crate::judge::Waiting;
use crate::name::Name;
use domain::resolv::StubResolver;
use domain::resolv::stub::conf::{ResolvConf, ServerConf, Transport};
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How long a name server may take, with all its attempts.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long addresses are believed, and of how many names.
const BELIEVED: Duration = Duration::from_secs(30);
const MOST_BELIEVED: usize = 4096;
/// Addresses of one name that are of use.
const MOST_ADDRESSES: usize = 16;
/// Where name servers listen, and how many of them count.
const DNS: u16 = 53;
const MOST_SERVERS: usize = 3;
/// The largest hosts file that is read.
const LARGEST_HOSTS: u64 = 4 << 20;

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The addresses, best first.
    pub addresses: Vec<IpAddr>,
    /// The machine's own hosts file says so, which only its administrator writes.
    pub by_hosts_file: bool,
}

/// Who knows the addresses of names.
pub trait Resolve: Send + Sync + 'static {
    /// Finds the addresses of a name, without parts of it being understood as addresses.
    fn resolve<'r>(&'r self, name: &'r Name) -> Waiting<'r, Result<Addresses, String>>;
}

/// The machine's own way of resolving names.
#[derive(Debug)]
pub struct SystemResolver {
    hosts: PathBuf,
    configuration: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hosts: Option<(Stamp, Arc<HostsFile>)>,
    servers: Option<(Stamp, Arc<StubResolver>)>,
    known: HashMap<Name, (Instant, Addresses)>,
}

/// What a hosts file says.
type HostsFile = HashMap<Name, Vec<IpAddr>>;

/// When a file was changed, and how long it was.
type Stamp = Option<(SystemTime, u64)>;

/// Reads the servers, and how they are asked (resolv.conf(5)); names are whole here, so nothing is searched. Not by the library,
/// which has the C library read addresses. Where no server is named, one on this machine is meant.
fn configuration_in(text: &str) -> ResolvConf {
    let mut configuration = ResolvConf::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") if configuration.servers.len() < MOST_SERVERS => {
                let address = words.next().and_then(server_address);
                let server = address.map(|address| ServerConf::new(address, Transport::UdpTcp));
                configuration.servers.extend(server);
            }
            Some("options") => words.for_each(|word| option(&mut configuration, word)),
            _ => {}
        }
    }
    configuration.finalize();
    configuration
}

/// An address of a name server, which may be of one interface (`fe80::1%2`).
fn server_address(word: &str) -> Option<SocketAddr> {
    match word.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, DNS)),
        Err(_) => format!("[{word}]:{DNS}").parse().ok(),
    }
}

fn option(configuration: &mut ResolvConf, word: &str) {
    let (name, number) = word.split_once(':').unwrap_or((word, ""));
    match (name, number.parse::<u8>()) {
        ("timeout", Ok(seconds)) => {
            configuration.options.timeout = Duration::from_secs(seconds.clamp(1, 30).into());
        }
        ("attempts", Ok(attempts)) => configuration.options.attempts = attempts.clamp(1, 5).into(),
        ("rotate", _) => configuration.options.rotate = true,
        ("use-vc", _) => configuration.options.use_vc = true,
        _ => {}
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        SystemResolver::of("/etc/hosts".into(), "/etc/resolv.conf".into())
    }
}

impl SystemResolver {
    /// Returns one that reads these files, again whenever they change.
    #[must_use]
    pub fn of(hosts: PathBuf, configuration: PathBuf) -> SystemResolver {
        SystemResolver { hosts, configuration, state: Mutex::default() }
    }

    async fn find(&self, name: &Name) -> Result<Addresses, String> {
        if let Some(addresses) = self.in_hosts_file(name) {
            return Ok(Addresses { addresses, by_hosts_file: true });
        }
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        let servers = self.servers();
        let wanted: domain::base::Name<Vec<u8>> =
            name.as_str().parse().map_err(|_| "it is no name".to_owned())?;
        let looked = tokio::time::timeout(PATIENCE, servers.lookup_host(&wanted)).await;
        let found = match looked {
            Ok(Ok(found)) => found.iter().take(MOST_ADDRESSES).collect::<Vec<IpAddr>>(),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("no name server answers".to_owned()),
        };
        if found.is_empty() {
            return Err("there is no such host".to_owned());
        }
        let addresses = Addresses { addresses: in_turn(found), by_hosts_file: false };
        self.remember(name, &addresses);
        Ok(addresses)
    }

    fn in_hosts_file(&self, name: &Name) -> Option<Vec<IpAddr>> {
        let stamp = stamp(&self.hosts);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let hosts = match &state.hosts {
            Some((read, hosts)) if *read == stamp => Arc::clone(hosts),
            _ => {
                let hosts = Arc::new(hosts_in(&read(&self.hosts)));
                state.hosts = Some((stamp, Arc::clone(&hosts)));
                hosts
            }
        };
        hosts.get(name).cloned()
    }

    fn servers(&self) -> Arc<StubResolver> {
        let stamp = stamp(&self.configuration);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, servers)) = &state.servers
            && *read == stamp
        {
            return Arc::clone(servers);
        }
        let text = read(&self.configuration);
        let servers = Arc::new(StubResolver::from_conf(configuration_in(&String::from_utf8_lossy(&text))));
        state.servers = Some((stamp, Arc::clone(&servers)));
        state.known.clear();
        servers
    }

    fn known(&self, name: &Name) -> Option<Addresses> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Other servers than those that said so may know better.
        if state.servers.as_ref().is_none_or(|(read, _)| *read != stamp(&self.configuration)) {
            state.known.clear();
        }
        let (since, addresses) = state.known.get(name)?;
        (since.elapsed() < BELIEVED).then(|| addresses.clone())
    }

    fn remember(&self, name: &Name, addresses: &Addresses) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.known.len() >= MOST_BELIEVED {
            state.known.clear();
        }
        state.known.insert(name.clone(), (Instant::now(), addresses.clone()));
    }
}

impl Resolve for SystemResolver {
    fn resolve<'r>(&'r self, name: &'r Name) -> Waiting<'r, Result<Addresses, String>> {
        Box::pin(self.find(name))
    }
}

/// Puts addresses of both families in turn, so that a family that leads nowhere costs one attempt (RFC 8305, section 4).
fn in_turn(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (four, six): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    let (mut four, mut six) = (four.into_iter(), six.into_iter());
    let mut turn = Vec::new();
    loop {
        match (six.next(), four.next()) {
            (None, None) => return turn,
            (one, other) => turn.extend(one.into_iter().chain(other)),
        }
    }
}

/// Reads a hosts file (hosts(5)). What is no name or address in it is somebody else's.
fn hosts_in(text: &[u8]) -> HostsFile {
    let mut hosts = HostsFile::new();
    for line in String::from_utf8_lossy(text).lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        for name in words.filter_map(Name::new) {
            hosts.entry(name).or_default().push(address);
        }
    }
    hosts
}

fn read(path: &Path) -> Vec<u8> {
    let is_small = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST_HOSTS);
    if is_small { fs::read(path).unwrap_or_default() } else { Vec::new() }
}

fn stamp(path: &Path) -> Stamp {
    let file = fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file_names_addresses() {
        let hosts = hosts_in(
            b"# all\n10.0.0.5 db.internal DB # ours\n\n::1 localhost\nfe80::1%lo0 x\n10.0.0.6 db.internal\n",
        );
        let of = |name: &str| hosts.get(&Name::new(name).unwrap()).cloned().unwrap_or_default();
        assert_eq!(of("db.internal"), ["10.0.0.5".parse::<IpAddr>().unwrap(), "10.0.0.6".parse().unwrap()]);
        assert_eq!(of("db").len(), 1);
        assert!(of("x").is_empty());
    }

    #[test]
    fn a_configuration_names_servers() {
        let text = "# all\nnameserver 10.0.0.1\nnameserver fe80::1%2\nnameserver db.internal\nsearch a b\n\
                    options timeout:200 attempts:x rotate ndots:9\nnameserver ::1\nnameserver 10.0.0.4\n";
        let configuration = configuration_in(text);
        let servers: Vec<String> =
            configuration.servers.iter().map(|server| server.addr.to_string()).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[fe80::1%2]:53", "[::1]:53"]);
        assert_eq!(configuration.servers[0].request_timeout, Duration::from_secs(30));
        assert!(configuration.options.rotate && !configuration.options.use_vc);
        assert_eq!(configuration_in("").servers[0].addr.to_string(), "127.0.0.1:53");
    }

    #[test]
    fn both_families_come_in_turn() {
        let addresses = ["1.1.1.1", "1.1.1.2", "1.1.1.3", "2a00::1"].map(|text| text.parse().unwrap());
        let turn: Vec<String> = in_turn(addresses.to_vec()).iter().map(ToString::to_string).collect();
        assert_eq!(turn, ["2a00::1", "1.1.1.1", "1.1.1.2", "1.1.1.3"]);
    }
}
