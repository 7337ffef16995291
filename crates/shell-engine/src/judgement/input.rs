//! Input: what a caller writes to the programs of a call while they run. It is asked about, or refused, as long as a program
//! runs whose rule says so. What a shell makes of it is judged like all that is executed.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use execpolicy::{Decision, RuleMatch};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::audit_trail;
use super::by_rules::{Grounds, command};
use super::exec::Exec;
use crate::approval::{Answer, Approver, Identity, Question};
use crate::audit::{Asked, CallRecord};
use crate::time::Stopwatch;
use crate::visible::{code, shortened, visible};

/// Programs of one call that are remembered one by one; of more it is not noticed when they end.
const MOST_READERS: usize = 256;

/// Lines of input that are shown in a question, and characters of each.
const MOST_LINES: usize = 20;
const LONGEST_LINE: usize = 200;

/// Questions about one input, whose readers may change while a person thinks.
const MOST_QUESTIONS: usize = 3;

/// The programs of a call whose rules ask about input to them, or forbid it.
#[derive(Default)]
pub(crate) struct Readers {
    list: Mutex<Vec<Reader>>,
    /// Counts the bytes that were written and that nobody has read.
    unread: OnceLock<Box<dyn Fn() -> usize + Send + Sync>>,
}

#[derive(Clone, Debug)]
struct Reader {
    exec: Arc<Words>,
    matched: RuleMatch,
    /// Its folder below `/proc`; `None`: it is not known when it ends.
    process: Option<Arc<OwnedFd>>,
}

/// A program in words.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    program: std::path::PathBuf,
    arguments: Vec<Vec<u8>>,
    workdir: std::path::PathBuf,
}

/// That something may be written. It is on record already where somebody was asked.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit(Option<(String, String, Option<Asked>)>);

/// Who is asked about input, the clock that stands still meanwhile, and what ends the call.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) approver: &'a dyn Approver,
    pub(crate) stopwatch: &'a Stopwatch,
    pub(crate) cancel: &'a CancellationToken,
}

/// Why nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InputRefused(String);

/// The rule that asks about input to a program, or forbids it, by whichever of its names.
pub(super) fn rule_about(grounds: &Grounds<'_>, exec: &Exec) -> Option<RuleMatch> {
    if !grounds.policy.restrains_input() {
        return None;
    }
    let variables = exec.variables();
    let about = |program: &std::ffi::OsStr, arguments: &[&std::ffi::OsStr]| {
        grounds.policy.about_input(&command(exec, program, arguments, &variables), grounds.options)
    };
    let own: Vec<&std::ffi::OsStr> = exec.arguments().iter().map(AsRef::as_ref).collect();
    let others = grounds.trust.other_names(exec).unwrap_or_default();
    let others = others.iter().filter_map(|name| {
        let arguments: Vec<_> = name.before.iter().map(AsRef::as_ref).chain(own.iter().copied()).collect();
        about(name.program.as_os_str(), &arguments)
    });
    let found = about(exec.file.as_os_str(), &own).into_iter().chain(others);
    found.max_by_key(|matched| matched.rule.decision)
}

impl Readers {
    /// From now on it can be found out how many bytes were written that nobody has read.
    pub(crate) fn count_unread(&self, unread: Box<dyn Fn() -> usize + Send + Sync>) {
        let _ = self.unread.set(unread);
    }

    /// Why a program may not start now that this rule is about: it would read what was written before, of which nobody was asked.
    pub(super) fn obstacle(&self, about_input: Option<&RuleMatch>) -> Option<String> {
        let origin = &about_input?.rule.origin;
        let unread = self.unread.get().map_or(0, |unread| unread());
        (unread > 0).then(|| {
            format!(
                "{unread} bytes of input wait for whatever reads them, and the rule {origin} does not let this program have input unasked; \
                    write to it once it runs"
            )
        })
    }

