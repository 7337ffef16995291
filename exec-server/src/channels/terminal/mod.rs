//! Asking a person in a terminal of theirs: the subcommand `approve`.
//!
//! Both ends are here. A server listens on a socket of its own in a folder that only its user can reach, and that is
//! hidden from the sandbox ([`TerminalChannel`], one of the chain's channels). The subcommand `approve` connects to the
//! sockets of all servers that the user runs (`servers`), and shows their questions: to a person (`screen`), or to a
//! script (`script`).

mod channel;
mod connection;
mod precedent;
mod protocol;
mod question;
mod screen;
mod script;
mod servers;

pub(super) use channel::TerminalChannel;
pub use screen::{Look, ScreenError, approve_on_screen};
pub use script::{ScriptError, approve_by_script};
