//! The ways to a person that the program has besides its client: a terminal, a page of the server's, a program of the
//! user's, a server of his.
//!
//! [`approval_chain`] composes them, with the client's place among them, for the protocol's edge to use; that edge knows
//! none of them by name.

mod chain;
mod command;
mod document;
mod signing;
mod terminal;
mod web;
mod webhook;

pub use chain::approval_chain;
pub(crate) use chain::approval_chain_with;
pub(crate) use terminal::{FromTerminal, NoAnswer};
pub use terminal::{
    Look, Remote, RemoteError, ScreenError, ScriptError, ServersAt, approve_by_script, approve_on_screen,
};
pub(crate) use web::{Desk, Relayed};
pub use webhook::{webhook_key, webhook_url};
