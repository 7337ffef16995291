//! The sandbox: what a command may touch, and its enforcement by the kernel.
//!
//! # Layout, in the order in which a call meets it
//! - [`policy`]: what was asked (modes, JSON forms, a client program's sandbox state).
//! - [`resolve`]: from one to the other, looking at the file system once.
//! - [`plan`]: what will be enforced.
//! - [`environment`]: the variables that a command gets.
//! - [`session`]: the server's side of the processes that enforce it, entered by every [`call`].
//! - `linux`: those processes, and the kernel; [`macos`]: the Seatbelt profile.
//! - [`enforcement`]: what is really in force; [`denial`]: what it possibly refused.
//! - [`probe`]: what could be in force on this [`machine`].
//!
//! This crate judges no command and knows no protocol; it runs programs inside a boundary and says which one.

#[cfg(target_os = "linux")]
mod bounded;
#[cfg(target_os = "linux")]
pub mod call;
#[cfg(target_os = "linux")]
mod container;
#[cfg(target_os = "linux")]
pub mod denial;
pub mod enforcement;
pub mod environment;
#[cfg(target_os = "linux")]
mod event;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub mod machine;
pub mod macos;
pub mod plan;
pub mod policy;
#[cfg(target_os = "linux")]
pub mod probe;
pub mod resolve;
#[cfg(target_os = "linux")]
pub mod session;
mod session_error;
mod stand_in;

#[cfg(target_os = "linux")]
pub use call::Call;
pub use enforcement::{Enforcement, Namespace};
#[cfg(target_os = "linux")]
pub use event::{CallEvent, Ending, LiveProcess, LiveProcesses, StartStep};
#[cfg(target_os = "linux")]
pub use linux::{Inherited, run_session_process};
pub use plan::{Layers, Limits, Plan};
pub use policy::{ClientState, Mode, Network, PolicyError, Restrictions, SandboxPolicy, WorkspaceWrite};
#[cfg(target_os = "linux")]
pub use session::{Directory, Launcher, Session, SpawnRequest};
pub use session_error::SessionError;
