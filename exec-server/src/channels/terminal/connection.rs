//! A connection as it travels to a terminal. Everything in it can be shown as it is.

use serde::{Deserialize, Serialize};
use shell_engine::OpenConnection;
use shell_engine::visible::{shortened, visible};

/// Connections that travel; the rest is counted.
pub(super) const MOST: usize = 200;
/// Characters of each of its words.
const MOST_SHOWN: usize = 300;

/// A connection that is open, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::channels) struct ShownConnection {
    pub(super) host: String,
    pub(super) port: u16,
    /// The program's file; empty where that is not known.
    pub(super) program: String,
    /// Why it was allowed.
    pub(super) allowed: String,
    /// Bytes that the program has sent and received.
    pub(super) sent: u64,
    pub(super) received: u64,
    /// How long it has been open.
    pub(super) seconds: u64,
}

impl ShownConnection {
    pub(super) fn new(open: &OpenConnection) -> ShownConnection {
        let OpenConnection { host, port, program, allowed, sent, received, age } = open;
        ShownConnection {
            host: host.clone(),
            port: *port,
            program: program.to_string_lossy().into_owned(),
            allowed: allowed.clone(),
            sent: *sent,
            received: *received,
            seconds: age.as_secs(),
        }
        .made_visible()
    }

    /// Writes out what would deceive.
    pub(super) fn made_visible(self) -> ShownConnection {
        let shown = |text: String| shortened(&visible(text.as_bytes()), MOST_SHOWN);
        ShownConnection {
            host: shown(self.host),
            program: shown(self.program),
            allowed: shown(self.allowed),
            ..self
        }
    }

    /// In one line: where, how much, how long, by whom, and why.
    pub(super) fn in_words(&self) -> String {
        let ShownConnection { host, port, program, allowed, sent, received, seconds } = self;
        let program = if program.is_empty() { String::new() } else { format!(" by {program}") };
        let (sent, received) = (size(*sent), size(*received));
        format!("{host}:{port}  sent {sent}, received {received}  {seconds} s{program}: {allowed}")
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_one_line_in_which_nothing_deceives() {
        let shown = ShownConnection {
            host: "a.test".into(),
            port: 443,
            program: "/bin/x\u{1b}".into(),
            allowed: "the rule r:1".into(),
            sent: 999,
            received: 1_250_000,
            seconds: 3,
        };
        let text = "a.test:443  sent 999 B, received 1.2 MB  3 s by /bin/x\\u{1b}: the rule r:1";
        assert_eq!(shown.made_visible().in_words(), text);
        assert_eq!(size(3_000_000_000), "3.0 GB");
    }
}
