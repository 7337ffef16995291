//! Fetching what an address shows. Names are looked up without the C library, whose way loads plug-ins of another one in a
//! static program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::http::Uri;
use egress::{Name, Resolve, SystemResolver};
use tokio::runtime::Handle;
use ureq::config::Config;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// How long fetching may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks names up in the machine's hosts file, then asks its name servers.
#[derive(Debug)]
struct SystemNames {
    resolver: SystemResolver,
    runtime: Handle,
}

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
                let found = self.runtime.block_on(self.resolver.resolve(&name));
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

/// Fetches text of at most `most` bytes from an address, and from no other one that this would lead to.
pub(super) async fn fetch(url: String, most: u64) -> Result<String, String> {
    let names = SystemNames { resolver: SystemResolver::default(), runtime: Handle::current() };
    let fetching = tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(0).build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), names);
        let mut answer = agent.get(&url).call().map_err(|error| error.to_string())?;
        answer.body_mut().with_config().limit(most).read_to_string().map_err(|error| error.to_string())
    });
    fetching.await.map_err(|error| error.to_string())?
}
