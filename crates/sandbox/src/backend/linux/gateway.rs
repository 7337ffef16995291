//! Makes a session's gateway: a second network namespace, where every address of a range arrives.
//!
//! Both belong to the session's user namespace, and a pair of interfaces joins them. In the gateway the whole range is local,
//! so a socket that listens on a port there accepts connections to every address at that port, and is in nobody's way inside.
//! The session routes the range there and nothing else, so all other addresses stay unreachable at once.
//!
//! Runs in init, before anything hostile does.

use super::netlink::Netlink;
use super::wire::MAX_PASSED;
use super::{packet, sys};
use crate::gateway::{ByName, Gateway, MOST_ADDRESSES, MOST_HOST_PORTS, RANGE_V4, RANGE_V6};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Ends of the pair: addresses that only mean something on one link (RFC 6333, section 5.7), and unique local ones.
const HERE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 0, 1));
const INSIDE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 0, 2));
const HERE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd5e, 0x94a1, 0x7c3b, 1, 0, 0, 0, 1));
const INSIDE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd5e, 0x94a1, 0x7c3b, 1, 0, 0, 0, 2));

/// Sockets for ports that are listened on: so many lie ready, and more are made when they are asked for ([`send_sockets`], in the
/// gateway). A session whose guard runs no errands gets all at once.
const READY: usize = 4;
const WITHOUT_ERRANDS: usize = 64;
/// Questions that wait until they are taken.
const BACKLOG: i32 = 128;
/// Where names are asked for inside: what is meant where nothing is said (resolv.conf(5)), and systemd-resolved's own.
const NAME_SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 53)];
const NAMES: u16 = 53;

/// Settings of the gateway, each with its reason. Where one cannot be made, less is as quick or as quiet as it should be.
const SETTINGS: &[(&str, &str)] = &[
    // Who holds the sockets outside may lack the capability.
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    // Nothing answers but TCP.
    ("net/ipv4/icmp_echo_ignore_all", "1"),
    ("net/ipv6/icmp/echo_ignore_all", "1"),
    // Whatever is sent by UDP is refused at once, also the second time.
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv6/icmp/ratelimit", "0"),
];

/// Returns all sockets of a gateway, in an order that [`put_together`] knows.
pub(super) fn sockets(gateway: &Gateway) -> impl Iterator<Item = &OwnedFd> {
    let own =
        gateway.datagrams.iter().chain(&gateway.streams).chain(&gateway.host_ports).chain(&gateway.unbound);
    own.chain(&gateway.proxy)
}

/// Puts the sockets of a gateway together again; `None` if they are not what was taken apart.
pub(super) fn put_together(sockets: impl IntoIterator<Item = OwnedFd>) -> Option<Gateway> {
    let mut sockets = sockets.into_iter();
    let mut take = || sockets.by_ref().take(NAME_SERVERS.len()).collect::<Vec<_>>();
    let (datagrams, streams) = (take(), take());
    let listens = |socket: &OwnedFd| sockopt::socket_acceptconn(socket).unwrap_or(false);
    let (host_ports, unbound): (Vec<OwnedFd>, Vec<OwnedFd>) = sockets.partition(listens);
    (!unbound.is_empty()).then_some(Gateway { datagrams, streams, host_ports, unbound, proxy: None })
}

/// The gateway of a session without a network of its own.
pub(super) fn with_proxy(proxy: OwnedFd) -> Gateway {
    let [datagrams, streams, host_ports, unbound] = [const { Vec::new() }; 4];
    Gateway { datagrams, streams, host_ports, unbound, proxy: Some(proxy) }
}

/// Makes one, and tells its port. On this machine's loopback, where others see it: who serves it takes only connections that
/// were announced to it.
pub(super) fn open_proxy() -> io::Result<(Gateway, u16)> {
    let proxy = listening((Ipv4Addr::LOCALHOST, 0).into())?;
    let address: SocketAddr = rustix::net::getsockname(&proxy)?.try_into()?;
    Ok((with_proxy(proxy), address.port()))
}

/// Makes the gateway of this process's network namespace, which stays where it is. Also returns the gateway's own namespace, from
/// which the guard makes more sockets if it can.
pub(super) fn open(by_name: &ByName, errands: bool) -> io::Result<(Gateway, OwnedFd)> {
    sys::bring_loopback_up()?;
    let inside = fs::File::open("/proc/self/ns/net")?;
    sys::unshare(libc::CLONE_NEWNET)?;
    let made = make(inside.as_fd(), by_name, if errands { READY } else { WITHOUT_ERRANDS });
    // Whatever happened: nothing may go on in the gateway.
    move_into_link_name_space(inside.as_fd(), Some(LinkNameSpaceType::Network))?;
    let (unbound, namespace, has_v6) = made?;
    connect(has_v6, by_name)?;
    let (mut datagrams, mut streams) = (Vec::new(), Vec::new());
    for address in NAME_SERVERS {
        let address = SocketAddr::from((address, NAMES));
        let datagram = socket(AddressFamily::INET, SocketType::DGRAM)?;
        rustix::net::bind(&datagram, &address)?;
        datagrams.push(datagram);
        streams.push(listening(address)?);
    }
    let ports = by_name.host_ports.iter().take(MOST_HOST_PORTS);
    let loopback = |port: &u16| {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        [Some(v4), has_v6.then_some((Ipv6Addr::LOCALHOST, *port).into())].into_iter().flatten()
    };
    let host_ports = ports.flat_map(loopback).map(listening).collect::<io::Result<_>>()?;
    Ok((Gateway { datagrams, streams, host_ports, unbound, proxy: None }, namespace))
}

