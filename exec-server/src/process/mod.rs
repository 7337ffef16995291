//! Starting programs in a place and waiting for them: exactly these descriptors, this directory, this environment, nothing
//! else; and ending whatever they have started.
//!
//! On Linux a program is started by the place's own session (`confined`), which keeps all its descendants in sight, also
//! those that begin a session of their own, and ends them when the server is gone, however that ended. Elsewhere the server
//! forks by itself (`forked`).

#[cfg(target_os = "linux")]
mod confined;
#[cfg(not(target_os = "linux"))]
mod fork;
#[cfg(not(target_os = "linux"))]
mod forked;
mod limits;
mod spawn;
mod sys;

#[cfg(target_os = "linux")]
pub(crate) use confined::Process;
#[cfg(not(target_os = "linux"))]
pub(crate) use forked::Process;
pub use limits::{TooFewDescriptors, raise_descriptor_limit};
#[cfg(target_os = "linux")]
pub(crate) use limits::{lower_descriptor_limit, soft_descriptor_limit};
pub(crate) use nix::sys::signal::Signal;
pub(crate) use spawn::{Descriptor, Directory, Ended, Remaining, Spawn, SpawnError};
pub use sys::restore_signals;
pub(crate) use sys::{adopt as adopt_descriptor, watch_broken, watch_readable};
