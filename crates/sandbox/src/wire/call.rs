//! The dialogue between the server and a call's supervisor, and what a supervisor tells about a program.

use super::codec::{Malformed, Reader, Writer};
use super::start::StartStep;
use std::time::Duration;

/// Most processes listed in one answer; the total is told beside it.
const MAX_LISTED: usize = 128;
/// Longest command line told for one process, in bytes.
const MAX_COMMAND_LINE: usize = 256;

/// What the server asks of a call's supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CallCommand {
    /// Tell which processes are alive.
    List,
    /// End every process: TERM, then KILL after the grace.
    EndAll { grace: Duration },
    /// Send a signal to the program alone.
    Signal { number: i32 },
}

impl CallCommand {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            CallCommand::List => vec![1],
            CallCommand::EndAll { grace } => {
                Writer::tagged(2).u64(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)).0
            }
            CallCommand::Signal { number } => Writer::tagged(3).i32(*number).0,
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let command = match reader.u8()? {
            1 => CallCommand::List,
            2 => CallCommand::EndAll { grace: Duration::from_millis(reader.u64()?) },
            3 => CallCommand::Signal { number: reader.i32()? },
            _ => return Err(Malformed("unknown command")),
        };
        reader.end()?;
        Ok(command)
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It called `exit` with this code.
    Code(u8),
    /// This signal ended it.
    Signal(i32),
}

/// One process of a call that is still alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveProcess {
    /// Its number, as seen by commands inside the sandbox.
    pub pid: i32,
    /// Its argument list, NUL separated as the kernel gives it, cut to 256 bytes; empty when the kernel tells none.
    pub command_line: Vec<u8>,
}

impl LiveProcess {
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

/// The processes of a call that are alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveProcesses {
    /// How many there are.
    pub total: usize,
    /// The first of them (at most 128).
    pub listed: Vec<LiveProcess>,
}

/// What a call's supervisor tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEvent {
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
        ending: Ending,
        /// For a program that failed, else 0: how often anything in the session was told "network is unreachable" since the
        /// session began (the kernel's counters, IPv4 and IPv6 together). Only means something in a session with a network
        /// namespace, see [`crate::Session::routes_were_refused`].
        refused_routes: u64,
        /// It was the last process of the call: [`CallEvent::Gone`] follows at once, and need not be waited for.
        last: bool,
    },
    /// Answer to a question for the live processes.
    Alive(LiveProcesses),
    /// No process of the call is left; nothing else follows.
    Gone,
}

impl CallEvent {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            CallEvent::Started { pid } => Writer::tagged(1).i32(*pid).0,
            CallEvent::NotStarted { step, errno } => Writer::tagged(2).u8(step.code()).i32(*errno).0,
            CallEvent::Ended { ending, refused_routes, last } => {
                let (kind, value) = match ending {
                    Ending::Code(code) => (0, i32::from(*code)),
                    Ending::Signal(number) => (1, *number),
                };
                Writer::tagged(3).u8(kind).i32(value).u64(*refused_routes).u8(u8::from(*last)).0
            }
            CallEvent::Alive(processes) => {
                let listed = &processes.listed[..processes.listed.len().min(MAX_LISTED)];
                let mut writer = Writer::tagged(4).count(processes.total).count(listed.len());
                for process in listed {
                    let end = process.command_line.len().min(MAX_COMMAND_LINE);
                    writer = writer.i32(process.pid).bytes(&process.command_line[..end]);
                }
                writer.0
            }
            CallEvent::Gone => vec![5],
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let event = match reader.u8()? {
            1 => CallEvent::Started { pid: reader.i32()? },
            2 => {
                let step = StartStep::of_code(reader.u8()?).ok_or(Malformed("unknown step"))?;
                CallEvent::NotStarted { step, errno: reader.i32()? }
            }
            3 => {
                let ending = match (reader.u8()?, reader.i32()?) {
                    (0, code) => Ending::Code(u8::try_from(code).map_err(|_| Malformed("exit code"))?),
                    (1, number) => Ending::Signal(number),
                    (_, _) => return Err(Malformed("unknown ending")),
                };
                let refused_routes = reader.u64()?;
                let last = match reader.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(Malformed("neither yes nor no")),
                };
                CallEvent::Ended { ending, refused_routes, last }
            }
            4 => {
                let total = reader.count()?;
                let listed = (0..reader.count_up_to(MAX_LISTED)?)
                    .map(|_| {
                        let pid = reader.i32()?;
                        let command_line = reader.bytes(MAX_COMMAND_LINE)?.to_vec();
                        Ok(LiveProcess { pid, command_line })
                    })
                    .collect::<Result<_, Malformed>>()?;
                CallEvent::Alive(LiveProcesses { total, listed })
            }
            5 => CallEvent::Gone,
            _ => return Err(Malformed("unknown event")),
        };
        reader.end()?;
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::MAX_PACKET;
    use super::*;

    fn events() -> Vec<CallEvent> {
        vec![
            CallEvent::Started { pid: 7 },
            CallEvent::NotStarted { step: StartStep::ChangeDirectory, errno: 2 },
            CallEvent::Ended { ending: Ending::Signal(9), refused_routes: 3, last: true },
            CallEvent::Alive(LiveProcesses {
                total: 3,
                listed: vec![LiveProcess { pid: 3, command_line: b"sleep\x001".to_vec() }],
            }),
            CallEvent::Gone,
        ]
    }

    #[test]
    fn every_message_is_read_back() {
        for event in events() {
            assert_eq!(CallEvent::decode(&event.encode()), Ok(event));
        }
        for command in [
            CallCommand::List,
            CallCommand::EndAll { grace: Duration::from_millis(500) },
            CallCommand::Signal { number: 15 },
        ] {
            assert_eq!(CallCommand::decode(&command.encode()), Ok(command));
        }
    }

    #[test]
    fn cut_or_lengthened_events_are_errors_and_huge_counts_allocate_nothing() {
        for event in events() {
            let bytes = event.encode();
            for end in 0..bytes.len() {
                assert!(CallEvent::decode(&bytes[..end]).is_err(), "{event:?} cut to {end}");
            }
            let mut longer = bytes;
            longer.push(0);
            assert!(CallEvent::decode(&longer).is_err());
        }
        let huge = Writer::tagged(4).u64(1).u64(u64::MAX).0;
        assert_eq!(CallEvent::decode(&huge), Err(Malformed("count above the limit")));
    }

    #[test]
    fn a_full_list_fits_a_packet() {
        let process = LiveProcess { pid: i32::MAX, command_line: vec![b'x'; 10_000] };
        let event = CallEvent::Alive(LiveProcesses { total: 100_000, listed: vec![process; 1000] });
        assert!(event.encode().len() <= MAX_PACKET);
    }

    #[test]
    fn control_characters_of_a_command_line_are_not_shown() {
        let process = LiveProcess { pid: 1, command_line: b"a\x1b[2J\x00b c\x00".to_vec() };
        assert_eq!(process.display(), "a\u{fffd}[2J b c");
    }
}
