//! The word of proxies that have found out who asks: by a client's certificate, or a token that they do not pass on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::listener::Peer;
use super::principal::{Identity, Principal, Scope, Scopes, Way};

/// Whose word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Proxies at these addresses.
    Network(IpNet),
    /// Whoever can connect to the Unix socket.
    Unix,
}

/// Why text is no proxy.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no address of a proxy; examples: 10.0.0.7, 10.0.0.0/24, unix")]
pub struct ProxyError(String);

/// The proxies whose word counts, and where they say it.
pub(super) struct Proxies {
    trusted: Vec<Proxy>,
    header: HeaderName,
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Proxy, ProxyError> {
        if text == "unix" {
            return Ok(Proxy::Unix);
        }
        let one = text.parse::<IpAddr>().map(IpNet::from);
        one.or_else(|_| text.parse()).map(Proxy::Network).map_err(|_| ProxyError(text.to_owned()))
    }
}

impl Proxy {
    /// Whether commands that have this machine's network reach the server by the same way.
    pub(super) fn is_in_reach(&self) -> bool {
        match self {
            Proxy::Network(network) => {
                network.contains(&IpAddr::from(Ipv4Addr::LOCALHOST))
                    || network.contains(&IpAddr::from(Ipv6Addr::LOCALHOST))
            }
            Proxy::Unix => true,
        }
    }
}

impl Proxies {
    /// These, which say in this header who asks.
    pub(super) fn new(trusted: Vec<Proxy>, header: HeaderName) -> Proxies {
        Proxies { trusted, header }
    }

    /// Who asks, if it is a proxy's word. Others may say what they like.
    pub(super) fn principal(&self, peer: Peer, headers: &HeaderMap) -> Option<Principal> {
        let is_trusted = self.trusted.iter().any(|proxy| match (proxy, peer) {
            (Proxy::Network(network), Peer::Network(address)) => {
                network.contains(&address.ip().to_canonical())
            }
            (Proxy::Unix, Peer::User(_)) => true,
            (Proxy::Network(_), Peer::User(_)) | (Proxy::Unix, Peer::Network(_)) => false,
        });
        let mut said = headers.get_all(&self.header).iter();
        // Where there are two, one may be the client's.
        let name = said.next().filter(|_| is_trusted && said.next().is_none())?.to_str().ok()?;
        let identity = Identity::new(Way::Proxy, name.trim())?;
        Some(Principal { identity, scopes: Scopes::NONE.with(Scope::Run) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> HeaderName {
        HeaderName::from_static("x-user")
    }

    fn headers(names: &[&str]) -> HeaderMap {
        names.iter().map(|name| (self::name(), name.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_word_of_a_trusted_proxy_counts() {
        let proxies = Proxies::new(vec!["10.0.0.0/24".parse().unwrap(), "::1".parse().unwrap()], name());
        let said = |peer: &str, names: &[&str]| {
            let peer = Peer::Network(peer.parse().unwrap());
            proxies.principal(peer, &headers(names)).map(|principal| principal.identity.name)
        };
        for peer in ["10.0.0.7:1", "[::ffff:10.0.0.7]:1", "[::1]:1"] {
            assert_eq!(said(peer, &["ann"]).as_deref(), Some("ann"), "{peer}");
        }
        assert_eq!(said("10.0.1.7:1", &["ann"]), None);
        for names in [&[][..], &[""], &["ann", "bob"], &["ann", "ann"]] {
            assert_eq!(said("10.0.0.7:1", names), None, "{names:?}");
        }
        assert!(proxies.principal(Peer::User(0), &headers(&["ann"])).is_none());
        let behind = Proxies::new(vec![Proxy::Unix], name());
        assert!(behind.principal(Peer::User(33), &headers(&["ann"])).is_some());
        assert!("10.0.0.0/99".parse::<Proxy>().is_err() && "host".parse::<Proxy>().is_err());
    }
}