    /// Notes a program that is about to run, if a rule restrains input to it.
    pub(super) fn note(&self, exec: &Exec, about_input: Option<RuleMatch>) {
        let Some(matched) = about_input else { return };
        let words = Words {
            program: exec.file.clone(),
            arguments: exec.arguments().iter().map(|argument| argument.as_encoded_bytes().to_vec()).collect(),
            workdir: exec.workdir.clone(),
        };
        let mut readers = self.readers();
        readers.retain(Reader::may_run);
        let folder = |process| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(format!("/proc/{process}"), flags, Mode::empty()).ok().map(Arc::new)
        };
        let process = exec.lineage.process.filter(|_| readers.len() < MOST_READERS).and_then(folder);
        let is_known = |reader: &Reader| {
            reader.process.is_none()
                && reader.matched.rule.origin == matched.rule.origin
                && (*reader.exec == words || readers.len() >= MOST_READERS)
        };
        if process.is_none() && readers.iter().any(is_known) {
            return;
        }
        readers.push(Reader { exec: Arc::new(words), matched, process });
    }

    /// The strictest of those that run, that is none of these.
    fn strictest_but(&self, allowed: &[Arc<Words>]) -> Option<Reader> {
        let mut readers = self.readers();
        readers.retain(Reader::may_run);
        let left = readers.iter().filter(|reader| !allowed.contains(&reader.exec));
        left.max_by_key(|reader| reader.matched.rule.decision).cloned()
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Whether it runs, as far as is known.
    fn may_run(&self) -> bool {
        let Some(process) = &self.process else { return true };
        // Of one that has ended and is waited for, nothing is left but its number.
        !matches!(rustix::fs::readlinkat(process, "exe", Vec::new()), Err(Errno::NOENT | Errno::SRCH))
    }

    /// Its command line.
    fn line(&self) -> String {
        let Words { program, arguments, .. } = &*self.exec;
        let words = std::iter::once(program.as_os_str().as_encoded_bytes())
            .chain(arguments.iter().map(Vec::as_slice));
        let words: Vec<String> =
            words.map(|word| visible(&shlex::bytes::try_quote(word).unwrap_or(word.into()))).collect();
        shortened(&words.join(" "), LONGEST_LINE)
    }

    fn by(&self, asked: Option<Asked>) -> (String, String, Option<Asked>) {
        (self.line(), self.matched.rule.origin.to_string(), asked)
    }

    fn question(&self, text: &str) -> Question {
        let lines: Vec<&str> = text.lines().collect();
        let of_line = |line: &&str| code(&shortened(&visible(line.as_bytes()), LONGEST_LINE));
        let mut details: Vec<String> = lines.iter().take(MOST_LINES).map(of_line).collect();
        let is_whole =
            lines.len() <= MOST_LINES && lines.iter().all(|line| line.chars().count() <= LONGEST_LINE);
        if lines.len() > MOST_LINES {
            details.push(format!("… {} more lines", lines.len() - MOST_LINES));
        }
        let origin = self.matched.rule.origin.to_string();
        let Words { program, arguments, workdir } = &*self.exec;
        let bound = [b"input", origin.as_bytes(), program.as_os_str().as_encoded_bytes(), text.as_bytes()];
        let identity = Identity::of(bound.into_iter().chain(arguments.iter().map(Vec::as_slice)));
        let count = text.len();
        let count = if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") };
        Question {
            program: program.clone(),
            arguments: arguments.clone(),
            workdir: workdir.clone(),
            rule: Some(self.matched.clone()),
            danger: None,
            identity,
            again: None,
            always: Vec::new(),
            scoped: Vec::new(),
            cautions: Vec::new(),
            details,
            line: None,
            failed: None,
            gives_more: false,
            connection: None,
            // What was not shown whole counts for this once.
            once: !is_whole,
            subject: Some(format!("write {count} to {}", code(&self.line()))),
        }
    }
}

impl Readers {
    /// Finds out whether this may be written to the call's programs, as its caller has given it, and puts on record that it may
    /// not. Takes as long as the person does who is asked.
    ///
    /// # Errors
    ///
    /// In words, when nothing is to be written.
    pub(crate) async fn permit(
        &self,
        text: &str,
        asked: Asking<'_>,
        record: &CallRecord,
    ) -> Result<Permit, InputRefused> {
        let mut allowed: Vec<Arc<Words>> = Vec::new();
        let mut permit = Permit(None);
        while let Some(reader) = self.strictest_but(&allowed) {
            let refuse = |asked, why: String| {
                record.input(text.as_bytes(), false, Some(reader.by(asked)));
                let (program, rule) = (code(&reader.line()), &reader.matched.rule);
                let reason =
                    rule.justification.as_deref().map(|text| format!(": {}", visible(text.as_bytes())));
                let reason = reason.unwrap_or_default();
                InputRefused(format!(
                    "{why} (input to {program}; rule {}{reason}); nothing was written",
                    rule.origin
                ))
            };
            if reader.matched.rule.decision == Decision::Forbidden {
                return Err(refuse(None, "a rule forbids it".into()));
            }
            if allowed.len() >= MOST_QUESTIONS {
                return Err(refuse(None, "what would read it has changed too often".into()));
            }
            let pause = asked.stopwatch.pause();
            let withdrawn = Withdrawn { record, text, reader: Some(&reader) };
            let answer = asked.approver.ask(reader.question(text)).await;
            withdrawn.forget();
            drop(pause);
            let said = Some(audit_trail::asked(&answer));
            match answer {
                Answer::Approved { .. } => {
                    permit = Permit(Some(reader.by(said)));
                    allowed.push(reader.exec);
                }
                Answer::Declined { reason, ends_call, .. } => {
                    let words =
                        reason.map(|words| format!(": {}", visible(words.as_bytes()))).unwrap_or_default();
                    if ends_call {
                        asked.cancel.cancel();
                    }
                    return Err(refuse(said, format!("User declined this input{words}")));
                }
                Answer::Cancelled { .. } => return Err(refuse(said, "User cancelled this input".into())),
                Answer::Unanswered(why) => {
                    return Err(refuse(said, format!("somebody has to allow this input, but {why}")));
                }
            }
        }
        Ok(permit)
    }
}

/// A question that is open. Dropped while it is, it records that it was withdrawn.
struct Withdrawn<'a> {
    record: &'a CallRecord,
    text: &'a str,
    reader: Option<&'a Reader>,
}

impl Withdrawn<'_> {
    fn forget(mut self) {
        self.reader = None;
    }
}

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader {
            let asked = Some(Asked::withdrawn());
            self.record.input(self.text.as_bytes(), false, Some(reader.by(asked)));
        }
    }
}

impl Permit {
    /// Puts on record that this was written.
    pub(crate) fn used(self, text: &str, record: &CallRecord) {
        record.input(text.as_bytes(), true, self.0);
    }

    /// For what no program reads as its input: commands of a kept shell, each of whose programs is judged.
    pub(crate) fn of_command() -> Permit {
        Permit(None)
    }
}
