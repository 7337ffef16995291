//! What is known about a command that has ended, and what it may have been refused.

use std::collections::{BTreeMap, BTreeSet};
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

/// What programs would have written, made, renamed or removed and were refused, as far as somebody has looked at each such call.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    /// Where, without links.
    pub seen: BTreeSet<PathBuf>,
    /// Whether there was nothing else.
    pub is_all: bool,
}

impl Writes {
    /// Whether this was refused, or something in it, or what it lies in.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.seen.iter().any(|seen| seen.starts_with(path) || path.starts_with(seen))
    }

    /// Whether somebody would know if it had been refused, and it was not, nor anything beside it: many a file is replaced by way of
    /// another one.
    pub(super) fn lack(&self, path: &Path) -> bool {
        let is_beside = |seen: &PathBuf| seen.parent() == path.parent();
        self.is_all && !self.has(path) && !self.seen.iter().any(is_beside)
    }
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
    /// What it would have written.
    pub writes: &'a Writes,
}

/// Nobody has looked.
#[cfg(test)]
pub(super) static NONE_SEEN: Writes = Writes { seen: BTreeSet::new(), is_all: false };
