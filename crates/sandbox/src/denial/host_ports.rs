//! What listens on the host's own loopback: commands have another one, where the same port is nobody's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// More lines than this have no use: a host does not listen that often.
const MOST_LINES: usize = 4096;
/// The state of a socket that listens (`TCP_LISTEN`, as proc_net_tcp in the kernel's documentation says it).
const LISTENS: &str = "0A";

/// Finds the first of these ports that the host listens on where its own localhost leads.
pub(super) fn first_served(ports: impl Iterator<Item = u16>) -> Option<u16> {
    let mut served: Option<Vec<u16>> = None;
    ports.into_iter().find(|port| served.get_or_insert_with(all_served).contains(port))
}

fn all_served() -> Vec<u16> {
    let files = ["/proc/net/tcp", "/proc/net/tcp6"];
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    texts.flat_map(|text| served(&text)).collect()
}

fn served(table: &str) -> Vec<u16> {
    table.lines().skip(1).take(MOST_LINES).filter_map(served_by).collect()
}

fn served_by(line: &str) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, state) = (fields.next()?, fields.nth(1)?);
    let (address, port) = local.split_once(':')?;
    let address = address_of(address)?;
    let is_local = address.is_loopback() || address.is_unspecified();
    (state == LISTENS && is_local).then(|| u16::from_str_radix(port, 16).ok()).flatten()
}

/// Reads an address as the kernel writes it: words of four bytes, each as the machine has a number.
fn address_of(text: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..text.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    let whole = |bytes: [u8; 16]| {
        let address = Ipv6Addr::from(bytes);
        address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
    };
    let short = <[u8; 4]>::try_from(&*bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    short.or_else(|_| <[u8; 16]>::try_from(&*bytes).map(whole)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_localhost_leads_to_counts() {
        let table = |addresses: &[(&str, &str)]| {
            let line = |(at, (local, state)): (usize, &(&str, &str))| {
                format!("   {at}: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 1")
            };
            let lines: Vec<String> = addresses.iter().enumerate().map(line).collect();
            format!("  sl  local_address rem_address   st\n{}\n", lines.join("\n"))
        };
        let loopback = format!("{:08X}:1F90", u32::from_ne_bytes([127, 0, 0, 1]));
        let other = format!("{:08X}:1F91", u32::from_ne_bytes([10, 0, 0, 1]));
        let six = format!("{}{:08X}:1F93", "0".repeat(24), u32::from_ne_bytes([0, 0, 0, 1]));
        let found = served(&table(&[
            (&loopback, "0A"),
            (&other, "0A"),
            ("00000000:1F92", "0A"),
            (&six, "0A"),
            ("00000000:1F94", "01"),
            ("é:1F95", "0A"),
        ]));
        assert_eq!(found, [8080, 8082, 8083]);
    }

    #[test]
    fn a_port_is_found_while_somebody_listens() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(first_served([0, port].into_iter()), Some(port));
        drop(listener);
        assert_eq!(first_served(std::iter::once(port)), None);
    }
}
