//! The sandbox: what a command may touch, and its enforcement by the kernel.
//!
//! # Layout, in the order in which a call meets it
//! - [`policy`]: what was asked (modes, JSON forms, a client program's sandbox state).
//! - [`resolve`]: from one to the other, looking at the file system once.
//! - [`plan`]: what will be enforced.
//! - [`environment`]: the variables that a command gets; [`caches`]: where build tools keep what they fetch.
//! - [`names`]: which names may be made, where the kernel's reports of it are answered.
//! - [`session`]: the server's side of the processes that enforce it, entered by every [`call`].
//! - `backend`: what enforces it on this system: Linux's processes and kernel, macOS's Seatbelt, or nothing.
//! - [`enforcement`]: what is really in force; [`denial`]: what it possibly refused.
//! - [`probe`]: what could be in force on this [`machine`]: its [`findings`].
//!
//! This crate judges no command and knows no protocol; it runs programs inside a boundary and says which one.

mod backend;
mod bounded;
pub mod caches;
pub mod call;
pub mod denial;
pub mod enforcement;
pub mod environment;
mod event;
mod execution;
pub mod findings;
mod gateway;
mod git_names;
mod group;
mod launcher;
mod listening;
pub mod machine;
pub mod names;
mod placeholder;
pub mod plan;
pub mod policy;
pub mod probe;
mod program;
mod raw_paths;
pub mod resolve;
pub mod session;
mod session_error;
mod spawn_request;
mod sys;

pub use call::Call;
pub use enforcement::{Enforcement, Namespace};
pub use event::{CallEvent, ExitStatus, LiveProcess, LiveProcesses, StartStep};
pub use execution::{Execution, StandIn};
pub use gateway::{ByName, Gateway, MOST_ADDRESSES, MOST_HOST_PORTS, RANGE_V4, RANGE_V6};
pub use git_names::GitName;
pub use group::{Bounds, Group, NoGroup, Reached};
pub use launcher::Launcher;
pub use listening::Listening;
pub use names::NameRules;
pub use plan::{Layers, Limits, Placeholder, Plan, Reserved};
pub use policy::{ClientState, Mode, Network, PolicyError, Restrictions, SandboxPolicy, WorkspaceWrite};
pub use session::{Session, run_session_process};
pub use session_error::SessionError;
pub use spawn_request::{Directory, Inherited, SpawnRequest};
