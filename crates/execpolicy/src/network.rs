//! `network_rule`: what a program may reach. Pure: what a rule says about a host and a port; asking and connecting is done
//! elsewhere.

use std::fmt;

use crate::ancestry::Ancestry;
use crate::decision::Decision;
use crate::pattern::{Element, Reading};
use crate::policy::Policy;
use crate::rights::HostPattern;
use crate::rule::Origin;

/// One `network_rule(…)`.
#[derive(Clone, Debug)]
pub struct NetworkRule {
    /// The hosts, and a port where the host was written with one.
    pub host: HostPattern,
    /// The protocol, where it was said.
    pub protocol: Option<Protocol>,
    /// The ports; with none, all that the host and the protocol leave.
    pub ports: Vec<u16>,
    /// What the rule says.
    pub decision: Decision,
    /// Why, in its author's words; never blank.
    pub justification: Option<String>,
    /// The programs that it is about, or below which these are; with none, all.
    pub by: Vec<Element>,
    /// Where it was written.
    pub origin: Origin,
}

impl NetworkRule {
    /// Whether it is about a host at a TCP port, whichever program wants to reach it.
    #[must_use]
    pub fn fits(&self, host: &str, port: u16) -> bool {
        let by_protocol = match self.protocol {
            _ if !self.ports.is_empty() || self.host.port().is_some() => true,
            None | Some(Protocol::Socks5Tcp) => true,
            Some(Protocol::Http) => port == 80,
            Some(Protocol::Https) => port == 443,
            Some(Protocol::Socks5Udp) => false,
        };
        by_protocol && (self.ports.is_empty() || self.ports.contains(&port)) && self.host.fits(host, port)
    }

    /// The hosts that it is about, once for each port that it names.
    #[must_use]
    pub fn places(&self) -> Vec<HostPattern> {
        match self.host.port() {
            None if !self.ports.is_empty() => {
                self.ports.iter().map(|port| self.host.clone().at(*port)).collect()
            }
            Some(_) | None => vec![self.host.clone()],
        }
    }

    /// Whether it is about a program: the one that connects, or one that has started it. What is not known, and what a
    /// program only calls itself, does not allow it anything.
    fn is_about(&self, programs: &Ancestry) -> bool {
        let reading = match self.decision {
            Decision::Allow => Reading::Narrow,
            Decision::Prompt | Decision::Forbidden => Reading::Wide,
        };
        self.by.is_empty() || programs.has(&self.by, reading)
    }
}

impl Policy {
    /// The strictest rule about a host at a port, for a program and those that have started it; `None` if there is none.
    #[must_use]
    pub fn network_rule_for(&self, host: &str, port: u16, programs: &Ancestry) -> Option<&NetworkRule> {
        let rules = self.network_rules().iter();
        let fitting = rules.filter(|rule| rule.fits(host, port) && rule.is_about(programs));
        // The first of the strictest.
        fitting.reduce(|one, other| if other.decision > one.decision { other } else { one })
    }
}

/// The host and the port that an example names: `https://HOST/…`, or `HOST:PORT`.
///
/// # Errors
/// A text for the author.
pub(crate) fn example(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("network_rule examples are URLs or HOST:PORT (got `{text}`)");
    let (default, rest) = match text.split_once("://") {
        Some(("https" | "wss", rest)) => (Some(443), rest),
        Some(("http" | "ws", rest)) => (Some(80), rest),
        Some(("ssh", rest)) => (Some(22), rest),
        Some((_, rest)) => (None, rest),
        None => (None, text),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = HostPattern::parse(authority.rsplit('@').next().unwrap_or_default()).map_err(|_| wrong())?;
    let port = host.port().or(default).ok_or_else(wrong)?;
    if host.name().starts_with('*') { Err(wrong()) } else { Ok((host.name().to_owned(), port)) }
}

/// The protocols that a network rule can speak about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTPS, through CONNECT.
    Https,
    /// TCP through SOCKS 5.
    Socks5Tcp,
    /// UDP through SOCKS 5.
    Socks5Udp,
}

impl Protocol {
    /// Reads the word used in rule files.
    ///
    /// # Errors
    /// A text for the author.
    pub fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "http" => Ok(Self::Http),
            "https" | "https_connect" | "http-connect" => Ok(Self::Https),
            "socks5_tcp" => Ok(Self::Socks5Tcp),
            "socks5_udp" => Ok(Self::Socks5Udp),
            other => Err(format!(
                "network_rule protocol must be one of http, https, socks5_tcp, socks5_udp (got {other})"
            )),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5Tcp => "socks5_tcp",
            Self::Socks5Udp => "socks5_udp",
        })
    }
}

/// Reads the decision of a network rule, which has two more words than a prefix rule.
#[must_use]
pub fn decision_from_word(word: &str) -> Option<Decision> {
    match word {
        "deny" => Some(Decision::Forbidden),
        "ask" => Some(Decision::Prompt),
        other => Decision::from_word(other),
    }
}

/// Reads the hosts of a rule: one, all proper subdomains of one (`*.example.org`), or all (`*`).
///
/// # Errors
/// A text for the author.
pub(crate) fn host(given: &str) -> Result<HostPattern, String> {
    let given = given.trim();
    if given == "*" || given.starts_with("*.") {
        return HostPattern::parse(given);
    }
    let name = normalise_host(given)?;
    match HostPattern::parse(given) {
        Ok(pattern) => Ok(pattern),
        // With a trailing dot before the port, or the like.
        Err(_) => HostPattern::parse(&name),
    }
}

