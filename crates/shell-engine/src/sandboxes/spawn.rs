//! What a program is started with.

use std::ffi::OsString;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

use escalation_protocol::inherited::InheritedAttributes;

use super::{Process, Sandbox};

/// A program to be started. Only what is named here reaches it.
#[derive(Debug)]
pub(crate) struct Spawn {
    /// The file to execute; not searched for.
    pub program: PathBuf,
    /// The argument vector, `argv[0]` included.
    pub argv: Vec<OsString>,
    /// The environment, `NAME=value` each.
    pub env: Vec<OsString>,
    /// The working directory.
    pub directory: Directory,
    /// The descriptors that it gets. Standard streams that are not among them are closed.
    pub descriptors: Vec<Descriptor>,
}

/// A descriptor of ours, and the number that it has in the program.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub ours: OwnedFd,
    pub number: RawFd,
}

/// Where a program starts.
#[derive(Debug)]
pub(crate) enum Directory {
    Path(PathBuf),
    Open(OwnedFd),
}

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    /// The session that should start it does not.
    #[error("the sandbox cannot start it")]
    Session(#[from] sandbox::SessionError),
    /// The session does not answer.
    #[error("the sandbox's own process ended or does not answer")]
    SessionLost,
    /// The new process cannot be watched, so it was killed.
    #[error("the new process cannot be watched")]
    Watch(#[source] std::io::Error),
    /// A step of starting it failed.
    #[error("failed to {step}")]
    NotStarted {
        /// The step, fit after "failed to".
        step: &'static str,
        /// Its reason.
        #[source]
        source: std::io::Error,
    },
}

impl SpawnError {
    /// The errno, where there is one.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            SpawnError::Session(_) | SpawnError::SessionLost => None,
            SpawnError::Watch(source) => source.raw_os_error(),
            SpawnError::NotStarted { source, .. } => source.raw_os_error(),
        }
    }
}

/// Processes of a call that are alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remaining {
    /// How many there are.
    pub total: usize,
    /// The first of them: number, as commands in the same sandbox see it, and command line.
    pub listed: Vec<(i32, String)>,
}

impl Spawn {
    /// Starts the program in a sandbox. Our copies of its descriptors are closed, whatever happens.
    pub(crate) async fn start(self, sandbox: &Arc<Sandbox>) -> Result<Process, SpawnError> {
        Process::start(self, sandbox::Inherited::default(), sandbox).await
    }

    /// As [`start`](Self::start), for a program that inherits settings from a shell elsewhere; what they would raise stays.
    pub(crate) async fn start_inheriting(
        self,
        attributes: &InheritedAttributes,
        sandbox: &Arc<Sandbox>,
    ) -> Result<Process, SpawnError> {
        Process::start(self, inherited(attributes), sandbox).await
    }
}

/// What a shell has set, without what its sandbox has.
///
/// Granting it to a hostile asker is harmless: everything in it makes the program less able.
fn inherited(attributes: &InheritedAttributes) -> sandbox::Inherited {
    // The sandbox's own: a limit of processes that would count those outside too, and one that stands for no core files.
    const NPROC: usize = libc::RLIMIT_NPROC as usize;
    const CORE: usize = libc::RLIMIT_CORE as usize;
    let limits = attributes.limits.iter().enumerate().filter(|(number, limit)| match *number {
        NPROC => false,
        CORE => limit.soft == 0,
        _ => true,
    });
    sandbox::Inherited {
        umask: Some(attributes.umask),
        niceness: Some(attributes.niceness),
        ignored: attributes.ignored,
        blocked: attributes.blocked,
        limits: limits
            .filter_map(|(number, limit)| Some((u8::try_from(number).ok()?, limit.soft, limit.hard)))
            .collect(),
    }
}
