//! The hosts that a grant names.

use std::fmt;

use crate::network::normalise_host;

/// A host, all proper subdomains of one (`*.example.org`) or every host (`*`); at one port, or at every one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    name: String,
    port: Option<u16>,
}

impl HostPattern {
    /// Reads what a rules file says: `HOST`, `HOST:PORT`, `*.HOST`, `[::1]:PORT`, `*`.
    ///
    /// # Errors
    /// A text for the author.
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        if text.contains('/') {
            return Err(format!("`{text}` is no host: leave out scheme and path"));
        }
        if !text.is_ascii() {
            return Err(format!("`{text}` is not ASCII: such names are written as DNS has them, xn--…"));
        }
        let (name, port) = split_port(text)?;
        if name == "*" {
            return Ok(HostPattern { name: name.to_owned(), port });
        }
        let (star, host) = name.strip_prefix("*.").map_or(("", name), |host| ("*.", host));
        let host = normalise_host(host).map_err(|_| {
            format!("`{text}` is no host; it is HOST, HOST:PORT, or *.HOST, which stands for all below it")
        })?;
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        if !is_address && host.contains(':') {
            return Err(format!("`{text}` is neither a host nor an address"));
        }
        if is_address && !star.is_empty() {
            return Err(format!("`{text}` is no host: nothing is below an address"));
        }
        Ok(HostPattern { name: format!("{star}{host}"), port })
    }

    /// Every host at every port.
    #[must_use]
    pub fn whole_network() -> HostPattern {
        HostPattern { name: "*".to_owned(), port: None }
    }

    /// The host in small letters and without brackets, perhaps with `*.` before it, or `*`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The only port; `None`: every one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same hosts, at this port.
    #[must_use]
    pub fn at(self, port: u16) -> HostPattern {
        HostPattern { port: Some(port), ..self }
    }

    /// Whether it stands for every host.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.name == "*"
    }

    /// Whether it stands for every host at every port.
    #[must_use]
    pub fn is_whole_network(&self) -> bool {
        self.is_everything() && self.port.is_none()
    }

    /// Whether a host at a port is one of these.
    #[must_use]
    pub fn fits(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_lowercase();
        self.port.is_none_or(|own| own == port) && self.fits_name(&host)
    }

    /// Whether every host that fits another pattern fits this one.
    #[must_use]
    pub fn holds(&self, other: &HostPattern) -> bool {
        (self.port.is_none() || self.port == other.port)
            && (self.name == other.name || self.fits_name(&other.name))
    }

    fn fits_name(&self, host: &str) -> bool {
        if self.is_everything() {
            return true;
        }
        match self.name.strip_prefix('*') {
            Some(end) => host.len() > end.len() && host.ends_with(end),
            None => host == self.name,
        }
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let port = |digits: &str| match digits.parse::<u16>() {
        Ok(port) if port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(port)),
        Ok(_) | Err(_) => Err(format!("`{text}` names no port from 1 to 65535")),
    };
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(digits) => Ok((host, port(digits)?)),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("`{text}` is no host")),
        };
    }
    match text.split_once(':') {
        // An address of version 6, without brackets.
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, digits)) => Ok((host, port(digits)?)),
        None => Ok((text, None)),
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.name.contains(':')) {
            (None, _) => formatter.write_str(&self.name),
            (Some(port), false) => write!(formatter, "{}:{port}", self.name),
            (Some(port), true) => write!(formatter, "[{}]:{port}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HostPattern;

    #[test]
    fn hosts_are_read_and_written_alike() {
        for (text, expected) in [
            ("packages.example.org", "packages.example.org"),
            ("GitHub.example.:22", "github.example:22"),
            ("*.example.org:443", "*.example.org:443"),
            ("*", "*"),
            ("10.1.2.3:5432", "10.1.2.3:5432"),
            ("[::1]:5432", "[::1]:5432"),
            ("localhost:5432", "localhost:5432"),
        ] {
            let pattern = HostPattern::parse(text).expect(text);
            assert_eq!(pattern.to_string(), expected);
            assert_eq!(HostPattern::parse(expected), Ok(pattern));
        }
        for text in [
            "",
            "https://x",
            "x/y",
            "x:0",
            "x:65536",
            "x:",
            "x:y",
            "**",
            "a.*",
            "*.",
            "*x",
            "*.10.0.0.1",
            "a b",
            "b\u{fc}cher.example",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_star_is_a_proper_subdomain() {
        let pattern = |text| HostPattern::parse(text).expect(text);
        for (text, host, port, expected) in [
            ("example.org", "EXAMPLE.org.", 443, true),
            ("example.org", "a.example.org", 443, false),
            ("*.example.org", "a.b.example.org", 1, true),
            ("*.example.org", "example.org", 1, false),
            ("*.example.org", "xexample.org", 1, false),
            ("example.org:443", "example.org", 80, false),
            ("*", "anything", 1, true),
        ] {
            assert_eq!(pattern(text).fits(host, port), expected, "{text} {host}:{port}");
        }
        for (outer, inner, expected) in [
            ("*", "*.x:1", true),
            ("*:1", "*", false),
            ("*.x", "*.a.x", true),
            ("*.x", "a.x:1", true),
            ("*.a.x", "*.x", false),
            ("a.x:1", "a.x", false),
        ] {
            assert_eq!(pattern(outer).holds(&pattern(inner)), expected, "{outer} {inner}");
        }
    }
}