/// Normalises a host.
///
/// # Errors
/// A text for the author, when it is not a plain host.
pub fn normalise_host(given: &str) -> Result<String, String> {
    let host = given.trim();
    if host.contains("://") {
        return Err(format!("network_rule host must not include a scheme (got `{given}`)"));
    }
    if host.contains(['/', '?', '#', '@']) {
        return Err(format!("network_rule host must not include a path (got `{given}`)"));
    }
    if !host.is_ascii() {
        return Err(format!("network_rule host must be written as DNS has it, xn--… (got `{given}`)"));
    }
    if host.contains('*') {
        return Err(format!(
            "network_rule host must be a specific host; wildcards are not allowed (got `{given}`)"
        ));
    }
    if host.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err(format!("network_rule host must not contain whitespace (got `{given}`)"));
    }
    let bare = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if is_port(port) => address,
            _ => {
                return Err(format!(
                    "network_rule host has unbalanced brackets or a bad port (got `{given}`)"
                ));
            }
        },
        // More than one colon: a bare IPv6 address, which has no port.
        None => match host.split_once(':') {
            Some((name, port)) if !port.contains(':') => {
                if !is_port(&format!(":{port}")) {
                    return Err(format!("network_rule host has a bad port (got `{given}`)"));
                }
                name
            }
            Some(_) | None => host,
        },
    };
    let normal = bare.trim_end_matches('.').to_lowercase();
    if normal.is_empty() { Err("network_rule host cannot be empty".to_owned()) } else { Ok(normal) }
}

fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok(),
        None => text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;
    use std::sync::Arc;

    use super::normalise_host;
    use crate::ancestry::{Ancestor, Ancestry};
    use crate::decision::Decision;
    use crate::policy::Policy;

    fn policy(text: &str) -> Policy {
        Policy::from_text(Path::new("/r/default.rules"), text).unwrap()
    }

    #[test]
    fn the_strictest_rule_about_a_host_and_a_port_decides() {
        let policy = policy(
            r#"
network_rule("API.example.com:443", "https", "allow")
network_rule("telemetry.example.com", "https", "deny", justification = "not from here")
network_rule(host="*.example.org", ports=[443, 8443], decision="allow", match=["https://a.example.org/x"], not_match=["https://example.org", "a.example.org:22"])
network_rule(host="secret.example.org", decision="prompt")
network_rule(host="by.example", decision="allow", by=["npm", "/usr/bin/curl"])
network_rule(host="10.1.2.3", ports=[5432], decision="allow")
"#,
        );
        let by = |host: &str, port, program: &str| {
            let programs = Ancestry::whole(vec![Arc::new(Ancestor::named(OsStr::new(program)))]);
            policy.network_rule_for(host, port, &programs).map(|rule| rule.decision)
        };
        let of = |host, port| by(host, port, "/usr/bin/x");
        assert_eq!(of("api.example.com", 443), Some(Decision::Allow));
        assert_eq!(of("api.example.com", 80), None);
        assert_eq!(of("telemetry.example.com", 443), Some(Decision::Forbidden));
        assert_eq!(of("A.Example.org.", 8443), Some(Decision::Allow));
        assert_eq!(of("example.org", 443), None);
        assert_eq!(of("xexample.org", 443), None);
        assert_eq!(of("secret.example.org", 443), Some(Decision::Prompt));
        assert_eq!(of("by.example", 443), None);
        assert_eq!(by("by.example", 443, "/opt/bin/npm"), Some(Decision::Allow));
        assert_eq!(by("by.example", 443, "/usr/bin/curl"), Some(Decision::Allow));
        assert_eq!(by("by.example", 443, "/opt/curl"), None);
        assert_eq!((of("10.1.2.3", 5432), of("10.1.2.3", 80)), (Some(Decision::Allow), None));
    }

    #[test]
    fn what_a_rule_cannot_mean_is_an_error() {
        for text in [
            "network_rule(\"x.example\")",
            "network_rule(\"x.example\", decision=\"allow\", ports=[0])",
            "network_rule(\"x.example\", decision=\"allow\", ports=[])",
            "network_rule(\"a.*.example\", decision=\"allow\")",
            "network_rule(\"**\", decision=\"allow\")",
            "network_rule(\"x.example\", decision=\"allow\", match=[\"https://y.example\"])",
            "network_rule(\"x.example\", decision=\"allow\", not_match=[\"https://x.example\"])",
            "network_rule(\"x.example\", decision=\"allow\", match=[\"x.example\"])",
        ] {
            assert!(Policy::from_text(Path::new("/r"), text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_are_normalised() {
        for (given, expected) in [
            (" Example.COM. ", "example.com"),
            ("example.com:443", "example.com"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
        ] {
            assert_eq!(normalise_host(given).as_deref(), Ok(expected), "{given}");
        }
        for given in
            ["", "https://x", "x/y", "*.x", "a b", "x:port", "[::1", ":80", "...", "b\u{fc}cher.example"]
        {
            assert!(normalise_host(given).is_err(), "{given}");
        }
    }
}
