//! Internet addresses as connect(2) takes them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Reads `sockaddr_in` and `sockaddr_in6` (ip(7), ipv6(7)); nothing for others.
pub(super) fn internet_address(address: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = address.split_first_chunk::<2>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    match i32::from(libc::sa_family_t::from_ne_bytes(*family)) {
        libc::AF_INET => Some(SocketAddr::new(Ipv4Addr::from(*rest.first_chunk::<4>()?).into(), port)),
        libc::AF_INET6 => {
            // After a label for the flow.
            let octets = rest.get(4..)?.first_chunk::<16>()?;
            Some(SocketAddr::new(Ipv6Addr::from(*octets).to_canonical(), port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_are_read() {
        let four = [&2_u16.to_ne_bytes(), [1, 187].as_slice(), &[198, 18, 1, 0], &[0; 8]].concat();
        assert_eq!(internet_address(&four), Some("198.18.1.0:443".parse().unwrap()));
        let octets = "fd5e:94a1:7c3b::100".parse::<Ipv6Addr>().unwrap().octets();
        let six = [&10_u16.to_ne_bytes(), [0, 80].as_slice(), &[0; 4], &octets, &[0; 4]].concat();
        assert_eq!(internet_address(&six), Some("[fd5e:94a1:7c3b::100]:80".parse().unwrap()));
        let mapped = Ipv4Addr::new(198, 18, 1, 0).to_ipv6_mapped().octets();
        let mapped = [&10_u16.to_ne_bytes(), [0, 80].as_slice(), &[0; 4], &mapped, &[0; 4]].concat();
        assert_eq!(internet_address(&mapped), Some("198.18.1.0:80".parse().unwrap()));
        for none in [&four[..7], &six[..20], &[], &[1, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(internet_address(none), None);
        }
    }
}
