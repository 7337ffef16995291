//! An MCP server with a `shell` tool: the front of [`shell_engine`], which runs and judges the commands.
//!
//! # Layout
//!
//! * `mcp`: decodes requests, attaches them to calls, carries questions to the client, encodes results.
//! * `http`: many clients over HTTP.
//! * `channels`: ways to a person besides the client: a terminal, a program of the user's.
//! * `doctor`: whether all of it works on this machine.

mod channels;
pub mod doctor;
mod fetching;
mod http;
mod mcp;
mod sockets;
mod stand_in;
mod sys;
mod told_to_end;

pub use channels::{
    Look, Remote, RemoteError, ScreenError, ScriptError, ServersAt, approval_chain, approve_by_script,
    approve_on_screen, webhook_key, webhook_url,
};
pub use http::{
    Address, AddressError, HttpError, HttpOptions, IdentityOptions, KeysError, PlaceError, Proxy, ProxyError,
    UidRange, UidRangeError, WorkersError, serve_http, serve_tenant,
};
pub use mcp::{
    Keeper, Offer, Preset, ServeError, SessionFile, ShellServer, UnknownPreset, check_output,
    explain_over_stdio, serve_keeping, serve_stdio,
};
pub use stand_in::stand_in;
pub use sys::restore_signals;
