//! The protocol's edge: MCP over standard input and output, tool schemas, results, questions to the client.
//!
//! Requests come in here and attach to a call of [`shell_engine::shell`]; nothing below this module knows MCP.

mod apply_patch;
mod arguments;
mod background;
mod calls;
mod client;
mod encoding;
mod form;
mod instructions;
mod malformed;
mod parked_calls;
mod permissions;
mod progress;
mod read_output;
mod resources;
mod result;
mod sandbox_state;
mod schema;
mod serve;
mod server;
mod server_info;
mod session;
mod session_file;
mod shell_tool;
mod stdio;
mod succession;
mod tools;
mod transport;
mod unable;
mod under_way;
mod workdir;

pub use serve::{ServeError, check_output, explain_over_stdio, serve_stdio};
pub use server::ShellServer;
pub use session_file::SessionFile;
