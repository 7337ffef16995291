//! What makes connections possible that are made by somebody outside: the sockets of a session's gateway.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

/// The IPv4 addresses that lead to the gateway: a range for benchmarks of network devices (RFC 2544), which no network routes.
/// The first of them, and how many bits are the same for all.
pub const RANGE_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 15);

/// The same for IPv6: a unique local range (RFC 4193) whose identifier was drawn by lot.
pub const RANGE_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd5e, 0x94a1, 0x7c3b, 0, 0, 0, 0, 0), 64);

/// Addresses and ports of one plan at most; each costs a route or a socket.
pub const MOST_ADDRESSES: usize = 64;
/// See above.
pub const MOST_HOST_PORTS: usize = 16;

/// What leads to a session's gateway besides names. None: names alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ByName {
    /// Addresses that programs may mean as such.
    pub addresses: Vec<IpAddr>,
    /// Ports of the host's own localhost, which are taken inside.
    pub host_ports: Vec<u16>,
}

/// The sockets of a gateway, to be served outside. What is accepted on them has as its own address the one that a program
/// inside has connected to.
#[derive(Debug)]
pub struct Gateway {
    /// Bound UDP sockets to which programs send their questions for names.
    pub datagrams: Vec<OwnedFd>,
    /// TCP sockets that listen for the same.
    pub streams: Vec<OwnedFd>,
    /// TCP sockets that listen inside, on the session's own loopback, in the place of ports of the host's.
    pub host_ports: Vec<OwnedFd>,
    /// TCP sockets that are not bound, for ports that shall be listened on: a few, and more are made when they are asked for
    /// ([`crate::Session::make_gateway_sockets`]).
    pub unbound: Vec<OwnedFd>,
    /// Where there is no network of its own, and so none of the others: a TCP socket that listens on this machine's loopback,
    /// at which programs ask for hosts ([`crate::Enforcement::by_proxy`]).
    pub proxy: Option<OwnedFd>,
}
