//! What is told of a call: its program's start and end, and what of it is alive.
//!
//! Some who tell run inside the sandbox, so what is decoded is bounded in every part.

use crate::bounded::{at_most, within};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::time::Duration;

/// Most processes listed in one answer; the total is told beside it.
pub(crate) const MAX_LISTED: usize = 128;
/// Longest command line told for one process, in bytes: enough to recognise a program.
pub(crate) const MAX_COMMAND_LINE: usize = 256;

/// What is told of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallEvent {
    /// What follows the call to its end has the request. Nothing of it has run before. Not told where a program is
    /// started at once.
    Accepted,
    /// What the program executes is reported; [`crate::Call::take_listener`] has the descriptor. Comes before
    /// [`CallEvent::Started`], which does not come until the program itself has been answered for.
    Reports,
    /// The program runs; its number as seen inside the sandbox.
    Started {
        /// The program's process number.
        pid: i32,
    },
    /// The program could not be started; nothing else follows.
    NotStarted {
        /// The step that failed.
        step: StartStep,
        /// The kernel's error number.
        errno: i32,
    },
    /// The program itself ended; others that it started may live on.
    Ended {
        /// How.
        status: ExitStatus,
        /// How often anything in the session was told "network is unreachable" since the program was asked for (the kernel's
        /// counters, IPv4 and IPv6 together); 0 in a session without a network namespace, where they are the host's.
        refused_routes: u64,
        /// It was the last process of the call: [`CallEvent::Gone`] follows at once, and need not be waited for.
        last: bool,
    },
    /// Answer to a question for the live processes.
    Alive(LiveProcesses),
    /// No process of the call is left; nothing else follows.
    Gone,
}

/// What the server asks of a call.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CallCommand {
    /// Tell which processes are alive.
    List,
    /// End every process: TERM, then KILL after the grace.
    EndAll { grace: Duration },
    /// Send a signal to the program alone.
    Signal { number: i32 },
    /// Send a signal to the program's process group.
    SignalGroup { number: i32 },
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It called `exit` with this code.
    Exited(u8),
    /// This signal ended it.
    Signaled(u8),
}

impl ExitStatus {
    /// The exit code as shells report it: 128 and the signal's number for a death by signal.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            ExitStatus::Exited(code) => i32::from(code),
            ExitStatus::Signaled(signal) => 128 + i32::from(signal),
        }
    }
}

/// The processes of a call that are alive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveProcesses {
    /// How many there are.
    pub total: usize,
    /// The first of them (at most 128).
    #[serde(deserialize_with = "at_most::<MAX_LISTED, _, _>", serialize_with = "within::<MAX_LISTED, _, _>")]
    pub listed: Vec<LiveProcess>,
}

/// One process of a call that is still alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveProcess {
    /// Its number, as seen by commands inside the sandbox.
    pub pid: i32,
    /// Its argument list, NUL separated as the kernel gives it, cut to 256 bytes; empty when the kernel tells none.
    #[serde(
        deserialize_with = "at_most::<MAX_COMMAND_LINE, _, _>",
        serialize_with = "within::<MAX_COMMAND_LINE, _, _>"
    )]
    pub command_line: Vec<u8>,
}

impl LiveProcess {
    /// Returns what would be told of a process that was started with these arguments.
    #[must_use]
    pub fn of(pid: i32, arguments: &[OsString]) -> LiveProcess {
        let words = arguments.iter().flat_map(|word| word.as_encoded_bytes().iter().copied().chain([0]));
        LiveProcess { pid, command_line: words.take(MAX_COMMAND_LINE).collect() }
    }

    /// Returns the command line as text for a human: words separated by spaces, control characters replaced.
    #[must_use]
    pub fn display(&self) -> String {
        let text = String::from_utf8_lossy(&self.command_line);
        let words: Vec<String> = text
            .split('\0')
            .filter(|word| !word.is_empty())
            .map(|word| word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
            .collect();
        words.join(" ")
    }
}

/// Says at which step starting a program failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartStep {
    /// The request could not be read.
    ReadRequest,
    /// No process for the call's supervisor.
    ForkSupervisor,
    /// The supervisor could not prepare itself.
    PrepareSupervisor,
    /// No process for the program.
    ForkProgram,
    /// A session of its own.
    NewSession,
    /// Placing the descriptors.
    PlaceDescriptors,
    /// The working folder.
    ChangeDirectory,
    /// Having what it executes reported.
    Report,
    /// Giving its session a terminal.
    Terminal,
    /// Starting the program itself.
    Execute,
}

impl StartStep {
    /// Returns the words for an error message, fit after "failed to".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            StartStep::ReadRequest => "read the start request",
            StartStep::ForkSupervisor => "start the call's supervisor",
            StartStep::PrepareSupervisor => "prepare the call's supervisor",
            StartStep::ForkProgram => "start a process for the program",
            StartStep::NewSession => "give the program a session of its own",
            StartStep::PlaceDescriptors => "hand the program its descriptors",
            StartStep::ChangeDirectory => "enter the working folder",
            StartStep::Report => "have what the program executes reported (seccomp user notification)",
            StartStep::Terminal => "give the program's session its terminal",
            StartStep::Execute => "execute the program",
        }
    }
}

impl std::fmt::Display for StartStep {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_a_command_line_are_not_shown() {
        let process = LiveProcess { pid: 1, command_line: b"a\x1b[2J\x00b c\x00".to_vec() };
        assert_eq!(process.display(), "a\u{fffd}[2J b c");
    }
}
