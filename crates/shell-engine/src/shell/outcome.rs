//! What a call came to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sandbox::ExitStatus;

use super::processes::CallProcess;
use crate::judgement::DecisionRecord;
use crate::output::Recording;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The shell ended by itself, or somebody else ended it.
    Ended(ExitStatus),
    /// The timeout was reached.
    TimedOut,
    /// Whoever asked for it did not want it any more.
    Cancelled,
    /// The shell was lost sight of: the system refused to tell how it ended.
    Lost,
}

impl Ending {
    /// The exit code that stands for the ending: the shell's own; 128 and the signal's number; 124 for a timeout, as
    /// timeout(1) has it; 130 for a cancellation, as after an interrupt; 125 when it is not known.
    #[must_use]
    pub fn exit_code(self) -> i32 {
        match self {
            Ending::Ended(status) => status.code(),
            Ending::TimedOut => 124,
            Ending::Cancelled => 130,
            Ending::Lost => 125,
        }
    }

    /// The name of the signal that killed the shell.
    #[must_use]
    pub fn signal(self) -> Option<String> {
        match self {
            Ending::Ended(ExitStatus::Signaled(number)) => Some(
                nix::sys::signal::Signal::try_from(i32::from(number))
                    .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned()),
            ),
            Ending::Ended(ExitStatus::Exited(_)) | Ending::TimedOut | Ending::Cancelled | Ending::Lost => {
                None
            }
        }
    }
}

/// What a call came to.
#[derive(Clone, Debug)]
pub struct CallOutcome {
    /// How it ended.
    pub ending: Ending,
    /// What the command printed to standard output and standard error, in the order in which it was written. Its background
    /// processes may still add to it.
    pub output: Recording,
    /// Time that counted against the timeout.
    pub running: Duration,
    /// Time in which a person was being asked.
    pub waiting: Duration,
    /// The sandbox's level in force, such as `namespaces+landlock-7+seccomp`, or `none`.
    pub sandbox: String,
    /// The programs that did not simply run.
    pub decisions: Vec<DecisionRecord>,
    /// What the sandbox refused, or possibly did, when the command failed: one sentence each, with the way to allow it.
    pub denials: Vec<String>,
    /// Protected files of a work tree that the command would have changed, and that are as they were.
    pub protected: Vec<PathBuf>,
    /// Processes that the shell left behind; they live on until the server ends.
    pub background: Vec<CallProcess>,
    /// What is wrong with the rule files, and which rules are in force instead; `None` when nothing is.
    pub rules_trouble: Option<Arc<str>>,
    /// What else the caller should know, one sentence each.
    pub notes: Vec<String>,
}

impl CallOutcome {
    /// An outcome of which nothing more is known.
    #[must_use]
    pub fn new(ending: Ending, output: Recording, (running, waiting): (Duration, Duration)) -> CallOutcome {
        CallOutcome {
            ending,
            output,
            running,
            waiting,
            sandbox: String::new(),
            decisions: Vec::new(),
            denials: Vec::new(),
            protected: Vec::new(),
            background: Vec::new(),
            rules_trouble: None,
            notes: Vec::new(),
        }
    }
}
