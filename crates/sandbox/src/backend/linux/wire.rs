//! The messages between the server, a session's init and a call's supervisor. Encoding only; sockets are in `packet`.
//!
//! All travel over `SOCK_SEQPACKET`, so that one message is one packet:
//! - server → guard: [`SetUp`], once, with the plan; init → server: [`InitReport`], once;
//! - server → guard, over a socket of its own: [`GuardCommand`], and back whether it was done;
//! - guard → server, over another one: [`WatchCommand`], and back what it asks for;
//! - server → init: [`InitCommand`];
//! - server → the process that becomes a call's program: [`Begin`], once, with descriptors;
//! - server → supervisor: [`CallCommand`](crate::event::CallCommand);
//! - supervisor, and before it that process → server: [`CallEvent`](crate::CallEvent).
//!
//! Supervisors run inside the sandbox, so what they say is decoded as hostile: a packet is bounded, no list in it is longer than
//! its own bound, what is left over is an error. The start request itself (argv, environment: up to megabytes) travels in a
//! memory file when it is long, see [`StartRequest`](crate::program::StartRequest).

use crate::enforcement::Enforcement;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;

/// Of the messages below. It comes first of all, and is raised by a release in which any of them has changed.
const VERSION: u32 = 3;
/// Largest packet of any message, in bytes: below the default send buffer of a Unix socket (212,992 bytes).
pub(crate) const MAX_PACKET: usize = 64 * 1024;
/// Largest start request that is sent in the message itself, in bytes: many of them fit the socket's buffer at once.
pub(crate) const MAX_IN_PACKET: usize = 8 * 1024;
/// Largest encoded start request, in bytes: above what `execve` takes with the default 8 MiB stack (2 MiB).
pub(crate) const MAX_REQUEST: usize = 16 * 1024 * 1024;
/// Most names that a guard is told at once: with the longest of them the message fits a packet.
pub(crate) const MAX_HAPPENED: usize = 200;
/// Most descriptors of one message: the kernel's own limit (unix(7), `SCM_MAX_FD`).
pub(crate) const MAX_PASSED: usize = 253;
/// How many of a program's descriptors come with the request itself, beside its memory file. Others follow.
pub(crate) const WITH_REQUEST: usize = MAX_PASSED - 1;

/// What the server says first in a session. Its plan comes along as a memory file, the guard's end of a socket for
/// [`GuardCommand`]s, and, where folders can be watched, those of a socket for [`WatchCommand`]s and of a bell.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetUp {
    version: u32,
    /// Programs may open so many descriptors.
    pub(crate) descriptor_limit: Option<u64>,
    /// Where the session's processes are put into a control group comes along, next to the plan's socket.
    pub(crate) grouped: bool,
    /// Why no folder can be watched.
    pub(crate) unwatched: Option<String>,
}

impl SetUp {
    pub(crate) fn new(descriptor_limit: Option<u64>, grouped: bool, unwatched: Option<String>) -> SetUp {
        SetUp { version: VERSION, descriptor_limit, grouped, unwatched }
    }

    /// Decodes it, unless it is of another version: its other parts may mean something else then.
    pub(crate) fn decode(bytes: &[u8]) -> io::Result<SetUp> {
        let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(invalid)?;
        if version != VERSION {
            return Err(invalid(format!(
                "the server speaks version {version} of the sandbox's protocol and its own process version {VERSION}, as if the program was replaced while the server runs; start the server again"
            )));
        }
        decode(bytes)
    }
}

/// What the server asks of a session's init.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum InitCommand {
    /// Make processes that wait for a call, on the socket that comes along; this of the call is reported.
    Prepare { call: u64, reported: Option<Reported> },
    /// End a call whose supervisor does not answer.
    Destroy { call: u64 },
    /// Make so many TCP sockets, and send them over the socket that comes along.
    Sockets { count: u16 },
}

/// What the server says first in a call: start this request, or one in a memory file if this is empty. Descriptors: the memory
/// file if there is one, then the program's.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begin<'a> {
    #[serde(borrow, serialize_with = "as_bytes")]
    pub(crate) request: &'a [u8],
}

