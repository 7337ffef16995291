//! Requests about interfaces, addresses and routes (rtnetlink(7)), each answered before the next.

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Numbers of linux/rtnetlink.h, linux/if_link.h, linux/veth.h and linux/if_addr.h that C libraries do not have alike.
mod number {
    pub(super) const NEW_LINK: u16 = 16;
    pub(super) const NEW_ADDRESS: u16 = 20;
    pub(super) const NEW_ROUTE: u16 = 24;
    pub(super) const REQUEST: u16 = 1;
    pub(super) const ACKNOWLEDGE: u16 = 4;
    pub(super) const EXCLUSIVE: u16 = 0x200;
    pub(super) const CREATE: u16 = 0x400;
    pub(super) const ERROR: u16 = 2;
    pub(super) const LINK_NAME: u16 = 3;
    pub(super) const LINK_MTU: u16 = 4;
    pub(super) const LINK_INFO: u16 = 18;
    pub(super) const LINK_NAMESPACE: u16 = 28;
    pub(super) const LINK_MOST_AT_ONCE: [u16; 4] = [41, 58, 63, 64];
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const INFO_DATA: u16 = 2;
    pub(super) const VETH_PEER: u16 = 1;
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const ADDRESS_LOCAL: u16 = 2;
    pub(super) const WITHOUT_DETECTION: u8 = 2;
    pub(super) const ROUTE_TO: u16 = 1;
    pub(super) const ROUTE_INTERFACE: u16 = 4;
    pub(super) const ROUTE_GATEWAY: u16 = 5;
    pub(super) const TABLE_MAIN: u8 = 254;
    pub(super) const TABLE_LOCAL: u8 = 255;
    pub(super) const BY_BOOT: u8 = 3;
    pub(super) const SCOPE_UNIVERSE: u8 = 0;
    pub(super) const SCOPE_HOST: u8 = 254;
    pub(super) const UNICAST: u8 = 1;
    pub(super) const LOCAL: u8 = 2;
    pub(super) const UP: u32 = 1;
}

/// The largest packet of a link within a machine: fewer of them carry as much.
const MTU: u32 = 65_535;
/// What may go through such a link in one piece, both ways, of IPv6 and of IPv4: the most that the kernel knows
/// (`GSO_MAX_SIZE`, since Linux 5.19, and 6.3 for IPv4).
const AT_ONCE: u32 = 8 * 65_535;

