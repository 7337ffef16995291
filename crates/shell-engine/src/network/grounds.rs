//! By what a connection is decided: settings that deny, then the strictest rule, then settings that allow, then the default.

use std::net::IpAddr;

use execpolicy::network::NetworkRule;
use execpolicy::rights::HostPattern;
use execpolicy::{Ancestry, Decision, Policy};

use crate::config::{Hosts, Reachable};

/// Why there is no way to an address.
pub(crate) const UNNAMED: &str =
    "an address that is typed is reached only where a rule, a grant or a flag names it";

/// What one sandbox reaches besides what rules and the server's settings say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// What the rule grants by which its program runs.
    pub(crate) granted: Vec<HostPattern>,
    /// Nothing else is reached: it is confined.
    pub(crate) only_granted: bool,
    /// What the client allows.
    pub(crate) allowed: Vec<HostPattern>,
    /// What the client denies.
    pub(crate) denied: Vec<HostPattern>,
}

/// By what is decided about the connections of one sandbox.
#[derive(Clone, Copy)]
pub(super) struct Grounds<'g> {
    pub(super) policy: &'g Policy,
    pub(super) hosts: &'g Hosts,
    pub(super) reach: &'g Reach,
}

/// What is decided, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct Ground {
    pub(super) decision: Decision,
    /// What decides, in words.
    pub(super) by: String,
    /// What the rule says about it, where it is a rule.
    pub(super) rule: Option<(String, Option<String>)>,
    /// What would have to be otherwise for it to be allowed, where that is not a rule that is missing.
    pub(super) remedy: Option<&'static str>,
}

impl Ground {
    /// About an address that was written as such, and that nothing names.
    pub(super) fn unnamed() -> Ground {
        Ground::of(Decision::Forbidden, UNNAMED.to_owned())
    }

    fn of(decision: Decision, by: String) -> Ground {
        Ground { decision, by, rule: None, remedy: None }
    }
}

impl Grounds<'_> {
    /// Decides about a host at a port.
    pub(super) fn decide(&self, host: &str, port: u16, programs: &Ancestry) -> Ground {
        let said = self.said(host, port, programs);
        said.or_else(|| self.only_granted())
            .unwrap_or_else(|| Ground::of(self.hosts.default, "no rule speaks about it".to_owned()))
    }

    /// Decides about a port of the host's own localhost, whichever way that is written.
    pub(super) fn decide_localhost(&self, port: u16, programs: &Ancestry) -> Ground {
        let said = LOCALHOST.iter().filter_map(|host| self.said(host, port, programs));
        let strictest = said.reduce(|one, other| if other.decision > one.decision { other } else { one });
        strictest.or_else(|| self.only_granted()).unwrap_or_else(|| {
            Ground::of(Decision::Forbidden, "no rule speaks about this machine".to_owned())
        })
    }

    /// What becomes of what is not granted to a program that is confined.
    fn only_granted(&self) -> Option<Ground> {
        let by = "a confined program reaches what its profile grants, and no other".to_owned();
        let remedy = Some("To allow it, a person can name it in `hosts` of a profile of one's own");
        self.reach.only_granted.then(|| Ground { remedy, ..Ground::of(Decision::Forbidden, by) })
    }

    /// What is said about a host at a port; nothing when it is left to the default.
    fn said(&self, host: &str, port: u16, programs: &Ancestry) -> Option<Ground> {
        let Grounds { policy, hosts, reach } = *self;
        let of = |patterns: &[HostPattern]| patterns.iter().find(|pattern| pattern.fits(host, port)).cloned();
        let forbidden =
            |by, remedy| Some(Ground { remedy: Some(remedy), ..Ground::of(Decision::Forbidden, by) });
        if let Some(by) = policy.caps().forbids_host(host, port) {
            return forbidden(by, "Only the administrator can allow it");
        }
        if let Some(pattern) = of(&hosts.deny) {
            let by = format!("deny of [shell_tool.network] names {pattern}");
            return forbidden(by, "To allow it, a person can take it out of that list");
        }
        if let Some(pattern) = of(&reach.denied) {
            let by = format!("the client denies {pattern}");
            return forbidden(by, "To allow it, a person can change the client's settings");
        }
        // A rule about every program is not about one that is confined, unless it forbids.
        let counts = |rule: &&NetworkRule| {
            !reach.only_granted || rule.decision == Decision::Forbidden || !rule.by.is_empty()
        };
        if let Some(rule) = policy.network_rule_for(host, port, programs).filter(counts) {
            let origin = rule.origin.to_string();
            let by = format!("the rule {origin}");
            return Some(Ground {
                rule: Some((origin, rule.justification.clone())),
                remedy: Some("To allow it, a person can change that rule; no other one overrides it"),
                ..Ground::of(rule.decision, by)
            });
        }
        if policy.is_incomplete() {
            let by = "rules that are missing might forbid it".to_owned();
            return forbidden(by, "To allow it, a person can repair the rules");
        }
        let granted = of(&reach.granted).map(|pattern| format!("the rule of its program grants {pattern}"));
        let allowed = || {
            of(&hosts.allow).map(|pattern| format!("--allow-host or [shell_tool.network] names {pattern}"))
        };
        let by_client = || of(&reach.allowed).map(|pattern| format!("the client allows {pattern}"));
        let others = || allowed().or_else(by_client).filter(|_| !reach.only_granted);
        granted.or_else(others).map(|by| Ground::of(Decision::Allow, by))
    }

    /// Whether an address is granted as an address: by what names it, or where the whole network is given, but never by a name
    /// that leads to it.
    pub(super) fn grants_address(&self, address: IpAddr, port: u16) -> bool {
        let text = address.to_string();
        let names_it = |pattern: &HostPattern| {
            pattern.name() == text && pattern.fits(&text, port) || pattern.is_whole_network()
        };
        let Grounds { policy, hosts, reach } = *self;
        let mut denied = hosts.deny.iter().chain(&reach.denied);
        if policy.caps().forbids_host(&text, port).is_some() || denied.any(|deny| deny.fits(&text, port)) {
            return false;
        }
        match policy.network_rule_for(&text, port, &Ancestry::default()) {
            Some(rule) if rule.decision != Decision::Allow => false,
            Some(rule) if rule.host.name() == text => true,
            Some(_) | None => {
                let mut named = hosts.allow.iter().filter(|pattern| pattern.name() == text);
                named.any(names_it) || reach.granted.iter().chain(&reach.allowed).any(names_it)
            }
        }
    }
}

