//! Asking a person in a terminal of theirs: the subcommand `approve`.
//!
//! Both ends are here. A server listens on a socket of its own in a folder that only its user can reach, and that is
//! hidden from the sandbox ([`TerminalChannel`], one of the chain's channels). The subcommand `approve` connects to the
//! sockets of all servers that the user runs (`servers`), or to one behind HTTP (`remote`), and shows their questions: to
//! a person (`screen`), or to a script (`script`). What is open and who looks at it is in a `hub`, also for the web page.

mod channel;
mod connection;
mod hub;
mod precedent;
mod protocol;
mod question;
mod remote;
mod screen;
mod script;
mod servers;

pub(super) use channel::TerminalChannel;
pub(super) use hub::Hub;
pub(crate) use hub::NoAnswer;
pub(crate) use protocol::FromTerminal;
pub(super) use protocol::{FromServer, VERSION};
pub use remote::{Remote, RemoteError};
pub use screen::{Look, ScreenError, approve_on_screen};
pub use script::{ScriptError, approve_by_script};
pub use servers::ServersAt;
