//! TCP by name for a network namespace that has no other way out.
//!
//! Programs inside look names up and connect as they always do: no proxy, no variables, no certificates. Each name gets an
//! address of a range that is local inside; who connects there is accepted here, judged by name and port, and connected
//! outside to an address that was checked. Where no range can be local, programs ask a proxy (HTTP, SOCKS 5), with the same
//! judge.
//!
//! # Layout, in the order in which a connection meets it
//! - `dns`: answers for names, with addresses of the [`Range`]; nothing is asked outside.
//! - `egress`: [`Egress`], the listeners, and the life of a connection.
//! - `open`: the connections that there are; room, shares, ends.
//! - `proxy`: where there is no such namespace, the ways to ask for a host.
//! - `judge`: [`Judge`], which decides; what it is asked, and what it hears.
//! - `resolve`: [`Resolve`], the addresses of a name outside; `address`: which of them are the public Internet's.
//! - `outside`: the connection there.
//! - `hello`: what the program says inside the connection must name the same host.
//! - `exchange`: the bytes, both ways.
//! - `published`: the other way round, ports inside that are reachable outside.
//! - `name`, `range`: hosts; which name has which address.
//!
//! Whoever is inside is hostile: each connection, name and byte that waits is bounded. What comes from outside is the business
//! of the program that asked for it.

mod address;
mod dns;
mod egress;
mod exchange;
mod hello;
mod judge;
mod name;
mod open;
mod outside;
mod proxy;
mod published;
mod range;
mod resolve;

pub use address::{Special, special};
pub use egress::{Egress, Inside, ListenError};
pub use judge::{Attempt, Failure, Judge, Record, Verdict, Waiting};
pub use name::{Host, Name};
pub use open::{Limits, OpenConnection, Owner};
pub use published::{Published, Sockets};
pub use range::{Names, Range};
pub use resolve::{Addresses, Resolve, SystemResolver};
