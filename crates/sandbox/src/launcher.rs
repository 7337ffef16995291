//! How a session's own process is started.

use crate::group::Group;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// How to execute the session's own process: a program that calls [`run_session_process`](crate::run_session_process).
#[derive(Clone, Debug, Default)]
pub struct Launcher {
    /// The program, absolute.
    pub program: PathBuf,
    /// Its arguments (such as a hidden subcommand).
    pub arguments: Vec<OsString>,
    /// How many descriptors a program in a session can open, where that is fewer than this process can.
    pub descriptor_limit: Option<u64>,
    /// What bounds its sessions, where something does.
    pub group: Option<Arc<Group>>,
}
