//! The way out: from a host that is allowed to a connection, to an address that was checked.

use crate::address::{Special, special};
use crate::judge::{Attempt, Failure, Judge};
use crate::name::Host;
use crate::resolve::{Addresses, Resolve};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::net::TcpStream;

/// How long one address may take to answer, where there is another one, and where there is none.
const PATIENCE_FOR_ONE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects to a host. Each address is checked right before it is connected to, and nobody is asked for it again.
pub(crate) async fn connect(
    attempt: &Attempt,
    judge: &dyn Judge,
    resolver: &dyn Resolve,
) -> Result<TcpStream, Failure> {
    let found = match &attempt.host {
        // This machine's own services listen on either.
        Host::Address(address) if address.is_loopback() => Addresses {
            addresses: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            by_hosts_file: false,
        },
        Host::Address(address) => Addresses { addresses: vec![*address], by_hosts_file: false },
        Host::Name(name) => resolver.resolve(name).await.map_err(Failure::Unresolved)?,
    };
    let mut failure = Failure::Unresolved("there is no such host".to_owned());
    let count = found.addresses.len();
    for (place, address) in found.addresses.iter().enumerate() {
        let address = address.to_canonical();
        if let Some(what) = objection(attempt, judge, address, found.by_hosts_file) {
            // What a server says of itself is told; that another address could not be reached is less news.
            failure = Failure::Address(address, what.to_string());
            continue;
        }
        if is_this_machines(address) && !judge.grants_address(attempt, address) {
            failure = Failure::Address(address, OWN.to_owned());
            continue;
        }
        let patience = if place + 1 < count { PATIENCE_FOR_ONE } else { PATIENCE };
        let target = SocketAddr::new(address, attempt.port);
        let connected = match tokio::time::timeout(patience, TcpStream::connect(target)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        match connected {
            // It may have become this machine's meanwhile.
            Ok(stream) if leads_to_this_machine(&stream) && !judge.grants_address(attempt, address) => {
                failure = Failure::Address(address, OWN.to_owned());
            }
            Ok(stream) => return Ok(stream),
            Err(error) if !matches!(failure, Failure::Address(..)) => {
                failure = Failure::Unreachable(error.to_string());
            }
            Err(_) => {}
        }
    }
    Err(failure)
}

/// Why an address is not connected to. The machine's own hosts file is its administrator's word for private addresses; not
/// for this machine or its link, where services trust whoever asks.
fn objection(attempt: &Attempt, judge: &dyn Judge, address: IpAddr, by_hosts_file: bool) -> Option<Special> {
    let what = special(address)?;
    let said = by_hosts_file && what == Special::Private;
    (!said && !judge.grants_address(attempt, address)).then_some(what)
}

const OWN: &str = "this machine's own";

/// Whether an address is one of our own: services of this machine listen on all of them, which others outside may not reach at
/// all. The kernel tells from where it would send something there, without sending it; so nobody hears of it, and whoever
/// asks learns nothing of what listens.
fn is_this_machines(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let asked = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, ANY_PORT))?;
        socket.local_addr()
    });
    // What there is no way to is not here.
    asked.is_ok_and(|from| from.ip().to_canonical() == address)
}

/// A port is needed to ask, whichever.
const ANY_PORT: u16 = 9;

/// Whether the other end has our own address.
fn leads_to_this_machine(stream: &TcpStream) -> bool {
    let ip = |address: io::Result<SocketAddr>| address.map(|address| address.ip().to_canonical()).ok();
    ip(stream.local_addr()) == ip(stream.peer_addr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machines_addresses_are_told_without_a_connection() {
        assert!(is_this_machines(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_this_machines(Ipv4Addr::new(192, 0, 2, 1).into()));
        // A socket that nobody listens at is no reason to say otherwise, and one that has a listener hears of nobody.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        assert!(is_this_machines(listener.local_addr().unwrap().ip()));
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
