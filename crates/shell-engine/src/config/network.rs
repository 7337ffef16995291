//! Which hosts may be reached by name: what was typed and written, besides rules.

use execpolicy::Decision;
use execpolicy::rights::HostPattern;
use sandbox::{ByName, MOST_ADDRESSES, MOST_HOST_PORTS};
use serde::Deserialize;
use std::net::IpAddr;

use super::publish::{Ports, PortsWord};

/// `[shell_tool.network]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkTable {
    /// Hosts that may be reached, `HOST`, `HOST:PORT` or `*.HOST`.
    #[serde(default)]
    allow: Vec<String>,
    /// Hosts that may not, whatever else is said.
    #[serde(default)]
    deny: Vec<String>,
    /// What becomes of all others.
    default: Option<DefaultWord>,
}

/// The words of `default`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DefaultWord {
    Allow,
    Prompt,
    Forbidden,
}

/// Which hosts may be reached by name, besides what rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// Hosts that may be reached.
    pub(crate) allow: Vec<HostPattern>,
    /// Hosts that may not, whatever else is said.
    pub(crate) deny: Vec<HostPattern>,
    /// What becomes of those that nothing speaks about.
    pub(crate) default: Decision,
    /// Whether anything was said.
    pub(crate) said: bool,
    /// Ports of commands that are published.
    pub(crate) published: Ports,
}

/// What leads to hosts by name besides names, and whether the network can be given whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reachable {
    /// Addresses and ports of the host's own that are spoken about.
    pub(crate) by_name: ByName,
    /// Some hosts are never reached, so that the network is given host by host.
    pub(crate) is_bounded: bool,
}

impl Reachable {
    /// That of hosts that are named.
    pub(crate) fn of(named: impl IntoIterator<Item = HostPattern>, is_bounded: bool) -> Reachable {
        Reachable { by_name: by_name(named), is_bounded }
    }

    /// The same, with other hosts that are named.
    pub(crate) fn with(&self, named: &[HostPattern]) -> ByName {
        let ByName { addresses, host_ports } = by_name(named.iter().cloned());
        let mut all = self.by_name.clone();
        all.addresses.extend(addresses);
        all.host_ports.extend(host_ports);
        bounded(all)
    }
}

fn by_name(named: impl IntoIterator<Item = HostPattern>) -> ByName {
    let mut found = ByName::default();
    for pattern in named {
        let address: Option<IpAddr> = pattern.name().parse().ok();
        let is_loopback = address.is_some_and(|address| address.is_loopback());
        match (address, pattern.port()) {
            (_, Some(port)) if is_loopback || pattern.name() == "localhost" => found.host_ports.push(port),
            (Some(address), _) if !is_loopback && !address.is_unspecified() && !address.is_multicast() => {
                found.addresses.push(address.to_canonical());
            }
            _ => {}
        }
    }
    bounded(found)
}

/// In order, and not more than can be had.
fn bounded(mut all: ByName) -> ByName {
    all.addresses.sort();
    all.addresses.dedup();
    all.addresses.truncate(MOST_ADDRESSES);
    all.host_ports.sort();
    all.host_ports.dedup();
    all.host_ports.truncate(MOST_HOST_PORTS);
    all
}

/// What is said about hosts is no host.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct BadHost {
    /// Where it is said.
    place: &'static str,
    /// What is wrong with it.
    problem: String,
}

impl Hosts {
    pub(super) fn new(
        typed: &[String],
        table: Option<&NetworkTable>,
        (published, written): (&[String], &[PortsWord]),
    ) -> Result<Hosts, BadHost> {
        let read = |place: &'static str, texts: &[String]| {
            let parsed = texts.iter().map(|text| HostPattern::parse(text));
            parsed.collect::<Result<Vec<_>, _>>().map_err(|problem| BadHost { place, problem })
        };
        let mut allow = read("--allow-host", typed)?;
        let said = !typed.is_empty() || table.is_some();
        let table = table.cloned().unwrap_or_default();
        allow.extend(read("allow in [shell_tool.network] of the configuration file", &table.allow)?);
        let deny = read("deny in [shell_tool.network] of the configuration file", &table.deny)?;
        let default = match table.default {
            Some(DefaultWord::Allow) => Decision::Allow,
            // Where nobody can be asked, that is a no.
            Some(DefaultWord::Prompt) | None => Decision::Prompt,
            Some(DefaultWord::Forbidden) => Decision::Forbidden,
        };
        let published = Ports::new(published, written);
        let published = published.map_err(|problem| BadHost { place: "publish", problem })?;
        Ok(Hosts { allow, deny, default, said, published })
    }
}
