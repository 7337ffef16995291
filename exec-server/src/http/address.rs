//! Where a server listens: an address of the network, or a socket of the file system.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and a port; port 0 is a free one.
    Tcp(SocketAddr),
    /// A Unix socket, which only this user can connect to.
    Unix(PathBuf),
}

/// Why text is not an address.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no address; examples: 8808, 127.0.0.1:8808, [::1]:8808, unix:/run/user/1000/shell.sock")]
pub struct AddressError(String);

impl Address {
    /// Whether only this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `unix:PATH`, `ADDRESS:PORT`, or a port alone, which is one of this machine's own.
    fn from_str(text: &str) -> Result<Address, AddressError> {
        let wrong = || AddressError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Address::Unix(path.into())) };
        }
        let loopback =
            |port: &str| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?));
        let port = text.strip_prefix("localhost:").or(text.strip_prefix(':')).unwrap_or(text);
        loopback(port).or_else(|| text.parse().ok()).map(Address::Tcp).ok_or_else(wrong)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(formatter),
            Address::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_this_machines_own() {
        for (text, meant, local) in [
            ("8808", "127.0.0.1:8808", true),
            (":0", "127.0.0.1:0", true),
            ("localhost:1", "127.0.0.1:1", true),
            ("[::1]:1", "[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", "0.0.0.0:1", false),
            ("[::]:1", "[::]:1", false),
            ("unix:/run/x", "unix:/run/x", true),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string(), address.is_local()), (meant.to_owned(), local), "{text}");
        }
        for text in ["", "unix:", "example.com:1", "1.2.3.4", "70000"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
