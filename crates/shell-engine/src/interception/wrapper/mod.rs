//! The door of the patched Bash, on every platform: for each program execve-wrapper asks over a socket that it has
//! inherited.
//!
//! [`listener`] hears its hellos, [`protocol`] serves one connection, [`wire`] reads and writes its messages,
//! [`socket`] receives descriptors.

mod listener;
mod protocol;
mod socket;
mod wire;

pub(crate) use listener::WrapperDoor;
pub(super) use protocol::{Asker, Becomes, hold_known, refuse};