/// How the host's own localhost is written.
pub(super) const LOCALHOST: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Says what becomes of a connection to `HOST:PORT` by a program with this ancestry, for `policy explain`; nothing is asked or
/// connected.
///
/// # Errors
///
/// When that is no host with a port.
pub fn explain_host(policy: &Policy, hosts: &Hosts, text: &str, by: &Ancestry) -> Result<String, String> {
    let wrong = || format!("`{text}` is not HOST:PORT, as in packages.example.org:443");
    let pattern = HostPattern::parse(text)?;
    let port = pattern.port().filter(|_| !pattern.name().starts_with('*')).ok_or_else(wrong)?;
    let grounds = Grounds { policy, hosts, reach: &Reach::default() };
    let address: Option<IpAddr> = pattern.name().parse().ok();
    let is_named = |address: IpAddr| {
        Reachable::of(named(policy, hosts), false).by_name.addresses.contains(&address.to_canonical())
    };
    let ground = match address {
        _ if LOCALHOST.contains(&pattern.name()) => grounds.decide_localhost(port, by),
        Some(address) if !is_named(address) => Ground::unnamed(),
        _ => grounds.decide(pattern.name(), port, by),
    };
    let decision = match ground.decision {
        Decision::Allow => "allowed",
        Decision::Prompt => "asked about; refused where nobody can be asked",
        Decision::Forbidden => "refused",
    };
    let why = ground.rule.and_then(|(_, why)| why).map(|why| format!(" ({why})")).unwrap_or_default();
    let remedy = match (ground.decision, ground.remedy) {
        (Decision::Allow, _) => String::new(),
        (_, Some(remedy)) => format!(". {remedy}"),
        (_, None) => format!(". {}", to_allow(pattern.name(), port)),
    };
    Ok(format!("a connection to {pattern} is {decision}: {}{why}{remedy}", ground.by))
}

/// What would allow a connection that nothing speaks about.
pub(crate) fn to_allow(host: &str, port: u16) -> String {
    let place = place(host, port);
    format!(
        "To allow it, a person can write network_rule(host=\"{host}\", ports=[{port}], decision=\"allow\") into the rules, or \
         start the server with --allow-host {place}"
    )
}

