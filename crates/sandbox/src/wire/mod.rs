//! The messages between the server, a session's init and a call's supervisor. Encoding only; sockets are elsewhere.
//!
//! Three dialogues, all over `SOCK_SEQPACKET`, so that one message is one packet:
//! - server → init: [`InitCommand`], with descriptors; init → server: [`InitReport`], once;
//! - server → supervisor: [`CallCommand`];
//! - supervisor → server: [`CallEvent`].
//!
//! Supervisors run inside the sandbox, so what they say is decoded as hostile: sizes are bounded, unknown tags are
//! errors. The start request itself (argv, environment: up to megabytes) travels in a memory file, see [`StartRequest`].

mod call;
mod codec;
mod init;
mod start;

pub(crate) use call::CallCommand;
pub use call::{CallEvent, Ending, LiveProcess, LiveProcesses};
pub(crate) use codec::{MAX_DESCRIPTORS, MAX_PACKET, MAX_PASSED, MAX_REQUEST, WITH_REQUEST};
pub(crate) use init::{InitCommand, InitReport, MAX_IN_PACKET};
pub(crate) use start::{FIRST_PRIVATE_DESCRIPTOR, StartRequest, WORKING_FOLDER};
pub use start::{Inherited, StartStep};
