//! Which names a server answers to, and which pages may ask it.
//!
//! A page in a browser can have its own name lead to this machine (DNS rebinding), so a request must name a host that
//! is the server's; and it must not come from a page of another one.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// The hosts that are the server's.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    /// `None`: a Unix socket, which no browser connects to.
    listening: Option<SocketAddr>,
    /// Besides: names, or names with ports, in lower case.
    named: Vec<String>,
    /// Pages that may ask although they are of another host.
    origins: Vec<String>,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ForeignHost {
    #[error("the request names no host")]
    None,
    #[error("this server does not answer to that Host; --server-name adds names")]
    Host,
    #[error("pages of that Origin may not ask this server; --allow-origin adds them")]
    Origin,
}

impl Hosts {
    /// Of a server that listens there.
    pub(super) fn new(listening: Option<SocketAddr>, named: &[String], origins: &[String]) -> Hosts {
        Hosts { listening, named: lower(named), origins: lower(origins) }
    }

    /// Checks what a request says.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ForeignHost> {
        let Some(listening) = self.listening else { return self.check_origin(headers, None) };
        let mut given = headers.get_all(header::HOST).iter();
        let host = match (given.next(), given.next()) {
            (Some(host), None) => Authority::try_from(host.as_bytes()).map_err(|_| ForeignHost::Host)?,
            (Some(_), Some(_)) => return Err(ForeignHost::Host),
            // HTTP/2 has it in the address.
            (None, _) => uri.authority().cloned().ok_or(ForeignHost::None)?,
        };
        if !self.is_ours(&host, listening) {
            return Err(ForeignHost::Host);
        }
        self.check_origin(headers, Some(&host))
    }

    fn is_ours(&self, host: &Authority, listening: SocketAddr) -> bool {
        let name = host.host().trim_matches(['[', ']']).to_ascii_lowercase();
        let whole = host.as_str().to_ascii_lowercase();
        if self.named.iter().any(|named| *named == name || *named == whole) {
            return true;
        }
        let ip = name.parse::<IpAddr>().map(|ip| ip.to_canonical());
        // No name leads to a number: it can be rebound to none.
        let is_here = match ip {
            Ok(ip) => {
                let ours = listening.ip().to_canonical();
                ours.is_unspecified() || ip == ours || ip.is_loopback() && ours.is_loopback()
            }
            Err(_) => name == "localhost",
        };
        is_here && host.port_u16().is_none_or(|port| port == listening.port() || ip.is_ok())
    }

    /// Only browsers say it, and they always do where it matters.
    fn check_origin(&self, headers: &HeaderMap, host: Option<&Authority>) -> Result<(), ForeignHost> {
        let mut given = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = given.next() else { return Ok(()) };
        let origin = origin.to_str().map_err(|_| ForeignHost::Origin)?.to_ascii_lowercase();
        let own = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
        let is_own = own.zip(host).is_some_and(|(own, host)| own == host.as_str().to_ascii_lowercase());
        if given.next().is_none() && (is_own || self.origins.contains(&origin)) {
            Ok(())
        } else {
            Err(ForeignHost::Origin)
        }
    }
}

fn lower(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.trim_end_matches('/').to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(listening: &str, host: &str, origin: Option<&str>) -> Result<(), ForeignHost> {
        let named = ["shell.example.com".to_owned(), "one.example.com:99".to_owned()];
        let hosts = Hosts::new(listening.parse().ok(), &named, &["https://App.example.com".to_owned()]);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        hosts.check(&Uri::from_static("/mcp"), &headers)
    }

    #[test]
    fn a_server_answers_to_its_own_names() {
        for (listening, host) in [
            ("127.0.0.1:8808", "127.0.0.1:8808"),
            ("127.0.0.1:8808", "localhost:8808"),
            ("127.0.0.1:8808", "LocalHost"),
            ("[::1]:8808", "[::1]:8808"),
            ("127.0.0.1:8808", "shell.example.com"),
            ("127.0.0.1:8808", "shell.example.com:443"),
            ("127.0.0.1:8808", "one.example.com:99"),
            ("10.0.0.5:8808", "10.0.0.5:8808"),
            ("0.0.0.0:8808", "10.0.0.5:8808"),
        ] {
            assert_eq!(checked(listening, host, None), Ok(()), "{listening} {host}");
        }
        for (listening, host) in [
            ("127.0.0.1:8808", "evil.example.com:8808"),
            ("127.0.0.1:8808", "localhost.evil.example.com:8808"),
            ("127.0.0.1:8808", "localhost:8809"),
            ("127.0.0.1:8808", "10.0.0.5:8808"),
            ("127.0.0.1:8808", "one.example.com:98"),
            ("0.0.0.0:8808", "evil.example.com:8808"),
        ] {
            assert_eq!(checked(listening, host, None), Err(ForeignHost::Host), "{listening} {host}");
        }
        let hosts = Hosts::new("127.0.0.1:1".parse().ok(), &[], &[]);
        assert_eq!(hosts.check(&Uri::from_static("/mcp"), &HeaderMap::new()), Err(ForeignHost::None));
        assert_eq!(hosts.check(&Uri::from_static("http://127.0.0.1:1/mcp"), &HeaderMap::new()), Ok(()));
    }

    #[test]
    fn pages_of_other_hosts_may_not_ask() {
        let at = |origin| checked("127.0.0.1:8808", "127.0.0.1:8808", Some(origin));
        for origin in ["http://127.0.0.1:8808", "https://app.example.com"] {
            assert_eq!(at(origin), Ok(()), "{origin}");
        }
        for origin in
            ["http://evil.example.com", "null", "http://127.0.0.1:8809", "http://app.example.com", ""]
        {
            assert_eq!(at(origin), Err(ForeignHost::Origin), "{origin}");
        }
    }
}
