//! What one server leaves to the next, when a launcher starts another one in its place on the same standard streams.
//!
//! The launcher holds a file without a name and gives it to each of its servers. The server notes in it what its client
//! has said once and for all, and which requests have no answer yet; so the next one can go on where a crash has ended
//! it. Its first line is the number of the last server that has served, by which the launcher knows a server that dies
//! at its start. Whoever reads the file knows the session, so commands must not get its descriptor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rmcp::model::RequestId;
use serde::Deserialize;

use super::sandbox_state;
use crate::sys::adopt_descriptor;

/// The length of the first line: eight digits and its end.
const HEADER: u64 = 9;

/// The file is written anew when it has become so long, in bytes.
const LONG: u64 = 64 << 10;

/// The longest file that is understood: the messages in it are few, and one is no longer than a line may be.
const MAX_BYTES: u64 = 80 << 20;

/// The file, and what it says.
#[derive(Debug)]
pub struct SessionFile {
    /// `None` when it could not be written, and must not be trusted any more.
    file: Option<File>,
    end: u64,
    /// The number of this server.
    generation: u64,
    begun: bool,
    session: Session,
}

/// A session as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Session {
    /// What the client has said for all that follows, the whole message each.
    pub(super) said: BTreeMap<Said, Vec<u8>>,
    /// Its requests that have no answer yet: their ids as JSON.
    under_way: BTreeSet<Vec<u8>>,
    /// Questions of ours that have none.
    asked: BTreeSet<Vec<u8>>,
}

/// Messages that hold for all that follow, in the order in which a server must hear them. Of each kind the last one
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    Initialize,
    Initialized,
    Level,
    Sandbox,
}

/// What a line of the file does to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Said,
    Received,
    Answered,
    Asked,
    Settled,
}

const CHANGES: [(u8, Change); 5] = [
    (b'=', Change::Said),
    (b'+', Change::Received),
    (b'-', Change::Answered),
    (b'?', Change::Asked),
    (b'!', Change::Settled),
];

/// What follows is left over from before the file was written anew.
const STOP: &[u8] = b".\n";

impl Said {
    /// Of a message, if it is one of these.
    fn of(message: &[u8]) -> Option<Said> {
        #[derive(Deserialize)]
        struct Method {
            method: String,
        }
        let message: Method = serde_json::from_slice(message).ok()?;
        match &*message.method {
            "initialize" => Some(Said::Initialize),
            "notifications/initialized" => Some(Said::Initialized),
            "logging/setLevel" => Some(Said::Level),
            sandbox_state::UPDATE => Some(Said::Sandbox),
            _ => None,
        }
    }
}

impl Session {
    fn read(lines: &[u8]) -> Session {
        let mut session = Session::default();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if line == STOP {
                break;
            }
            // The last line may not be whole.
            let Some((kind, what)) = line.strip_suffix(b"\n").and_then(<[u8]>::split_first) else { break };
            if let Some((_, change)) = CHANGES.iter().find(|(letter, _)| letter == kind) {
                session.apply(*change, what);
            }
        }
        session
    }

    fn apply(&mut self, change: Change, what: &[u8]) {
        let what = what.to_vec();
        match change {
            Change::Said => {
                if let Some(said) = Said::of(&what) {
                    self.said.insert(said, what);
                }
            }
            Change::Received => drop(self.under_way.insert(what)),
            Change::Answered => drop(self.under_way.remove(&what)),
            Change::Asked => drop(self.asked.insert(what)),
            Change::Settled => drop(self.asked.remove(&what)),
        }
    }

    fn written(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        let said = self.said.values().map(|message| (Change::Said, message));
        let under_way = self.under_way.iter().map(|id| (Change::Received, id));
        let asked = self.asked.iter().map(|id| (Change::Asked, id));
        for (change, what) in said.chain(under_way).chain(asked) {
            lines.extend(record(change, what));
        }
        lines
    }

    /// The requests that have no answer yet.
    pub(super) fn under_way(&self) -> Vec<RequestId> {
        ids(&self.under_way)
    }

    /// The questions that have none.
    pub(super) fn asked(&self) -> Vec<RequestId> {
        ids(&self.asked)
    }
}

fn ids(written: &BTreeSet<Vec<u8>>) -> Vec<RequestId> {
    written.iter().filter_map(|id| serde_json::from_slice(id).ok()).collect()
}

fn record(change: Change, what: &[u8]) -> Vec<u8> {
    let letter = CHANGES.iter().find(|(_, known)| *known == change).map(|(letter, _)| *letter);
    let mut line = Vec::with_capacity(what.len() + 2);
    line.extend(letter);
    line.extend_from_slice(what);
    line.push(b'\n');
    line
}

impl SessionFile {
    /// Takes over the descriptor with this number; nobody else gets it from now on. To be called once, before anything
    /// is opened.
    ///
    /// # Errors
    ///
    /// When there is no such descriptor, or it is no file of ours.
    pub fn adopt(number: i32) -> io::Result<SessionFile> {
        SessionFile::open(File::from(adopt_descriptor(number)?))
    }

    pub(super) fn open(file: File) -> io::Result<SessionFile> {
        let length = file.metadata()?.len();
        let length = usize::try_from(length).ok().filter(|_| length <= MAX_BYTES);
        let mut text = vec![0; length.ok_or_else(|| io::Error::other("it is too long"))?];
        // All servers share one position in it, so nobody moves it.
        file.read_exact_at(&mut text, 0)?;
        let (header, lines) = text.split_at(text.len().min(usize::try_from(HEADER).unwrap_or_default()));
        // Nothing is there, or a hole, until a server has served.
        let served = match str::from_utf8(header).map(|line| line.trim_matches(['\0', '\n'])) {
            Ok("") => 0,
            Ok(number) => number.parse::<u64>().map_err(io::Error::other)?,
            Err(error) => return Err(io::Error::other(error)),
        };
        let session = Session::read(lines);
        let mut opened =
            SessionFile { file: Some(file), end: HEADER, generation: served + 1, begun: false, session };
        opened.write_anew();
        Ok(opened)
    }

