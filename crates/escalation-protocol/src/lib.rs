//! The protocol between `execve-wrapper` and `exec-server` about one `execve`: messages, framing, limits.
//!
//! Both ends speak it over sockets that the shell inherits; nothing here does I/O, so that the wrapper can use it
//! without a standard library and the server can test it without processes. One connection goes:
//!
//! ```text
//! wrapper                                                      server
//!    │ creates a stream socket pair, writes the Request into its own end
//!    │ Hello (one datagram on the inherited socket): the other end,   │
//!    │        the working directory, the file (SCM_RIGHTS)            │
//!    ├───────────────────────────────────────────────────────────────►│ judges
//!    │◄──────────────────────────────── Response: Run | Escalate | Deny
//!    │ Escalate only: Handover (umask and the like, descriptor numbers, SCM_RIGHTS)
//!    ├───────────────────────────────────────────────────────────────►│ runs it
//!    │ Signal, any number of times                                    │
//!    ├───────────────────────────────────────────────────────────────►│
//!    │◄─────────────────────────────────────────────── Outcome
//! ```
//!
//! Anybody inside the sandbox can speak the wrapper's part. The server therefore believes nothing that a message
//! says, and every size is compared with a limit before memory is set aside for it.
//!
//! # Layout
//!
//! * [`frame`]: the eight-byte header before each message on the stream.
//! * [`hello`]: the datagram that opens a connection.
//! * [`request`]: file, argv and environment, as bytes.
//! * [`response`]: what the server decided.
//! * [`inherited`]: umask, limits and the like, which an escalated program inherits.
//! * [`handover`]: descriptor numbers, signals, and how an escalated program ended.
//! * [`variables`]: the environment variables that carry the interceptor through Bash.

#![cfg_attr(not(test), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod frame;
pub mod handover;
pub mod hello;
pub mod inherited;
pub mod request;
pub mod response;
pub mod variables;

/// The version of the protocol. Both programs come from one package, so a difference is an error, not a negotiation.
pub const VERSION: u8 = 2;

/// Says why bytes are not a message of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The first bytes are not this protocol's.
    NotThisProtocol,
    /// The other end speaks another version.
    Version(u8),
    /// A tag that this version does not have, or not at this moment of the connection.
    UnexpectedTag(u8),
    /// The message says that it is longer than its kind may be.
    TooLong {
        /// Bytes that the message claims.
        claimed: u32,
        /// Bytes that its kind may have.
        limit: u32,
    },
    /// The message ends before its own counts do, or goes on after them.
    Malformed,
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            DecodeError::NotThisProtocol => f.write_str("not a message of the escalation protocol"),
            DecodeError::Version(version) => {
                write!(f, "the other end speaks version {version} of the protocol, this end {VERSION}")
            }
            DecodeError::UnexpectedTag(tag) => write!(f, "unexpected message tag {tag}"),
            DecodeError::TooLong { claimed, limit } => {
                write!(f, "a message of {claimed} bytes, {limit} are allowed")
            }
            DecodeError::Malformed => f.write_str("a message whose counts do not fit its length"),
        }
    }
}

impl core::error::Error for DecodeError {}
