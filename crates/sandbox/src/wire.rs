//! The messages between the server, a session's init and a call's supervisor. Encoding only; sockets are elsewhere.
//!
//! Three dialogues, all over `SOCK_SEQPACKET`, so that one message is one packet:
//! - server → init: [`InitCommand`], with descriptors; init → server: [`InitReport`], once;
//! - server → supervisor: [`CallCommand`];
//! - supervisor → server: [`CallEvent`].
//!
//! Supervisors run inside the sandbox, so what they say is decoded as hostile: sizes are bounded, unknown tags are
//! errors. The start request itself (argv, environment: up to megabytes) travels in a memory file, see [`StartRequest`].

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

/// Largest packet of any dialogue, in bytes: below the default send buffer of a Unix socket (212,992 bytes).
pub(crate) const MAX_PACKET: usize = 64 * 1024;
/// Largest encoded start request, in bytes: above what `execve` takes with the default 8 MiB stack (2 MiB).
pub(crate) const MAX_REQUEST: usize = 16 * 1024 * 1024;
/// Most descriptors that one program is given; the kernel's own limit for one message is 253.
pub(crate) const MAX_DESCRIPTORS: usize = 64;
/// Descriptor numbers that a program can be given are below this one; the supervisor keeps its own above.
pub(crate) const FIRST_PRIVATE_DESCRIPTOR: i32 = 512;
/// Most processes listed in one answer; the total is told beside it.
const MAX_LISTED: usize = 128;
/// Longest command line told for one process, in bytes.
const MAX_COMMAND_LINE: usize = 256;

/// Says that a message could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// What the server asks of a session's init.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InitCommand {
    /// The plan follows as a memory file; the first message of a session.
    SetUp,
    /// Start a call. Descriptors: the call's socket, the request's memory file, then the program's.
    Spawn { call: u64 },
    /// End a call whose supervisor does not answer.
    Destroy { call: u64 },
}

impl InitCommand {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            InitCommand::SetUp => vec![1],
            InitCommand::Spawn { call } => Writer::tagged(2).u64(*call).0,
            InitCommand::Destroy { call } => Writer::tagged(3).u64(*call).0,
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let command = match reader.u8()? {
            1 => InitCommand::SetUp,
            2 => InitCommand::Spawn { call: reader.u64()? },
            3 => InitCommand::Destroy { call: reader.u64()? },
            _ => return Err(Malformed("unknown command")),
        };
        reader.end()?;
        Ok(command)
    }
}

/// What init says once: set up (with what is in force, as JSON), or what failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InitReport {
    Ready { enforcement: String },
    Failed { reason: String },
}

impl InitReport {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (tag, text) = match self {
            InitReport::Ready { enforcement } => (1, enforcement),
            InitReport::Failed { reason } => (2, reason),
        };
        let end = text.len().min(MAX_PACKET - 8);
        Writer::tagged(tag).bytes(&text.as_bytes()[..end]).0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let tag = reader.u8()?;
        let text = String::from_utf8_lossy(reader.bytes(MAX_PACKET)?).into_owned();
        reader.end()?;
        match tag {
            1 => Ok(InitReport::Ready { enforcement: text }),
            2 => Ok(InitReport::Failed { reason: text }),
            _ => Err(Malformed("unknown report")),
        }
    }
}

/// What the server asks of a call's supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CallCommand {
    /// Tell which processes are alive.
    List,
    /// End every process: TERM, then KILL after the grace.
    EndAll { grace: Duration },
    /// Send a signal to the program's process group.
    Signal { number: i32 },
    /// Tell how often the session's private network refused a route.
    RefusedRoutes,
}

impl CallCommand {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            CallCommand::List => vec![1],
            CallCommand::EndAll { grace } => {
                Writer::tagged(2).u64(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)).0
            }
            CallCommand::Signal { number } => Writer::tagged(3).i32(*number).0,
            CallCommand::RefusedRoutes => vec![4],
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let command = match reader.u8()? {
            1 => CallCommand::List,
            2 => CallCommand::EndAll { grace: Duration::from_millis(reader.u64()?) },
            3 => CallCommand::Signal { number: reader.i32()? },
            4 => CallCommand::RefusedRoutes,
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

/// What a program and the children that it waited for have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time spent in user mode.
    pub user: Duration,
    /// Time spent in the kernel.
    pub system: Duration,
    /// Largest resident set, in bytes.
    pub max_resident: u64,
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

/// Says at which step starting a program failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Starting the program itself.
    Execute,
}

impl StartStep {
    const ALL: [StartStep; 8] = [
        StartStep::ReadRequest,
        StartStep::ForkSupervisor,
        StartStep::PrepareSupervisor,
        StartStep::ForkProgram,
        StartStep::NewSession,
        StartStep::PlaceDescriptors,
        StartStep::ChangeDirectory,
        StartStep::Execute,
    ];

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
            StartStep::Execute => "execute the program",
        }
    }

    pub(crate) fn code(self) -> u8 {
        Self::ALL
            .iter()
            .position(|step| *step == self)
            .and_then(|at| u8::try_from(at).ok())
            .unwrap_or(u8::MAX)
    }

    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
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
        /// What it used.
        usage: Usage,
    },
    /// Answer to a question for the live processes.
    Alive(LiveProcesses),
    /// Answer to a question for refused routes: how often anything in the session was told "network is unreachable" since
    /// the session began. Only means something in a session with a network namespace.
    RefusedRoutes {
        /// The kernel's counters, IPv4 and IPv6 together.
        count: u64,
    },
    /// No process of the call is left; nothing else follows.
    Gone,
}

