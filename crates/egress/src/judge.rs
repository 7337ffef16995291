//! What the judge is asked, and what it hears.

use crate::name::Host;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

/// Something that takes its time; dropping it withdraws the question.
pub type Waiting<'j, T> = Pin<Box<dyn Future<Output = T> + Send + 'j>>;

/// A connection that a program inside has made, and that waits to be made outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, unique in its egress.
    pub number: u64,
    /// What it is meant to reach.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// The program's end, by which the kernel tells whose it is.
    pub program: SocketAddr,
    /// Where the program has connected to, which means something inside only.
    pub inside: SocketAddr,
}

/// Whether a connection is made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is made, for this reason, which goes on record: a rule, or a person.
    Allow(String),
    /// It is not.
    Refuse,
}

/// Who decides about connections.
pub trait Judge: Send + Sync + 'static {
    /// Judges a connection before anything of its name leaves. The program waits meanwhile.
    fn judge<'j>(&'j self, attempt: &'j Attempt) -> Waiting<'j, Verdict>;

    /// Tells whether a connection that is allowed may also lead to this address, which is not one of the public Internet:
    /// whether the address itself is granted.
    fn grants_address(&self, attempt: &Attempt, address: IpAddr) -> bool;

    /// Finds whose share of the connections one from this address to that one counts to, before it is known what it is for;
    /// one that is nobody's is reset. Few wait for that at the same time.
    fn share(&self, _program: SocketAddr, _inside: SocketAddr) -> Waiting<'_, Option<u64>> {
        Box::pin(std::future::ready(Some(0)))
    }

    /// Hears that bytes can flow.
    fn opened(&self, _attempt: &Attempt) {}

    /// Hears what became of a connection, once.
    fn ended(&self, record: &Record);
}

/// What became of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The connection.
    pub attempt: Attempt,
    /// Why it was allowed, if it was.
    pub allowed: Option<String>,
    /// The address that it was made to, if it was.
    pub address: Option<SocketAddr>,
    /// What was wrong with it, if anything.
    pub failure: Option<Failure>,
    /// Bytes that the program has sent and received.
    pub sent: u64,
    /// See above.
    pub received: u64,
    /// From its beginning to its end.
    pub duration: Duration,
}

/// Why a connection was not made, or was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The judge refused it.
    Refused,
    /// Nobody has a name with this address.
    UnknownAddress,
    /// So many are open or waiting already.
    TooMany,
    /// The name has no addresses.
    Unresolved(String),
    /// The name leads to an address that is not one of the public Internet, and not granted.
    Address(IpAddr, String),
    /// Nothing answered.
    Unreachable(String),
    /// What the program said inside the connection names another host.
    OtherName(String),
    /// What the program said cannot be read, so that it is not known what it names.
    Unreadable(&'static str),
    /// Its rule is gone.
    Revoked,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused => formatter.write_str("no rule and nobody allows it"),
            Failure::UnknownAddress => formatter.write_str("the address stands for no name"),
            Failure::TooMany => formatter.write_str("too many connections are open already"),
            Failure::Unresolved(why) => write!(formatter, "the name has no address: {why}"),
            Failure::Address(address, what) => write!(
                formatter,
                "the name leads to {address} ({what}), which is not an address of the public Internet"
            ),
            Failure::Unreachable(why) => write!(formatter, "it cannot be reached: {why}"),
            Failure::OtherName(name) => {
                write!(formatter, "inside, the connection asks for another host, {name}")
            }
            Failure::Unreadable(what) => {
                write!(formatter, "what the connection asks for cannot be read: {what}")
            }
            Failure::Revoked => formatter.write_str("the rule that allowed it is gone"),
        }
    }
}
