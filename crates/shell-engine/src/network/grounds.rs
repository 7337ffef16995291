//! By what a connection is decided: settings that deny, then the strictest rule, then settings that allow, then the default.

use std::net::IpAddr;

use execpolicy::rights::HostPattern;
use execpolicy::{Ancestry, Decision, Policy};

use crate::config::Hosts;

/// What is decided, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct Ground {
    pub(super) decision: Decision,
    /// What decides, in words.
    pub(super) by: String,
    /// What the rule says about it, where it is a rule.
    pub(super) rule: Option<(String, Option<String>)>,
}

/// Decides about a host at a port.
pub(super) fn decide(policy: &Policy, hosts: &Hosts, host: &str, port: u16, programs: &Ancestry) -> Ground {
    let of = |patterns: &[HostPattern]| patterns.iter().find(|pattern| pattern.fits(host, port)).cloned();
    let plain = |decision, by| Ground { decision, by, rule: None };
    if let Some(pattern) = of(&hosts.deny) {
        return plain(Decision::Forbidden, format!("`{pattern}` in [shell_tool.network] deny forbids it"));
    }
    if let Some(rule) = policy.network_rule_for(host, port, programs) {
        let origin = rule.origin.to_string();
        let by = format!("the rule {origin}");
        return Ground { decision: rule.decision, by, rule: Some((origin, rule.justification.clone())) };
    }
    if policy.is_incomplete() {
        return plain(Decision::Forbidden, "rules that are missing might forbid it".to_owned());
    }
    if let Some(pattern) = of(&hosts.allow) {
        return plain(
            Decision::Allow,
            format!("`{pattern}` is allowed by --allow-host or [shell_tool.network]"),
        );
    }
    plain(hosts.default, "no rule speaks about it".to_owned())
}

/// Whether an address is granted as an address: by a setting or a rule that names it, never by a name.
pub(super) fn grants_address(policy: &Policy, hosts: &Hosts, address: IpAddr, port: u16) -> bool {
    let text = address.to_string();
    let names_it = |pattern: &HostPattern| pattern.name() == text && pattern.fits(&text, port);
    let by_rule = policy.network_rule_for(&text, port, &Ancestry::default());
    match by_rule {
        Some(rule) if rule.decision != Decision::Allow => false,
        Some(rule) if rule.host.name() == text => true,
        Some(_) | None => {
            hosts.allow.iter().any(names_it) && !hosts.deny.iter().any(|deny| deny.fits(&text, port))
        }
    }
}

/// Says what becomes of a connection to `HOST:PORT` by a program with this ancestry, for `policy explain`; nothing is asked or
/// connected.
///
/// # Errors
///
/// When that is no host with a port.
pub fn explain_host(policy: &Policy, hosts: &Hosts, place: &str, by: &Ancestry) -> Result<String, String> {
    let wrong = || format!("`{place}` is not HOST:PORT, as in packages.example.org:443");
    let pattern = HostPattern::parse(place).map_err(|_| wrong())?;
    let port = pattern.port().filter(|_| !pattern.name().starts_with('*')).ok_or_else(wrong)?;
    let ground = decide(policy, hosts, pattern.name(), port, by);
    let decision = match ground.decision {
        Decision::Allow => "allowed",
        Decision::Prompt => "asked about; refused where nobody can be asked",
        Decision::Forbidden => "refused",
    };
    let why = ground.rule.and_then(|(_, why)| why).map(|why| format!(" ({why})")).unwrap_or_default();
    Ok(format!("a connection to {pattern} is {decision}: {}{why}", ground.by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_denies_comes_before_what_allows() {
        let pattern = |text: &str| HostPattern::parse(text).unwrap();
        let hosts = Hosts {
            allow: vec![pattern("*.example.org"), pattern("10.0.0.1:80")],
            deny: vec![pattern("bad.example.org")],
            default: Decision::Prompt,
            said: true,
        };
        let rules = "network_rule(host=\"*\", ports=[25], decision=\"deny\")\nnetwork_rule(host=\"10.0.0.2\", decision=\"allow\")";
        let policy = Policy::from_text(std::path::Path::new("/r/x.rules"), rules).unwrap();
        let of = |host: &str, port| decide(&policy, &hosts, host, port, &Ancestry::default()).decision;
        assert_eq!(of("a.example.org", 443), Decision::Allow);
        assert_eq!(of("bad.example.org", 443), Decision::Forbidden);
        assert_eq!(of("a.example.org", 25), Decision::Forbidden);
        assert_eq!(of("other.example", 443), Decision::Prompt);
        let grants = |address: &str, port| grants_address(&policy, &hosts, address.parse().unwrap(), port);
        assert!(grants("10.0.0.1", 80) && grants("10.0.0.2", 1));
        assert!(!grants("10.0.0.1", 81) && !grants("10.0.0.3", 80) && !grants("10.0.0.2", 25));
    }
}
