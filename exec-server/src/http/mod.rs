//! Serves many clients over streamable HTTP: listening, who asks, whose state that is, and how all of it ends.
//!
//! A request comes in here and is passed to the MCP server of whoever sent it ([`crate::mcp`]); nothing above knows HTTP.

mod address;
mod approvals;
mod connection;
mod crowd;
mod endpoint;
mod entry;
mod events;
mod flowing;
mod form;
mod gate;
mod hosts;
mod keys;
mod life;
mod listener;
mod metrics;
mod oauth;
mod options;
mod outputs;
mod page;
mod passing_on;
mod principal;
mod proxies;
mod requests;
mod room;
mod router;
mod runtime;
mod secret;
mod serve;
mod session_store;
mod sessions;
mod signatures;
mod site;
mod stalled;
mod tenants;
mod tokens;
mod traces;
mod watched_file;
mod weight;
mod workers;

pub use address::{Address, AddressError};
pub use keys::KeysError;
pub use options::{HttpError, HttpOptions, IdentityOptions};
pub use proxies::{Proxy, ProxyError};
pub use serve::{serve_http, serve_tenant};
pub use workers::{PlaceError, UidRange, UidRangeError, WorkersError};