impl CallEvent {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            CallEvent::Started { pid } => Writer::tagged(1).i32(*pid).0,
            CallEvent::NotStarted { step, errno } => Writer::tagged(2).u8(step.code()).i32(*errno).0,
            CallEvent::Ended { ending, usage } => {
                let (kind, value) = match ending {
                    Ending::Code(code) => (0, i32::from(*code)),
                    Ending::Signal(number) => (1, *number),
                };
                Writer::tagged(3)
                    .u8(kind)
                    .i32(value)
                    .u64(micros(usage.user))
                    .u64(micros(usage.system))
                    .u64(usage.max_resident)
                    .0
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
            CallEvent::RefusedRoutes { count } => Writer::tagged(6).u64(*count).0,
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
                let user = Duration::from_micros(reader.u64()?);
                let system = Duration::from_micros(reader.u64()?);
                CallEvent::Ended { ending, usage: Usage { user, system, max_resident: reader.u64()? } }
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
            6 => CallEvent::RefusedRoutes { count: reader.u64()? },
            _ => return Err(Malformed("unknown event")),
        };
        reader.end()?;
        Ok(event)
    }
}

/// What to start; written by the server into a memory file, read by the call's supervisor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StartRequest {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// `NAME=value` each.
    pub(crate) environment: Vec<OsString>,
    pub(crate) directory: PathBuf,
    /// The numbers at which the program finds the descriptors that came with the message.
    pub(crate) targets: Vec<i32>,
}

impl StartRequest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(4096)).bytes(self.program.as_os_str().as_bytes());
        for list in [&self.arguments, &self.environment] {
            writer = writer.count(list.len());
            for item in list {
                writer = writer.bytes(item.as_bytes());
            }
        }
        writer = writer.bytes(self.directory.as_os_str().as_bytes()).count(self.targets.len());
        for target in &self.targets {
            writer = writer.i32(*target);
        }
        writer.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let program = OsString::from_vec(reader.bytes(MAX_REQUEST)?.to_vec()).into();
        let arguments = reader.strings()?;
        let environment = reader.strings()?;
        let directory = OsString::from_vec(reader.bytes(MAX_REQUEST)?.to_vec()).into();
        let targets =
            (0..reader.count_up_to(MAX_DESCRIPTORS)?).map(|_| reader.i32()).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(StartRequest { program, arguments, environment, directory, targets })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

struct Writer(Vec<u8>);

impl Writer {
    fn tagged(tag: u8) -> Self {
        Writer(vec![tag])
    }
    fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }
    fn i32(mut self, value: i32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }
    fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }
    fn count(self, value: usize) -> Self {
        self.u64(u64::try_from(value).unwrap_or(u64::MAX))
    }
    fn bytes(mut self, value: &[u8]) -> Self {
        self = self.count(value.len());
        self.0.extend_from_slice(value);
        self
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed("too short"))?;
        self.0 = rest;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed("too short"))
    }
    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array()?))
    }
    fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_le_bytes(self.array()?))
    }
    fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    fn count(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.u64()?).map_err(|_| Malformed("count"))
    }
    fn count_up_to(&mut self, limit: usize) -> Result<usize, Malformed> {
        Some(self.count()?).filter(|count| *count <= limit).ok_or(Malformed("count above the limit"))
    }
    fn bytes(&mut self, limit: usize) -> Result<&'a [u8], Malformed> {
        let length = self.count_up_to(limit)?;
        self.take(length)
    }
    /// The count is not trusted for an allocation: every item takes at least the eight bytes of its length.
    fn strings(&mut self) -> Result<Vec<OsString>, Malformed> {
        let count = self.count_up_to(self.0.len() / 8)?;
        (0..count).map(|_| Ok(OsString::from_vec(self.bytes(MAX_REQUEST)?.to_vec()))).collect()
    }
    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("trailing bytes")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<CallEvent> {
        vec![
            CallEvent::Started { pid: 7 },
            CallEvent::NotStarted { step: StartStep::ChangeDirectory, errno: 2 },
            CallEvent::Ended {
                ending: Ending::Signal(9),
                usage: Usage { user: Duration::from_micros(5), system: Duration::ZERO, max_resident: 4096 },
            },
            CallEvent::Alive(LiveProcesses {
                total: 3,
                listed: vec![LiveProcess { pid: 3, command_line: b"sleep\x001".to_vec() }],
            }),
            CallEvent::RefusedRoutes { count: 3 },
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
            CallCommand::RefusedRoutes,
        ] {
            assert_eq!(CallCommand::decode(&command.encode()), Ok(command));
        }
        for command in [InitCommand::SetUp, InitCommand::Spawn { call: 9 }, InitCommand::Destroy { call: 9 }]
        {
            assert_eq!(InitCommand::decode(&command.encode()), Ok(command));
        }
        let request = StartRequest {
            program: "/bin/sh".into(),
            arguments: vec!["sh".into(), OsString::from_vec(vec![0xff, b'x'])],
            environment: vec!["A=b".into()],
            directory: "/".into(),
            targets: vec![0, 1, 250],
        };
        assert_eq!(StartRequest::decode(&request.encode()), Ok(request));
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