/// What is reported of a call besides what its programs execute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reported {
    /// Connections: only those to the session's own sockets are for the session.
    pub(crate) connections: bool,
    /// Who listens: only on sockets that nobody outside reaches.
    pub(crate) listening: bool,
    /// What makes names: protected ones are held.
    pub(crate) names: bool,
    /// With `names`, also what is opened to be read.
    pub(crate) reads: bool,
    /// Who traces whom: commands may not.
    pub(crate) tracing: bool,
    /// What is refused to all: the server counts it.
    pub(crate) refused: bool,
}

/// What the server asks of a session's guard.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GuardCommand {
    /// Make this folder in a held one writable inside. The answer is whether it is.
    BindWritable { folder: CString },
    /// Look whether all that protects or hides is in place, and put back what is not. The answer is whether it is.
    Mend,
    /// Make so many TCP sockets in the network namespace that comes along, the gateway's. They come with the answer.
    Sockets { count: u16 },
}

/// What a guard asks of the server's watch over folders.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WatchCommand {
    /// Watch these. The answer is a number for each, or a negative one for an error.
    Watch(Vec<Watched>),
    /// Tell no more of what comes to this one. The answer is nothing.
    Forget { watch: i32 },
    /// Tell what has happened. The answer is [`Happened`].
    Take,
}

/// A folder to watch.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watched {
    pub(crate) folder: CString,
    /// Names whose coming and going matters; without them, every name that comes.
    pub(crate) names: Option<Vec<Vec<u8>>>,
    /// It was made while the session lives, as commands can.
    pub(crate) made: bool,
}

/// What has happened in the folders of one guard since it last asked.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Happened {
    /// One of the names has come or gone, or may have.
    pub(crate) concerned: bool,
    /// More has come than is listed.
    pub(crate) lost: bool,
    /// What has come, by the folder's number. At most [`MAX_HAPPENED`].
    pub(crate) came: BTreeSet<(i32, Vec<u8>)>,
    /// Folders that are not watched any more, because they are gone. At most [`MAX_HAPPENED`].
    pub(crate) gone: Vec<i32>,
}

impl Watched {
    /// About as many bytes as its encoding has.
    pub(crate) fn size(&self) -> usize {
        let names = self.names.iter().flatten().map(|name| name.len() + 3).sum::<usize>();
        self.folder.as_bytes().len() + names + 8
    }
}

/// What init says once: set up, with what is in force, or what failed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum InitReport {
    /// Descriptors: a list of the session's own sockets, where it has a network of its own; its gateway's namespace and sockets;
    /// last, with `terminals`, the place where its own terminals are made.
    Ready {
        enforcement: Enforcement,
        terminals: bool,
    },
    Failed(String),
}

/// Encodes a message.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_allocvec(message).map_err(invalid)
}