fn listening(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let stream = socket(family, SocketType::STREAM)?;
    sockopt::set_socket_reuseaddr(&stream, true)?;
    rustix::net::bind(&stream, &address)?;
    rustix::net::listen(&stream, BACKLOG)?;
    Ok(stream)
}

/// The addresses that lead to the gateway by themselves, each with what it is routed by.
fn addresses(by_name: &ByName, has_v6: bool) -> impl Iterator<Item = (IpAddr, u8)> {
    let routed = by_name.addresses.iter().take(MOST_ADDRESSES);
    routed.filter(move |address| address.is_ipv4() || has_v6).map(|address| match address {
        IpAddr::V4(_) => (*address, 32),
        IpAddr::V6(_) => (*address, 128),
    })
}

/// The gateway's side. Returns so many sockets, its namespace, and whether there is IPv6.
fn make(inside: BorrowedFd<'_>, by_name: &ByName, count: usize) -> io::Result<(Vec<OwnedFd>, OwnedFd, bool)> {
    sys::bring_loopback_up()?;
    for (setting, value) in SETTINGS {
        let _ = fs::write(format!("/proc/sys/{setting}"), value);
    }
    let netlink = Netlink::open()?;
    netlink.add_pair("inside", "eth0", inside)?;
    let (loopback, pair) = (netlink.interface("lo")?, netlink.interface("inside")?);
    netlink.add_address(pair, HERE_V4, 30)?;
    speed_up(&netlink, pair);
    netlink.bring_up(pair)?;
    netlink.make_local(RANGE_V4.0.into(), RANGE_V4.1, loopback)?;
    // Machines without IPv6 do without.
    let has_v6 = netlink.add_address(pair, HERE_V6, 64).is_ok()
        && netlink.make_local(RANGE_V6.0.into(), RANGE_V6.1, loopback).is_ok();
    for (address, prefix) in addresses(by_name, has_v6) {
        netlink.make_local(address, prefix, loopback)?;
    }
    let family = if has_v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let unbound = (0..count).map(|_| socket(family, SocketType::STREAM)).collect::<io::Result<_>>()?;
    Ok((unbound, fs::File::open("/proc/self/ns/net")?.into(), has_v6))
}

/// Has an end of the pair take much at once: half of what a download costs is the number of packets.
fn speed_up(netlink: &Netlink, pair: u32) {
    // Kernels that do not know of it are slower.
    let _ = netlink.take_much_at_once(pair);
}

/// The session's side.
fn connect(has_v6: bool, by_name: &ByName) -> io::Result<()> {
    let netlink = Netlink::open()?;
    let pair = netlink.interface("eth0")?;
    netlink.add_address(pair, INSIDE_V4, 30)?;
    if has_v6 {
        netlink.add_address(pair, INSIDE_V6, 64)?;
    }
    speed_up(&netlink, pair);
    netlink.bring_up(pair)?;
    netlink.route_to(RANGE_V4.0.into(), RANGE_V4.1, pair, HERE_V4)?;
    if has_v6 {
        netlink.route_to(RANGE_V6.0.into(), RANGE_V6.1, pair, HERE_V6)?;
    }
    for (address, prefix) in addresses(by_name, has_v6) {
        let gateway = if address.is_ipv4() { HERE_V4 } else { HERE_V6 };
        netlink.route_to(address, prefix, pair, gateway)?;
    }
    Ok(())
}

fn socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}

/// Makes sockets of this process's network namespace, and sends them to who has asked: TCP of both families, where there are both.
/// In the session's, programs inside are reached with them; in its gateway, they are listened on.
pub(super) fn send_sockets(asker: &OwnedFd, count: u16) -> io::Result<()> {
    let made = |_| {
        socket(AddressFamily::INET6, SocketType::STREAM)
            .or_else(|_| socket(AddressFamily::INET, SocketType::STREAM))
    };
    let sockets = (0..usize::from(count).min(MAX_PASSED)).map(made).collect::<io::Result<Vec<_>>>()?;
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    packet::send(asker, &true, &descriptors)
}

/// Files that say how names are found, and what is shown over each, in the session's own `/dev`.
pub(super) const NAME_FILES: [(&str, &str); 2] = [("/etc/resolv.conf", RESOLVER), ("/etc/hosts", HOSTS)];
const RESOLVER: &str = ".resolv.conf";
const HOSTS: &str = ".hosts";

/// What `/etc/resolv.conf` and `/etc/hosts` say inside: names are asked for here, in the same domains as outside; and of the
/// machine's own names those that mean the asker itself. All others are hosts like any other, to be judged.
pub(super) fn name_files() -> [(&'static str, String); 2] {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let resolver = read("/etc/resolv.conf");
    let is_kept = |line: &&str| {
        ["search", "domain", "options"].contains(&line.split_ascii_whitespace().next().unwrap_or_default())
    };
    let mut configuration = format!("nameserver {}\n", NAME_SERVERS[0]);
    for line in resolver.lines().filter(is_kept) {
        configuration.push_str(line);
        configuration.push('\n');
    }
    let hosts = read("/etc/hosts");
    let is_own = |line: &&str| {
        let address = line.split_ascii_whitespace().next().and_then(|word| word.parse::<IpAddr>().ok());
        address.is_some_and(|address| address.is_loopback())
    };
    let mut own = String::from("127.0.0.1 localhost\n::1 localhost\n");
    for line in hosts.lines().filter(is_own) {
        own.push_str(line);
        own.push('\n');
    }
    [(RESOLVER, configuration), (HOSTS, own)]
}
