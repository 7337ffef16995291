//! A connection that is open, for who wants to see it.

use std::path::PathBuf;
use std::time::Duration;

/// A connection to a host that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenConnection {
    /// The host, as rules name it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The program's file, where that is known.
    pub program: PathBuf,
    /// Why it was allowed: a rule, a setting, or a person.
    pub allowed: String,
    /// Bytes that the program has sent so far.
    pub sent: u64,
    /// Bytes that it has received.
    pub received: u64,
    /// How long it has been open.
    pub age: Duration,
}

impl OpenConnection {
    pub(super) fn new(host: String, program: PathBuf, open: egress::OpenConnection) -> OpenConnection {
        let egress::OpenConnection { attempt, allowed, sent, received, since } = open;
        OpenConnection { host, port: attempt.port, program, allowed, sent, received, age: since.elapsed() }
    }
}
