//! A call that may come, as its supervisor and the process that becomes its program are told of it when they are forked.

use super::process_tree::Mark;
use super::seccomp::Reach;
use super::wire::Reported;
use rustix::process::Pid;
use std::os::fd::OwnedFd;

/// A call that may come.
pub(super) struct Call {
    pub(super) socket: OwnedFd,
    pub(super) init: Pid,
    /// For the environment of the program, where the kernel has no subreapers.
    pub(super) mark: Option<Mark>,
    /// What of it is reported to the server.
    pub(super) reported: Option<Reported>,
    pub(super) session: InForce,
}

/// What is in force in the session, as far as its calls have to do with it.
#[derive(Clone, Copy)]
pub(super) struct InForce {
    /// The Landlock ABI, if any is.
    pub(super) landlock: Option<u32>,
    /// The session has a network namespace of its own.
    pub(super) network: bool,
    /// What the server refuses, and counts, is still to be refused to processes that report nothing.
    pub(super) uncounted: Option<Reach>,
}
