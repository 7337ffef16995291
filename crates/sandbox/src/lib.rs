//! The sandbox: what a command may touch, and its enforcement by the kernel.
//!
//! # Layout, in the order in which a call meets it
//! - [`policy`]: what was asked (modes, JSON forms, a client program's sandbox state).
//!
//! This crate judges no command and knows no protocol; it runs programs inside a boundary and says which one.

pub mod policy;

pub use policy::{ClientState, Mode, Network, PolicyError, Restrictions, SandboxPolicy, WorkspaceWrite};
