//! Clients of HTTP. They look names up without the C library, whose way loads plug-ins of another one in a static program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::http::Uri;
use egress::{Name, Resolve, SystemResolver};
use ureq::Agent;
use ureq::config::{Config, ConfigBuilder};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// How long fetching may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks names up in the machine's hosts file, then asks its name servers.
#[derive(Debug, Default)]
struct SystemNames(SystemResolver);

impl Resolver for SystemNames {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let found = match (host.parse::<IpAddr>(), Name::new(host)) {
            (Ok(address), _) => vec![address],
            (Err(_), Some(name)) if name.is_localhost() => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            (Err(_), Some(name)) => {
                // Whoever fetches waits on a thread of its own.
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let found = runtime.block_on(self.0.resolve(&name));
                found
                    .map_err(|why| ureq::Error::Io(std::io::Error::other(format!("{host}: {why}"))))?
                    .addresses
            }
            (Err(_), None) => return Err(ureq::Error::HostNotFound),
        };
        let mut addresses = self.empty();
        // It holds sixteen.
        for address in found.into_iter().take(16) {
            addresses.push(SocketAddr::new(address, port));
        }
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// How to reach an address: this machine itself by no proxy that the environment names.
pub(crate) fn config(url: &str) -> ConfigBuilder<AgentScope> {
    let builder = Agent::config_builder().max_redirects(0);
    if url.starts_with("https://") { builder } else { builder.proxy(None) }
}

/// A client that connects as this machine does. It waits where it is called, which must be no thread of a runtime's.
pub(crate) fn agent(config: Config) -> Agent {
    Agent::with_parts(config, DefaultConnector::default(), SystemNames::default())
}

/// Fetches text of at most `most` bytes from an address, and from no other one that this would lead to.
pub(crate) async fn fetch(url: String, most: u64) -> Result<String, String> {
    let fetching = tokio::task::spawn_blocking(move || {
        let agent = agent(config(&url).timeout_global(Some(PATIENCE)).build());
        let mut answer = agent.get(&url).call().map_err(|error| error.to_string())?;
        answer.body_mut().with_config().limit(most).read_to_string().map_err(|error| error.to_string())
    });
    fetching.await.map_err(|error| error.to_string())?
}

/// Whether nobody on the way to an address can read or change what is said there: it is `https`, or this machine.
pub(crate) fn is_safe(url: &str) -> bool {
    let of_this_machine = url.parse::<Uri>().is_ok_and(|uri| {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        uri.scheme_str() == Some("http") && (is_loopback || host == "localhost")
    });
    of_this_machine || url.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_on_the_way_is_nobody_elses() {
        for url in
            ["https://id.example.com/keys", "http://127.0.0.1:1/keys", "http://[::1]/", "http://localhost/x"]
        {
            assert!(is_safe(url), "{url}");
        }
        for url in
            ["http://id.example.com/keys", "http://localhost.example.com/", "file:///x", "http://10.0.0.1/"]
        {
            assert!(!is_safe(url), "{url}");
        }
    }
}
