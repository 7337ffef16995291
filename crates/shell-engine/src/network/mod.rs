//! Hosts by name: who in a sandbox may reach which, and the connections that are made for them.
//!
//! * `networks`: what all sandboxes of a server have in common; the thread that serves them.
//! * `opened`: a connection that is open, for who wants to see it.
//! * `sandbox_network`: one sandbox's side, which its calls enter.
//! * `publishing`: the other way round, ports of its programs that are reachable here.
//! * `judge`: decides about each connection, by rules, settings, or a person; `grounds`: by what.
//! * `party`: the call that a connection belongs to, as far as this room knows calls (a trait); `callers`: who has connected.

mod callers;
mod grounds;
mod judge;
mod networks;
mod opened;
mod party;
mod publishing;
mod sandbox_network;

pub(crate) use callers::Connecting;
pub use grounds::explain_host;
pub(crate) use grounds::{Reach, UNNAMED, place, to_allow};
pub(crate) use networks::Networks;
pub use opened::OpenConnection;
pub(crate) use party::{Caller, Ended, Party, Said, Wish};
pub(crate) use publishing::Publications;
pub(crate) use sandbox_network::{Entered, SandboxNetwork};
