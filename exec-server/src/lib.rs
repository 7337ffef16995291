//! An MCP server with a `shell` tool. Each command runs in a Bash that shows every program to the server before it is
//! executed; the user's rules decide whether it runs in the sandbox, outside it, after asking, or not at all.
//!
//! # Layout
//!
//! A call, from the client and back:
//!
//! * `mcp`: decodes requests, attaches them to calls, carries questions to the client, encodes results.
//! * `shell`: one call: spawn, capture, wait, end.
//! * `escalation`: one program of a call: what the wrapper asks, what is decided, what runs outside.
//! * `approval`: asking a person; a trait that is implemented above.
//! * `time`: the clock that stands still while a person is asked.
//! * `process`: starting programs, waiting for them.
//! * `config`: what was typed, validated once.
//!
//! Arrows go one way: `mcp → shell → escalation → {approval, process, time}`.

mod approval;
mod config;
mod escalation;
mod mcp;
mod process;
mod shell;
mod time;

pub use approval::{Answer, Approver, Question};
pub use config::{Config, ConfigError, Settings};
pub use escalation::{Decided, DecisionRecord};
pub use mcp::{ShellServer, serve_stdio};
pub use process::raise_descriptor_limit;
pub use sandbox::Mode;
pub use shell::{Call, CallOutcome, CallRequest, Ending, RequestError, Shell, StartError};
pub use time::Stopwatch;
