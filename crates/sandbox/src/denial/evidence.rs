//! What is known about a command that has ended, and what it may have been refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a command wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// To write, make, rename or remove.
    Write(PathBuf),
    /// To read.
    Read(PathBuf),
    /// To do what a system call does that is refused to all.
    Call(&'static str),
    /// To reach the network.
    Network,
    /// To reach what listens on this port of the host's own localhost.
    HostPort(u16),
    /// To trace a process, as debuggers do.
    Tracing,
    /// To read the processor's counters, as profilers do.
    Counters,
}

/// Whether the kernel refused routes (`OutNoRoutes`) while a command ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routes {
    /// It did, and nothing else ran in the session meanwhile.
    Refused,
    /// It did, to this command or to what ran beside it.
    RefusedToSomeone,
    /// It did not.
    NotRefused,
    /// It does not count for the session alone, so that only words point to the network.
    Uncounted,
}

/// What is known about a command that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The command itself, for the advice.
    pub command: &'a str,
    /// Its output, or the end of it.
    pub output: &'a [u8],
    /// The folders that relative names in its output may be seen from, the likeliest first: a command goes to other
    /// folders.
    pub directories: &'a [PathBuf],
    /// The file with the user's settings, for the advice.
    pub config: &'a Path,
    /// What the kernel has counted.
    pub routes: Routes,
    /// The calls that were refused to it, where they are counted, and the program that was the first to make one.
    pub refused: Option<&'a BTreeMap<Denied, String>>,
}
