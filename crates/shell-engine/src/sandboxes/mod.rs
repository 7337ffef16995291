//! Where programs run, and how they are started there: in a sandbox that enforces one policy, or outside.
//!
//! A [`Sandbox`] is one set of processes that enforces one plan, entered by every call with that policy. [`SandboxPool`] makes
//! them when they are first needed and keeps them, so that a server left in the background by one call is reached by the next.
//!
//! A `Process` gets exactly the descriptors, the directory and the environment of its `Spawn`, and nothing else. On Linux
//! the sandbox's own session starts it (`process`), which keeps all its descendants in sight, also those that begin a session
//! of their own, and ends them when the server is gone, however that ended. Elsewhere the server forks by itself (`forked`).

#[cfg(not(target_os = "linux"))]
mod fork;
#[cfg(not(target_os = "linux"))]
mod forked;
mod pool;
#[cfg(target_os = "linux")]
mod process;
mod sandbox;
mod spawn;

#[cfg(not(target_os = "linux"))]
pub(crate) use forked::Process;
pub(crate) use nix::sys::signal::Signal;
#[cfg(target_os = "linux")]
pub use pool::{SESSION_ARGUMENT, session_launcher};
pub use pool::{SandboxError, SandboxPool};
#[cfg(target_os = "linux")]
pub(crate) use process::Process;
pub use sandbox::Sandbox;
pub(crate) use spawn::{Descriptor, Directory, Ended, Remaining, Spawn, SpawnError};
