//! The protocol's edge: MCP over standard input and output, tool schemas, results, questions to the client.
//!
//! Requests come in here and attach to a call of [`shell_engine::shell`]; nothing below this module knows MCP.

mod apply_patch;
mod arguments;
mod background;
mod calls;
mod client;
mod elsewhere;
mod encoding;
mod exec_result;
mod exec_tool;
mod form;
mod instructions;
mod keeper;
mod kept;
mod listeners;
mod listening;
mod malformed;
mod offer;
mod parked_calls;
mod pass_on;
mod permissions;
mod progress;
mod publish;
mod read_output;
mod resources;
mod result;
mod sandbox_state;
mod schema;
mod serve;
mod server;
mod server_info;
mod session;
mod session_argument;
mod session_clients;
mod session_file;
mod sessions;
mod shell_tool;
mod stdio;
mod succession;
mod tasks;
mod token;
mod tools;
mod transport;
mod unable;
mod under_way;
mod waits;
mod workdir;
mod writing;

pub use keeper::{Keeper, serve_keeping};
pub use offer::{Offer, Preset, UnknownPreset};
pub use serve::{ServeError, check_output, explain_over_stdio, serve_stdio};
pub use server::ShellServer;
pub use session_file::SessionFile;
