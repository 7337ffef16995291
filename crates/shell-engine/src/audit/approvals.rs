//! Which commands a person has approved so far, read from the log's newest lines.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::event::{ActionKind, AnswerKind, Event};
use super::files::{Folder, Log, open};
use super::line::{Line, MAX_LINE};

/// Bytes at the log's end that are looked at.
const LOOK_BACK: u64 = 4 << 20;

/// Programs that are remembered.
const MAX_PROGRAMS: usize = 1024;

/// A command that a person has approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// When, in UTC.
    pub time: String,
    /// The program's path.
    pub program: String,
    /// The argument vector; one that was too long for the log is not an approval here.
    pub argv: Vec<String>,
    /// The working directory.
    pub cwd: String,
}

/// The newest approval of each program. What cannot be read is not there: this is for showing only.
pub struct Approvals {
    folder: Folder,
    /// The file that was read, and how far.
    read: Option<((u64, u64), u64)>,
    newest: HashMap<String, Approval>,
}

impl Approvals {
    /// Of the log of the user whose rules are below `codex_home`.
    pub fn new(codex_home: &Path) -> Approvals {
        Approvals { folder: Folder::of(codex_home), read: None, newest: HashMap::new() }
    }

    /// The newest approval of the program that `fits`.
    pub fn newest(&mut self, fits: impl Fn(&Approval) -> bool) -> Option<&Approval> {
        self.catch_up();
        self.newest.values().find(|approval| fits(approval))
    }

    fn catch_up(&mut self) -> Option<()> {
        let mut file = open(&self.folder.newest(Log::Decisions), OpenOptions::new().read(true)).ok()?;
        let metadata = file.metadata().ok()?;
        let (identity, length) = ((metadata.dev(), metadata.ino()), metadata.len());
        let earliest = length.saturating_sub(LOOK_BACK);
        let from = match self.read {
            Some((same, from)) if same == identity && from >= earliest => from,
            _ => earliest,
        };
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut lines = BufReader::new(file.take(length.saturating_sub(from)));
        let mut at = from;
        loop {
            let mut line = Vec::new();
            let length = (&mut lines).take(MAX_LINE as u64).read_until(b'\n', &mut line).ok()?;
            // A line without its end is read again when it is whole.
            if !line.ends_with(b"\n") {
                break;
            }
            at += length as u64;
            self.note(&line);
        }
        self.read = Some((identity, at));
        Some(())
    }

    fn note(&mut self, line: &[u8]) {
        const ASKED: &[u8] = b"\"asked\":";
        if !line.windows(ASKED.len()).any(|part| part == ASKED) {
            return;
        }
        let Ok(Line { time, event: Event::Decision(decision), .. }) = serde_json::from_slice(line) else {
            return;
        };
        let approved = decision.decision != ActionKind::Deny
            && decision.cut.is_none()
            && decision.asked.is_some_and(|asked| {
                matches!(
                    asked.answer,
                    AnswerKind::Once | AnswerKind::Inside | AnswerKind::Session | AnswerKind::Always
                )
            });
        if approved && (self.newest.len() < MAX_PROGRAMS || self.newest.contains_key(&decision.program)) {
            let (program, argv, cwd) = (decision.program, decision.argv, decision.cwd);
            self.newest.insert(program.clone(), Approval { time, program, argv, cwd });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::audit::append::{Appender, LogLimits, Written};
    use crate::audit::event::{Asked, Decision};

    fn decision(argument: &str, decision: ActionKind, answer: Option<AnswerKind>) -> Event {
        Event::Decision(Box::new(Decision {
            call: "1".into(),
            exec: 1,
            parent: None,
            decision,
            program: "/bin/tool".into(),
            argv: vec!["tool".into(), argument.into()],
            cut: None,
            cwd: "/".into(),
            rule: None,
            asked: answer.map(|answer| Asked {
                answer,
                channel: None,
                words: None,
                adds: None,
                milliseconds: None,
            }),
            reason: None,
            rights: None,
        }))
    }

    #[test]
    fn the_newest_approval_is_found_also_when_the_log_grows_and_refusals_are_none() {
        let home = tempfile::tempdir().expect("a folder");
        let mut appender = Appender::new(Folder::of(home.path()), LogLimits::default());
        let mut approvals = Approvals::new(home.path());
        let newest = |approvals: &mut Approvals| {
            approvals.newest(|approval| approval.program == "/bin/tool").map(|found| found.argv[1].clone())
        };
        assert_eq!(newest(&mut approvals), None);
        let mut append = |events: &[Event]| {
            let events = events.iter().map(|event| (SystemTime::now(), event));
            appender.append(events).and_then(Written::whole).expect("written");
        };
        append(&[
            decision("one", ActionKind::Escalate, Some(AnswerKind::Once)),
            decision("refused", ActionKind::Deny, Some(AnswerKind::Declined)),
            decision("unasked", ActionKind::Run, None),
        ]);
        assert_eq!(newest(&mut approvals).as_deref(), Some("one"));
        append(&[decision("two", ActionKind::Run, Some(AnswerKind::Session))]);
        assert_eq!(newest(&mut approvals).as_deref(), Some("two"));
    }
}
