//! Starting programs and waiting for them: exactly these descriptors, this directory, this environment, nothing else.
//!
//! The standard library's `Command` cannot place descriptors at chosen numbers (its own error pipe may sit there) and
//! inherits the server's standard streams, which are the protocol. So the fork and the steps after it are ours.

mod limits;
mod spawn;
mod sys;
mod wait;

pub use limits::raise_descriptor_limit;
pub(crate) use spawn::{Descriptor, Directory, Spawn, SpawnError};
pub(crate) use sys::watch_readable;
pub(crate) use wait::{Ended, Process, Signal};
