//! Explains what the sandbox probably refused to a command, and the smallest way to allow it.
//!
//! `explain` asks the two questions that decide, `words` finds what to ask about in a command's output, `remedy` says what
//! would help, `evidence` is what is known, `caches` knows the tools that need no right at all, only another place.

mod caches;
mod evidence;
mod explain;
mod host_ports;
mod remedy;
mod words;

pub use evidence::{Denied, Evidence, Routes, Writes};
pub use explain::{Denial, explain, may_tell};
pub use words::{MOUNTS, NAMESPACES, SOCKETS};