/// A socket over which the kernel is asked about one network namespace: that in which it was made.
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    pub(super) fn open() -> io::Result<Netlink> {
        // Without a protocol: that of routes is zero.
        Ok(Netlink(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?))
    }

    /// Makes a pair of interfaces: this end here, the other in another network namespace.
    pub(super) fn add_pair(&self, here: &str, there: &str, namespace: BorrowedFd<'_>) -> io::Result<()> {
        let mut message = Message::new(number::NEW_LINK, number::CREATE | number::EXCLUSIVE);
        message.link(0, 0);
        message.attribute(number::LINK_NAME, text(here).as_slice());
        message.attribute(number::LINK_MTU, &MTU.to_ne_bytes());
        message.nest(number::LINK_INFO, |info| {
            info.attribute(number::INFO_KIND, b"veth");
            info.nest(number::INFO_DATA, |data| {
                data.nest(number::VETH_PEER, |peer| {
                    peer.link(0, 0);
                    peer.attribute(number::LINK_NAME, text(there).as_slice());
                    peer.attribute(number::LINK_MTU, &MTU.to_ne_bytes());
                    peer.attribute(number::LINK_NAMESPACE, &namespace.as_raw_fd().to_ne_bytes());
                });
            });
        });
        self.ask(message)
    }

    /// Finds the number of an interface.
    pub(super) fn interface(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.0, name)?)
    }

    /// Has an interface take as much in one piece as it can.
    pub(super) fn take_much_at_once(&self, interface: u32) -> io::Result<()> {
        let mut message = Message::new(number::NEW_LINK, 0);
        message.link(interface, 0);
        for kind in number::LINK_MOST_AT_ONCE {
            message.attribute(kind, &AT_ONCE.to_ne_bytes());
        }
        self.ask(message)
    }

    /// Brings an interface up.
    pub(super) fn bring_up(&self, interface: u32) -> io::Result<()> {
        let mut message = Message::new(number::NEW_LINK, 0);
        message.link(interface, number::UP);
        self.ask(message)
    }

    /// Gives an interface an address. Nobody else can have it, so the kernel need not look for others first.
    pub(super) fn add_address(&self, interface: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let mut message = Message::new(number::NEW_ADDRESS, number::CREATE | number::EXCLUSIVE);
        let flags = if address.is_ipv6() { number::WITHOUT_DETECTION } else { 0 };
        message.put(&[family(address), prefix, flags, number::SCOPE_UNIVERSE]);
        message.put(&interface.to_ne_bytes());
        let bytes = bytes(address);
        message.attribute(number::ADDRESS_LOCAL, &bytes);
        message.attribute(number::ADDRESS, &bytes);
        self.ask(message)
    }

    /// Makes every address of a range one of this network namespace.
    pub(super) fn make_local(&self, range: IpAddr, prefix: u8, interface: u32) -> io::Result<()> {
        self.route(range, prefix, (number::TABLE_LOCAL, number::LOCAL), interface, None)
    }

    /// Sends what is for a range to a neighbour.
    pub(super) fn route_to(
        &self,
        range: IpAddr,
        prefix: u8,
        interface: u32,
        gateway: IpAddr,
    ) -> io::Result<()> {
        self.route(range, prefix, (number::TABLE_MAIN, number::UNICAST), interface, Some(gateway))
    }

    fn route(
        &self,
        range: IpAddr,
        prefix: u8,
        (table, kind): (u8, u8),
        interface: u32,
        gateway: Option<IpAddr>,
    ) -> io::Result<()> {
        let mut message = Message::new(number::NEW_ROUTE, number::CREATE | number::EXCLUSIVE);
        let scope = if kind == number::LOCAL { number::SCOPE_HOST } else { number::SCOPE_UNIVERSE };
        message.put(&[family(range), prefix, 0, 0, table, number::BY_BOOT, scope, kind]);
        message.put(&0_u32.to_ne_bytes());
        message.attribute(number::ROUTE_TO, &bytes(range));
        if let Some(gateway) = gateway {
            message.attribute(number::ROUTE_GATEWAY, &bytes(gateway));
        }
        message.attribute(number::ROUTE_INTERFACE, &interface.to_ne_bytes());
        self.ask(message)
    }

    /// Sends a request and waits for what came of it: the kernel answers before it returns.
    fn ask(&self, message: Message) -> io::Result<()> {
        rustix::net::send(&self.0, &message.finish(), SendFlags::empty())?;
        let mut answer = [0_u8; 4096];
        let (_, length) = rustix::net::recv(self.0.as_fd(), &mut answer, RecvFlags::empty())?;
        // A header of 16 bytes, then the negative errno; zero stands for success.
        let field = |at: usize| answer.get(at..at + 4).filter(|_| at + 4 <= length);
        let kind = field(4).and_then(|bytes| bytes.first_chunk()).map(|bytes| u16::from_ne_bytes(*bytes));
        let errno = field(16).and_then(|bytes| bytes.first_chunk()).map(|bytes| i32::from_ne_bytes(*bytes));
        match (kind, errno) {
            (Some(number::ERROR), Some(0)) => Ok(()),
            (Some(number::ERROR), Some(errno)) => Err(io::Error::from_raw_os_error(errno.saturating_neg())),
            _ => Err(io::Error::other("the kernel did not answer about the network")),
        }
    }
}

/// One message while it is written. Whatever has a length has it before it, and begins at a multiple of four.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Message {
        let mut message = Message(Vec::with_capacity(256));
        message.put(&0_u32.to_ne_bytes());
        message.put(&kind.to_ne_bytes());
        message.put(&(flags | number::REQUEST | number::ACKNOWLEDGE).to_ne_bytes());
        // Its number, and whose it is: the kernel finds out.
        message.put(&[0; 8]);
        message
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// What a message about an interface begins with (`ifinfomsg`).
    fn link(&mut self, interface: u32, flags: u32) {
        self.put(&[0; 4]);
        self.put(&interface.to_ne_bytes());
        self.put(&flags.to_ne_bytes());
        self.put(&flags.to_ne_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nest(kind, |inner| inner.put(value));
    }

    fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        let start = self.0.len();
        self.put(&0_u16.to_ne_bytes());
        self.put(&kind.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX).to_ne_bytes();
        self.0.iter_mut().skip(start).zip(length).for_each(|(byte, length)| *byte = length);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX).to_ne_bytes();
        self.0.iter_mut().zip(length).for_each(|(byte, length)| *byte = length);
        self.0
    }
}

fn text(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    u8::try_from(family.as_raw()).unwrap_or(0)
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_stand_before_what_they_measure() {
        let mut message = Message::new(1, 0);
        message.nest(7, |outer| outer.attribute(8, b"abc"));
        let bytes = message.finish();
        assert_eq!(bytes.len(), 16 + 4 + 8);
        assert_eq!(bytes[..4], 28_u32.to_ne_bytes());
        let short = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!([short(16), short(18), short(20), short(22)], [12, 7, 7, 8]);
        assert_eq!(bytes[24..], *b"abc\0");
    }
}
