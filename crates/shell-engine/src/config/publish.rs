//! Ports of commands that are published: which the user has said.

use std::ops::RangeInclusive;

use serde::Deserialize;

/// One of `publish` in the configuration file: a port, or a text as on the command line.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum PortsWord {
    /// `3000`.
    Port(u16),
    /// `"3000-3999"`.
    Text(String),
}

/// Ports of TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports(Vec<RangeInclusive<u16>>);

impl Ports {
    /// Reads `3000` or `3000-3999`.
    pub(super) fn parse(text: &str) -> Result<RangeInclusive<u16>, String> {
        let wrong = || format!("`{text}` is neither a port nor a range of ports, as in 3000 or 3000-3999");
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = port(first)?..=port(last)?;
        if range.is_empty() { Err(wrong()) } else { Ok(range) }
    }

    /// What was typed and what was written, together.
    pub(super) fn new(typed: &[String], written: &[PortsWord]) -> Result<Ports, String> {
        let written = written.iter().map(|word| match word {
            PortsWord::Port(port) => Ports::parse(&port.to_string()),
            PortsWord::Text(text) => Ports::parse(text),
        });
        typed.iter().map(|text| Ports::parse(text)).chain(written).collect::<Result<_, _>>().map(Ports)
    }

    /// These ports.
    #[must_use]
    pub(crate) fn of(ports: &[u16]) -> Ports {
        Ports(ports.iter().map(|port| *port..=*port).collect())
    }

    /// Adds others.
    pub(crate) fn add(&mut self, other: &Ports) {
        let new = other.0.iter().filter(|range| !self.0.contains(range)).cloned().collect::<Vec<_>>();
        self.0.extend(new);
    }

    /// Whether there are none.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a port is one of them.
    #[must_use]
    pub(crate) fn has(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges_are_read() {
        let written = [PortsWord::Port(80), PortsWord::Text("5000-5001".into())];
        let ports = Ports::new(&["3000".into(), "4000-4010".into()], &written).unwrap();
        for (port, expected) in
            [(3000, true), (4005, true), (80, true), (5001, true), (5002, false), (1, false)]
        {
            assert_eq!(ports.has(port), expected, "{port}");
        }
        for text in ["", "0", "65536", "5-4", "a", "1-", "-1", "1-2-3"] {
            assert!(Ports::parse(text).is_err(), "{text}");
        }
    }
}
