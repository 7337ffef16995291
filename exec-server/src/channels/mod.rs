//! The ways to a person that the program has besides its client: a terminal, a program of the user's.
//!
//! [`approval_chain`] composes them, with the client's place among them, for the protocol's edge to use; that edge knows
//! none of them by name.

mod chain;
mod command;
mod terminal;

pub use chain::approval_chain;
pub use terminal::{Look, ScreenError, ScriptError, approve_by_script, approve_on_screen};
