//! The name of a host, as programs look it up: normalised once, compared as it is.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Longest name in its written form, and longest label (RFC 1035, section 2.3.4).
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A host's name: lower case, ASCII, without a trailing dot, and no way to write an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Reads a name; `None` for what no host can be called, and for what somebody might read as an address: a name
    /// whose last label is a number (as in URLs, WHATWG URL section 3.5, "ends in a number").
    #[must_use]
    pub fn new(given: &str) -> Option<Name> {
        let bare = given.strip_suffix('.').unwrap_or(given);
        let is_label = |label: &str| {
            (1..=LONGEST_LABEL).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let last = bare.rsplit('.').next().unwrap_or_default();
        let plausible = bare.len() <= LONGEST && bare.split('.').all(is_label) && !is_number(last);
        plausible.then(|| Name(bare.to_ascii_lowercase().into()))
    }

    /// Returns the name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether this is `localhost` or a name below it, which always mean the asker's own loopback (RFC 6761,
    /// section 6.3).
    #[must_use]
    pub fn is_localhost(&self) -> bool {
        self.as_str() == "localhost" || self.as_str().ends_with(".localhost")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// All that `inet_aton` and URL parsers take for a part of an IPv4 address.
fn is_number(label: &str) -> bool {
    let digits = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match digits {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// What a connection is meant to reach: a name, or an address that was written as such.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name that was looked up inside.
    Name(Name),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => name.fmt(formatter),
            Host::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
            Host::Address(IpAddr::V4(address)) => address.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form() {
        for (given, read) in
            [("Example.ORG.", "example.org"), ("_srv.a-b.c", "_srv.a-b.c"), ("x1", "x1"), ("1.a2", "1.a2")]
        {
            assert_eq!(Name::new(given).unwrap().as_str(), read);
        }
        let long = format!("{}.{}", "a".repeat(63), "b.".repeat(96));
        for none in [
            "",
            ".",
            "a..b",
            "a b",
            "a/b",
            "bücher.example",
            "127.1",
            "0x7f.1",
            "a.0X",
            "1.2.3.4",
            "::1",
            &long,
        ] {
            assert_eq!(Name::new(none), None, "{none}");
        }
        assert!(
            Name::new("LOCALHOST").unwrap().is_localhost()
                && Name::new("a.localhost").unwrap().is_localhost()
        );
        assert!(!Name::new("notlocalhost").unwrap().is_localhost());
    }
}
