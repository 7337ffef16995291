//! Where programs run, and how they are started there: in a sandbox that enforces one policy, or outside.
//!
//! A [`Sandbox`] is one set of processes that enforces one plan, entered by every call with that policy.
//! [`SandboxPool`] makes them when they are first needed and keeps them, so that a server left in the background by one
//! call is reached by the next.
//!
//! A program that a rule gives other rights than commands have runs in one of its own (`Given`), kept alike.
//!
//! A `Process` gets exactly the descriptors, the directory and the environment of its `SpawnRequest`, and nothing else.
//! The sandbox's own session starts it. On Linux that keeps all its descendants in sight, also those that begin a
//! session of their own, and ends them when the server is gone, however that ended.

mod company;
mod given;
mod neighbours;
mod pool;
mod process;
mod sandbox;
mod spawn_error;

pub(crate) use given::Given;
pub(crate) use neighbours::Neighbours;
pub use neighbours::most_sandboxes;
pub(crate) use nix::sys::signal::Signal;
pub use pool::{SESSION_ARGUMENT, SandboxError, SandboxPool, session_launcher};
pub(crate) use process::{Process, Remaining, Reports};
pub use sandbox::Sandbox;
pub(crate) use spawn_error::SpawnError;
