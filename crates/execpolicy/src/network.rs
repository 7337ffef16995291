//! `network_rule`: what a program may reach. Parsed and normalised here, enforced elsewhere.

use std::fmt;

use crate::decision::Decision;
use crate::rule::Origin;

/// One `network_rule(…)`.
#[derive(Clone, Debug)]
pub struct NetworkRule {
    /// The host: lower case, without port, brackets and trailing dots.
    pub host: String,
    /// The protocol.
    pub protocol: Protocol,
    /// What the rule says.
    pub decision: Decision,
    /// Why, in its author's words; never blank.
    pub justification: Option<String>,
    /// Where it was written.
    pub origin: Origin,
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
    use super::normalise_host;

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
        for given in ["", "https://x", "x/y", "*.x", "a b", "x:port", "[::1", ":80", "..."] {
            assert!(normalise_host(given).is_err(), "{given}");
        }
    }
}
