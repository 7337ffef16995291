//! What a program asks for, and what it has said so far.

use crate::exchange::receive;
use crate::name::{Host, Name};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use tokio::net::TcpStream;

/// The longest beginning that is waited for.
const LONGEST: usize = 64 << 10;

/// What a program has asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) way: Way,
    /// What it has said already to whom it wants.
    pub(crate) said: Vec<u8>,
}

/// In which way it has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `CONNECT`.
    Tunnel,
    /// A request that is passed on.
    Request,
    /// SOCKS 5.
    Socks,
}

/// What a program has said so far.
pub(super) struct Begun<'p> {
    pub(super) program: &'p TcpStream,
    pub(super) said: Vec<u8>,
}

impl Begun<'_> {
    /// Waits until it has said so much.
    pub(super) async fn at_least(&mut self, length: usize) -> io::Result<()> {
        while self.said.len() < length {
            self.more().await?;
        }
        Ok(())
    }

    pub(super) async fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        let length = receive(self.program, &mut piece).await?;
        if length == 0 || self.said.len() + length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.said.extend_from_slice(piece.get(..length).unwrap_or_default());
        Ok(())
    }
}

/// The host that a program means, in whichever way it is written. One that is only a number in disguise is none.
pub(super) fn host(written: &str) -> Option<Host> {
    let bare = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(written);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(Host::Address(address.to_canonical()));
    }
    let name = Name::new(written)?;
    Some(if name.is_localhost() { Host::Address(Ipv4Addr::LOCALHOST.into()) } else { Host::Name(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_no_other_number() {
        let of = |written: &str| host(written).map(|host| host.to_string());
        for (written, meant) in [
            ("Good.Example.", "good.example"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::ffff:10.0.0.1]", "10.0.0.1"),
            ("[fd00::1]", "[fd00::1]"),
            ("localhost", "127.0.0.1"),
            ("x.localhost", "127.0.0.1"),
        ] {
            assert_eq!(of(written).as_deref(), Some(meant), "{written}");
        }
        for none in [
            "",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "[fe80::1%25eth0]",
            "fe80::1%eth0",
            "a@b",
            "a b",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
