//! Which addresses a name may lead to: those of the public Internet, and no others unless they were granted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not one that a name may lead to by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// This machine.
    Loopback,
    /// No address at all, which many systems take for this machine.
    Unspecified,
    /// A network at home or at work (RFC 1918, RFC 4193, RFC 6598).
    Private,
    /// The link that the machine is on, and with it the metadata services of clouds.
    LinkLocal,
    /// A metadata service of a cloud, at an address like any other.
    Metadata,
    /// Many machines at once.
    Multicast,
    /// For benchmarks, protocols, or the future.
    Reserved,
}

impl fmt::Display for Special {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Special::Loopback => "loopback",
            Special::Unspecified => "unspecified",
            Special::Private => "private",
            Special::LinkLocal => "link-local",
            Special::Metadata => "metadata service",
            Special::Multicast => "multicast",
            Special::Reserved => "reserved",
        })
    }
}

/// Azure's, which is in no special range.
const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Ranges of IPv4 (IANA's registry of special-purpose addresses): the first address, the bits that count, what it is. Those for
/// documentation are not among them: nobody trusts who comes there, and networks that stand in for the Internet use them.
const V4: &[(Ipv4Addr, u8, Special)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, Special::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Special::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Special::Private),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Special::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Special::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Special::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Special::Reserved),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Special::Reserved),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Special::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Special::Reserved),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Special::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Special::Reserved),
    (AZURE, 32, Special::Metadata),
];

/// Ranges of IPv6 that hold an IPv4 address, and where in it: mapped, compatible, translated, NAT64, 6to4.
const HOLDING_V4: &[(Ipv6Addr, u8, u8)] = &[
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 96),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 96, 96),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, 96),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 96),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 16),
];

/// Ranges of IPv6, as above. All that is not global unicast (2000::/3) is refused at the end.
const V6: &[(Ipv6Addr, u8, Special)] = &[
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Special::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Special::LinkLocal),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Special::Private),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Special::Multicast),
    // Teredo, benchmarks, ORCHID and other protocols' own.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Special::Reserved),
];

/// Tells why a name may not lead to an address by itself; `None` for an address of the public Internet.
#[must_use]
pub fn special(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    let bits = address.to_bits();
    let found =
        V4.iter().find(|(first, prefix, _)| (bits ^ first.to_bits()).leading_zeros() >= (*prefix).into());
    found.map(|(_, _, special)| *special)
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    let bits = address.to_bits();
    let is_in = |first: &Ipv6Addr, prefix: u8| (bits ^ first.to_bits()).leading_zeros() >= prefix.into();
    if address.is_unspecified() {
        return Some(Special::Unspecified);
    }
    if address.is_loopback() {
        return Some(Special::Loopback);
    }
    if let Some((_, _, at)) = HOLDING_V4.iter().find(|(first, prefix, _)| is_in(first, *prefix)) {
        let held = u32::try_from((bits >> (96 - u32::from(*at))) & u128::from(u32::MAX)).unwrap_or_default();
        return special_v4(Ipv4Addr::from_bits(held));
    }
    let found = V6.iter().find(|(first, prefix, _)| is_in(first, *prefix)).map(|(_, _, special)| *special);
    let is_global = is_in(&Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
    found.or_else(|| (!is_global).then_some(Special::Reserved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_ordinary() {
        for ordinary in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "203.0.113.80",
            "2001:db8::1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00:1450:4001::200e",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ] {
            assert_eq!(special(ordinary.parse().unwrap()), None, "{ordinary}");
        }
        for (address, what) in [
            ("127.0.0.1", Special::Loopback),
            ("127.255.0.3", Special::Loopback),
            ("::1", Special::Loopback),
            ("0.0.0.0", Special::Unspecified),
            ("0.1.2.3", Special::Unspecified),
            ("::", Special::Unspecified),
            ("10.1.2.3", Special::Private),
            ("172.16.0.1", Special::Private),
            ("192.168.1.1", Special::Private),
            ("100.64.0.1", Special::Private),
            ("100.100.100.200", Special::Private),
            ("fd00:ec2::254", Special::Private),
            ("fec0::1", Special::Private),
            ("169.254.169.254", Special::LinkLocal),
            ("fe80::1", Special::LinkLocal),
            ("168.63.129.16", Special::Metadata),
            ("192.0.0.192", Special::Reserved),
            ("198.18.0.7", Special::Reserved),
            ("224.0.0.1", Special::Multicast),
            ("ff02::1", Special::Multicast),
            ("255.255.255.255", Special::Reserved),
            ("::ffff:127.0.0.1", Special::Loopback),
            ("::ffff:169.254.169.254", Special::LinkLocal),
            ("::10.0.0.1", Special::Private),
            ("::ffff:0:10.0.0.1", Special::Private),
            ("64:ff9b::a9fe:a9fe", Special::LinkLocal),
            ("64:ff9b::127.0.0.1", Special::Loopback),
            ("64:ff9b:1::1", Special::Reserved),
            ("2002:7f00:1::", Special::Loopback),
            ("2002:a00:1::1", Special::Private),
            ("2001:0:7f00:1::", Special::Reserved),
            ("100::1", Special::Reserved),
            ("5f00::1", Special::Reserved),
        ] {
            assert_eq!(special(address.parse().unwrap()), Some(what), "{address}");
        }
    }
}