/// Decodes a message, which must end with the bytes.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> io::Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(invalid("bytes are left over")),
        Err(error) => Err(invalid(error)),
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        CallCommand, CallEvent, ExitStatus, LiveProcess, LiveProcesses, MAX_COMMAND_LINE, MAX_LISTED,
        StartStep,
    };
    use crate::policy::Mode;
    use std::time::Duration;

    /// The number of [`CallEvent::Alive`].
    const ALIVE: u8 = 5;

    fn assert_read_back<T: Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug>(message: T) {
        assert_eq!(decode::<T>(&encode(&message).unwrap()).unwrap(), message);
    }

    fn listing(processes: usize, length: usize) -> CallEvent {
        let process = LiveProcess { pid: i32::MAX, command_line: vec![b'x'; length] };
        CallEvent::Alive(LiveProcesses { total: 100_000, listed: vec![process; processes] })
    }

    fn events() -> Vec<CallEvent> {
        vec![
            CallEvent::Reports,
            CallEvent::Started { pid: 7 },
            CallEvent::NotStarted { step: StartStep::ChangeDirectory, errno: 2 },
            CallEvent::Ended { status: ExitStatus::Signaled(9), refused_routes: 3, last: true },
            listing(2, 5),
            CallEvent::Gone,
        ]
    }

    #[test]
    fn every_message_is_read_back() {
        events().into_iter().for_each(assert_read_back);
        assert_read_back(CallCommand::List);
        assert_read_back(CallCommand::EndAll { grace: Duration::from_millis(500) });
        assert_read_back(CallCommand::Signal { number: 15 });
        let enforcement = Enforcement::none(Mode::ReadOnly);
        assert_read_back(InitReport::Ready { enforcement, terminals: true });
        assert_read_back(InitReport::Failed("no".into()));
        let reported = Some(Reported { connections: true, ..Reported::default() });
        assert_read_back(InitCommand::Prepare { call: 9, reported });
        assert_read_back(InitCommand::Destroy { call: 9 });
        assert_read_back(InitCommand::Sockets { count: 8 });
        assert!(decode::<InitCommand>(&[9]).is_err());
        let watched = Watched { folder: c"/x".to_owned(), names: Some(vec![b"y".to_vec()]), made: true };
        assert_read_back(WatchCommand::Watch(vec![watched]));
        assert_read_back(WatchCommand::Forget { watch: 3 });
        let bytes = encode(&Begin { request: &[1, 2] }).unwrap();
        assert_eq!(decode::<Begin<'_>>(&bytes).unwrap(), Begin { request: &[1, 2] });
    }

    #[test]
    fn another_version_is_refused_in_words_whatever_else_is_said() {
        let bytes = encode(&SetUp::new(Some(1024), true, None)).unwrap();
        assert_eq!(SetUp::decode(&bytes).unwrap(), SetUp::new(Some(1024), true, None));
        let other = encode(&(VERSION + 1, "a part of the future")).unwrap();
        let refused = SetUp::decode(&other).unwrap_err().to_string();
        assert!(refused.contains("version 4") && refused.contains("start the server again"), "{refused}");
        assert!(SetUp::decode(&[]).is_err() && SetUp::decode(&bytes[..1]).is_err());
    }

    #[test]
    fn all_that_a_guard_is_told_at_once_fits_a_packet() {
        let name = |number: usize| format!("{number:0255}").into_bytes();
        let came = (0..MAX_HAPPENED).map(|number| (i32::MAX, name(number))).collect();
        let gone = vec![i32::MAX; MAX_HAPPENED];
        let happened = Happened { concerned: true, lost: true, came, gone };
        assert!(encode(&happened).unwrap().len() <= MAX_PACKET);
        assert_read_back(happened);
    }

    #[test]
    fn cut_or_lengthened_events_are_errors() {
        for event in events() {
            let mut bytes = encode(&event).unwrap();
            for end in 0..bytes.len() {
                assert!(decode::<CallEvent>(&bytes[..end]).is_err(), "{event:?} cut to {end}");
            }
            bytes.push(0);
            assert!(decode::<CallEvent>(&bytes).is_err(), "{event:?} lengthened");
        }
    }

    #[test]
    fn a_list_is_no_longer_than_its_bound_and_fits_a_packet() {
        let full = encode(&listing(MAX_LISTED, MAX_COMMAND_LINE)).unwrap();
        assert!(decode::<CallEvent>(&full).is_ok() && full.len() <= MAX_PACKET);
        for (processes, length) in [(MAX_LISTED + 1, 0), (1, MAX_COMMAND_LINE + 1)] {
            assert!(encode(&listing(processes, length)).is_err(), "{processes} of {length} bytes");
            let process = (i32::MAX, vec![b'x'; length]);
            let unchecked = (ALIVE, 100_000_usize, vec![process; processes]);
            assert!(decode::<CallEvent>(&encode(&unchecked).unwrap()).is_err());
        }
        let process = (i32::MAX, vec![b'x'; MAX_COMMAND_LINE]);
        assert_eq!(encode(&(ALIVE, 100_000_usize, vec![process; MAX_LISTED])).unwrap(), full);
        // The count alone, of far more than there is.
        let huge = [[ALIVE, 1].as_slice(), &encode(&usize::MAX).unwrap()].concat();
        assert!(decode::<CallEvent>(&huge).is_err());
    }
}