    /// The session that this server goes on with; empty for the first one.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether another server has served before.
    pub(super) fn succeeds(&self) -> bool {
        self.generation > 1
    }

    /// The number of this server, from 1.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// This server serves: should it die from now on, another one may take over.
    pub(super) fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            self.write(0, format!("{:08}\n", self.generation).as_bytes());
        }
    }

    /// The client has said something that holds for all that follows, in one line.
    pub(super) fn said(&mut self, message: &[u8]) {
        self.change(Change::Said, message.trim_ascii());
    }

    /// A request has come.
    pub(super) fn received(&mut self, id: &RequestId) {
        self.change_of(Change::Received, id);
    }

    /// A request has been answered.
    pub(super) fn answered(&mut self, id: &RequestId) {
        self.change_of(Change::Answered, id);
    }

    /// The client is asked.
    pub(super) fn asked(&mut self, id: &RequestId) {
        self.change_of(Change::Asked, id);
    }

    /// A question has an answer, or needs none any more.
    pub(super) fn settled(&mut self, id: &RequestId) {
        self.change_of(Change::Settled, id);
    }

    fn change_of(&mut self, change: Change, id: &RequestId) {
        if let Ok(id) = serde_json::to_vec(id) {
            self.change(change, &id);
        }
    }

    fn change(&mut self, change: Change, what: &[u8]) {
        self.session.apply(change, what);
        let line = record(change, what);
        self.write(self.end, &line);
        self.end += u64::try_from(line.len()).unwrap_or_default();
        if self.end > LONG && self.end > 2 * u64::try_from(self.session.written().len()).unwrap_or_default() {
            self.write_anew();
        }
    }

    /// Writes only what the session has come to. A server that is killed meanwhile leaves one session or the other.
    fn write_anew(&mut self) {
        let lines = self.session.written();
        self.write(HEADER, &[&lines, STOP].concat());
        self.end = HEADER + u64::try_from(lines.len()).unwrap_or_default();
        let length = self.end + u64::try_from(STOP.len()).unwrap_or_default();
        if let Some(Err(error)) = self.file.as_ref().map(|file| file.set_len(length)) {
            self.give_up(&error);
        }
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        if let Some(Err(error)) = self.file.as_ref().map(|file| file.write_all_at(bytes, at)) {
            self.give_up(&error);
        }
    }

    /// What is not complete would mislead the next server.
    fn give_up(&mut self, error: &io::Error) {
        tracing::warn!(%error, "the session cannot be kept for another server, should this one die");
        if let Some(file) = self.file.take() {
            let _ = file.set_len(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIALIZE: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;

    /// The same file for the next server.
    fn next(file: &SessionFile) -> SessionFile {
        SessionFile::open(file.file.as_ref().expect("it is written").try_clone().unwrap()).unwrap()
    }

    fn first() -> SessionFile {
        SessionFile::open(tempfile::tempfile().unwrap()).unwrap()
    }

    #[test]
    fn the_next_server_knows_what_was_said_and_what_is_open() {
        let mut file = first();
        assert!(!file.succeeds());
        file.begin();
        file.said(&[INITIALIZE, b"\r\n"].concat());
        for id in [RequestId::Number(1), RequestId::String("a\nb".into()), RequestId::Number(3)] {
            file.received(&id);
        }
        file.answered(&RequestId::Number(1));
        file.asked(&RequestId::Number(0));
        file.asked(&RequestId::Number(7));
        file.settled(&RequestId::Number(0));
        let next = next(&file);
        assert!(next.succeeds());
        assert_eq!(next.generation(), 2);
        assert_eq!(next.session().said[&Said::Initialize], INITIALIZE);
        assert_eq!(next.session().under_way(), [RequestId::String("a\nb".into()), RequestId::Number(3)]);
        assert_eq!(next.session().asked(), [RequestId::Number(7)]);
    }

    #[test]
    fn a_server_that_has_not_served_does_not_count() {
        let file = first();
        assert!(!next(&file).succeeds());
    }

    #[test]
    fn the_file_stays_short_and_loses_nothing_by_that() {
        let mut file = first();
        file.begin();
        file.said(INITIALIZE);
        file.received(&RequestId::Number(-1));
        for id in 0..20_000 {
            file.received(&RequestId::Number(id));
            file.answered(&RequestId::Number(id));
        }
        assert!(file.file.as_ref().unwrap().metadata().unwrap().len() < 2 * LONG);
        let next = next(&file);
        assert_eq!(next.session().under_way(), [RequestId::Number(-1)]);
        assert_eq!(next.session().said.len(), 1);
    }

    #[test]
    fn what_a_dying_server_has_written_by_half_is_passed_over() {
        let mut file = first();
        file.begin();
        file.received(&RequestId::Number(1));
        file.write(file.end, b"-1");
        assert_eq!(next(&file).session().under_way(), [RequestId::Number(1)]);
        // As if it had died before it could shorten the file.
        file.write(HEADER, b"+2\n.\nself\n+1\n");
        assert_eq!(next(&file).session().under_way(), [RequestId::Number(2)]);
    }
}
