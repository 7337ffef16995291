//! What was asked: the four modes, their JSON forms, and what a client program says in its sandbox state.
//!
//! First stage of the sandbox. Nothing here looks at the file system: paths are checked to be absolute, not to exist.
//! `resolve` turns what was asked into what will be enforced.

mod client_state;
mod json;
mod location;
mod mode;
mod profile;

pub use client_state::{CLIENT_STATE_KEYS, ClientState};
pub use json::PolicyError;
pub use location::{LocationError, absolute_path};
pub use mode::{Mode, Network, SandboxPolicy, UnknownMode, WorkspaceWrite};
pub use profile::Restrictions;
