//! One `execve` after the other: what the wrapper asks, what is decided, what runs outside the sandbox.
//!
//! [`Listener`] hears a call's wrappers, `session` leads one dialogue, [`Judge`] decides, `program` runs what is
//! escalated. A session does not know which door its request came through: it gets a stream and what was attached.

mod decision;
mod exec;
mod fingerprint;
mod identity;
mod judge;
mod legacy;
mod listener;
mod minutes;
mod offer;
mod session;
mod verdict;
mod wire;

pub use decision::{Decided, JudgedProgram};
pub(crate) use identity::FileIdentity;
pub(crate) use judge::Judge;
pub(crate) use listener::{EndOfCall, Listener};