/// A host and a port, as people write them.
pub(crate) fn place(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The hosts that rules and the server's settings name, unless they forbid them.
pub(super) fn named<'n>(policy: &'n Policy, hosts: &'n Hosts) -> impl Iterator<Item = HostPattern> + 'n {
    let rules = policy.network_rules().iter().filter(|rule| rule.decision != Decision::Forbidden);
    rules.flat_map(NetworkRule::places).chain(hosts.allow.iter().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Ports;

    #[test]
    fn what_denies_comes_before_what_allows() {
        let pattern = |text: &str| HostPattern::parse(text).unwrap();
        let hosts = Hosts {
            allow: vec![pattern("*.example.org"), pattern("10.0.0.1:80")],
            deny: vec![pattern("bad.example.org")],
            default: Decision::Prompt,
            said: true,
            published: Ports::default(),
        };
        let rules = "network_rule(host=\"*\", ports=[25], decision=\"deny\")\nnetwork_rule(host=\"10.0.0.2\", decision=\"allow\")";
        let policy = Policy::from_text(std::path::Path::new("/r/x.rules"), rules).unwrap();
        let reach = Reach { granted: vec![pattern("given.example")], ..Reach::default() };
        let grounds = Grounds { policy: &policy, hosts: &hosts, reach: &reach };
        let of = |host: &str, port| grounds.decide(host, port, &Ancestry::default()).decision;
        assert_eq!(of("a.example.org", 443), Decision::Allow);
        assert_eq!(of("bad.example.org", 443), Decision::Forbidden);
        assert_eq!(of("a.example.org", 25), Decision::Forbidden);
        assert_eq!(of("other.example", 443), Decision::Prompt);
        assert_eq!(
            (of("given.example", 443), of("given.example", 25)),
            (Decision::Allow, Decision::Forbidden)
        );
        let grants = |address: &str, port| grounds.grants_address(address.parse().unwrap(), port);
        assert!(grants("10.0.0.1", 80) && grants("10.0.0.2", 1));
        assert!(!grants("10.0.0.1", 81) && !grants("10.0.0.3", 80) && !grants("10.0.0.2", 25));
        let localhost = |port| grounds.decide_localhost(port, &Ancestry::default()).decision;
        assert_eq!((localhost(25), localhost(80)), (Decision::Forbidden, Decision::Forbidden));
    }

    #[test]
    fn what_becomes_of_a_connection_is_explained_with_what_would_allow_it() {
        let hosts = Hosts {
            allow: vec![HostPattern::parse("10.0.0.1:80").unwrap()],
            deny: vec![HostPattern::parse("bad.example.org").unwrap()],
            default: Decision::Prompt,
            said: true,
            published: Ports::default(),
        };
        let rules = "network_rule(host=\"good.example\", ports=[443], decision=\"allow\")\n\
                     network_rule(host=\"dear.example\", decision=\"prompt\", justification=\"costs money\")";
        let policy = Policy::from_text(std::path::Path::new("/r/x.rules"), rules).unwrap();
        let explain = |place: &str| explain_host(&policy, &hosts, place, &Ancestry::default());
        let rule =
            |host: &str, port| format!("network_rule(host=\"{host}\", ports=[{port}], decision=\"allow\")");
        for (place, parts) in [
            ("good.example:443", ["is allowed: the rule /r/x.rules:1", ""]),
            ("good.example:80", ["is asked about", &rule("good.example", 80)]),
            ("dear.example:80", ["/r/x.rules:2 (costs money). To allow it", "change that rule"]),
            ("bad.example.org:80", ["is refused: deny of [shell_tool.network]", "take it out of that list"]),
            ("10.0.0.1:80", ["is allowed", "10.0.0.1:80"]),
            ("10.0.0.2:80", ["is refused: an address that is typed", &rule("10.0.0.2", 80)]),
            ("[fd00::1]:80", ["is refused: an address that is typed", "--allow-host [fd00::1]:80"]),
            ("localhost:80", ["is refused: no rule speaks about this machine", "--allow-host localhost:80"]),
        ] {
            let explained = explain(place).unwrap();
            assert!(parts.iter().all(|part| explained.contains(part)), "{place}: {explained}");
        }
        for place in
            ["good.example", "*.example:443", "https://good.example/x", "b\u{fc}cher.example:443", "x:0"]
        {
            assert!(explain(place).is_err(), "{place}");
        }
    }

    #[test]
    fn an_administrator_denies_what_everybody_allows() {
        let everything = || vec![HostPattern::parse("*").unwrap()];
        let hosts = Hosts {
            allow: everything(),
            deny: Vec::new(),
            default: Decision::Allow,
            said: true,
            published: Ports::default(),
        };
        let rules = "network_rule(host=\"*\", decision=\"allow\")";
        let mut policy = Policy::from_text(std::path::Path::new("/r/x.rules"), rules).unwrap();
        let bounds = "[shell_tool]\ndeny_hosts = [\"*.bad.example\", \"10.0.0.1\"]\n";
        policy.add_requirements(std::path::Path::new("/etc/codex/requirements.toml"), bounds).unwrap();
        let reach = Reach { granted: everything(), ..Reach::default() };
        let grounds = Grounds { policy: &policy, hosts: &hosts, reach: &reach };
        let of = |host: &str| grounds.decide(host, 443, &Ancestry::default());
        assert_eq!(
            (of("a.bad.example").decision, of("bad.example").decision),
            (Decision::Forbidden, Decision::Allow)
        );
        assert!(of("a.bad.example").by.contains("requirements.toml"));
        let grants = |address: &str| grounds.grants_address(address.parse().unwrap(), 443);
        assert!(!grants("10.0.0.1") && grants("10.0.0.2"), "the whole network but one address");
    }
}
