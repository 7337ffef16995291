//! What is asked for by SOCKS 5 (RFC 1928), and the answers.

use super::wanted::{Begun, Wanted, Way, host};
use crate::exchange::send_all;
use crate::judge::Failure;
use crate::name::Host;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const VERSION: u8 = 5;
const WITHOUT_PASSWORD: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const V4: u8 = 1;
const NAME: u8 = 3;
const V6: u8 = 4;

/// Hears a request; nothing for one that is none of a connection's.
pub(super) async fn hear(begun: &mut Begun<'_>) -> io::Result<Option<Wanted>> {
    begun.at_least(2).await?;
    let methods = usize::from(byte(begun, 1));
    begun.at_least(2 + methods).await?;
    let offered: Vec<u8> = begun.said.drain(..2 + methods).skip(2).collect();
    if !offered.contains(&WITHOUT_PASSWORD) {
        send_all(begun.program, &[VERSION, NO_METHOD]).await?;
        return Ok(None);
    }
    send_all(begun.program, &[VERSION, WITHOUT_PASSWORD]).await?;
    begun.at_least(5).await?;
    let length = match byte(begun, 3) {
        V4 => 4,
        NAME => 1 + usize::from(byte(begun, 4)),
        V6 => 16,
        _ => 0,
    };
    begun.at_least(4 + length + 2).await?;
    let request: Vec<u8> = begun.said.drain(..4 + length + 2).collect();
    let wanted = read(&request).map(|(host, port)| Wanted {
        host,
        port,
        way: Way::Socks,
        said: std::mem::take(&mut begun.said),
    });
    if wanted.is_none() {
        send_all(begun.program, &reply(NOT_SUPPORTED)).await?;
    }
    Ok(wanted)
}

fn byte(begun: &Begun<'_>, at: usize) -> u8 {
    begun.said.get(at).copied().unwrap_or_default()
}

fn read(request: &[u8]) -> Option<(Host, u16)> {
    let ([VERSION, CONNECT, _, kind], rest) = request.split_first_chunk::<4>()? else { return None };
    let (address, port) = rest.split_last_chunk::<2>()?;
    let port = Some(u16::from_be_bytes(*port)).filter(|port| *port != 0)?;
    let host = match *kind {
        V4 => Host::Address(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?).into()),
        V6 => Host::Address(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)).to_canonical()),
        NAME => host(std::str::from_utf8(address.get(1..)?).ok()?)?,
        _ => return None,
    };
    Some((host, port))
}

const NOT_ALLOWED: u8 = 2;
const HOST_UNREACHABLE: u8 = 4;
const NOT_SUPPORTED: u8 = 7;

/// The answer to a request: it is made, or why not.
pub(super) fn answer(failure: Option<&Failure>) -> [u8; 10] {
    reply(match failure {
        None => 0,
        Some(Failure::Unresolved(_) | Failure::Unreachable(_)) => HOST_UNREACHABLE,
        Some(_) => NOT_ALLOWED,
    })
}

/// Whatever address it is made from is nobody's business.
fn reply(code: u8) -> [u8; 10] {
    [VERSION, code, 0, V4, 0, 0, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_hosts_in_three_ways() {
        let of = |request: &[u8]| read(request).map(|(host, port)| (host.to_string(), port));
        let name = [&[5, 1, 0, 3, 12], b"good.example".as_slice(), &[1, 187]].concat();
        assert_eq!(of(&name), Some(("good.example".into(), 443)));
        assert_eq!(of(&[5, 1, 0, 1, 10, 0, 0, 1, 0, 80]), Some(("10.0.0.1".into(), 80)));
        let mapped = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().octets();
        assert_eq!(of(&[&[5, 1, 0, 4], mapped.as_slice(), &[0, 80]].concat()), Some(("10.0.0.1".into(), 80)));
        // Listening, datagrams, other versions and kinds, a number in disguise, no port.
        let disguise = [&[5, 1, 0, 3, 5], b"127.1".as_slice(), &[0, 80]].concat();
        for none in [
            &[5, 2, 0, 1, 10, 0, 0, 1, 0, 80][..],
            &[5, 3, 0, 1, 10, 0, 0, 1, 0, 80],
            &[4, 1, 0, 1, 10, 0, 0, 1, 0, 80],
            &[5, 1, 0, 9, 0, 80],
            &disguise,
            &[5, 1, 0, 1, 10, 0, 0, 1, 0, 0],
        ] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
