//! Writes the log for people, or its lines for scripts.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use chrono::{DateTime, TimeZone};
use escalation_protocol::handover::Outcome;
use unicode_width::UnicodeWidthStr;

use super::event::{ActionKind, AnswerKind, Asked, Connection, Decision, Event, Input, Origin};
use super::files::{Folder, Log};
use super::line::Line;
use super::read::{ReadError, ReadLine, snapshot};
use crate::user_command::user_command;
use crate::visible::visible;

/// What is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only what happened since then.
    pub since: Option<SystemTime>,
    /// Not the programs that simply ran inside the sandbox.
    pub without_runs: bool,
    /// Columns that the words are broken at.
    pub width: Option<usize>,
    /// The lines as they are, instead of words.
    pub json: bool,
}

/// A connection in words.
pub(super) fn connected(connection: &Connection) -> String {
    let Connection { host, port, program, allowed, refused, sent, received, milliseconds, .. } = connection;
    let place = visible(format!("{host}:{port}").as_bytes());
    let by =
        program.as_ref().map(|program| format!(" by {}", visible(program.as_bytes()))).unwrap_or_default();
    let inert = |text: &String| visible(text.as_bytes());
    match (allowed.as_ref().map(inert), refused.as_ref().map(inert)) {
        (_, Some(refused)) => format!("connection to {place}{by} refused: {refused}"),
        (Some(allowed), None) => format!(
            "connection to {place}{by}: {sent} bytes sent, {received} received in {milliseconds} ms, allowed by {allowed}"
        ),
        (None, None) => format!("connection to {place}{by} given up"),
    }
}

/// Why the log was not shown to its end.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be written out.
    #[error("cannot write the audit log out")]
    Write(#[from] io::Error),
}

/// Writes the log of the user whose rules are below `codex_home`, oldest lines first.
///
/// # Errors
///
/// When it cannot be read or written out.
pub fn show(codex_home: &Path, filter: Filter, output: &mut dyn Write) -> Result<(), ShowError> {
    let [decisions, runs] = snapshot(&Folder::of(codex_home), Log::ALL)?;
    let mut decisions = decisions.map(|line| Shown::of(line, Log::Decisions)).peekable();
    let mut runs = runs.map(|line| Shown::of(line, Log::Runs)).peekable();
    loop {
        let runs_first = match (decisions.peek(), runs.peek()) {
            (Some(Ok(decision)), Some(Ok(run))) => run.time() < decision.time(),
            (None, _) | (Some(_), Some(Err(_))) => true,
            (Some(_), None) | (Some(Err(_)), Some(Ok(_))) => false,
        };
        match if runs_first { runs.next() } else { decisions.next() } {
            Some(shown) => shown?.write(filter, output)?,
            None => return Ok(output.flush()?),
        }
    }
}

/// One line that may be shown.
struct Shown {
    log: Log,
    line: ReadLine,
    parsed: Option<Line>,
}

impl Shown {
    fn of(line: Result<ReadLine, ReadError>, log: Log) -> Result<Shown, ShowError> {
        let line = line?;
        let parsed = line.text.as_ref().ok().and_then(|text| serde_json::from_slice(text).ok());
        Ok(Shown { log, line, parsed })
    }

    /// When it was written; what is no line comes at once.
    fn time(&self) -> &str {
        self.parsed.as_ref().map(|line| line.time.as_str()).unwrap_or_default()
    }

    fn write(&self, filter: Filter, output: &mut dyn Write) -> Result<(), ShowError> {
        let (Some(parsed), Ok(text)) = (&self.parsed, &self.line.text) else {
            // On standard output too: a reader must not take the log for whole.
            let path = visible(self.line.file.as_os_str().as_encoded_bytes());
            let number = self.line.number;
            if filter.json {
                return Ok(());
            }
            return Ok(writeln!(
                output,
                "{path}:{number} is not a line of the log; see `{} audit verify`",
                user_command()
            )?);
        };
        if !filter.lets_through(parsed) {
            return Ok(());
        }
        if filter.json {
            output.write_all(text)?;
            return Ok(output.write_all(b"\n")?);
        }
        Ok(writeln!(output, "{}", broken(&words(parsed, self.log), filter.width))?)
    }
}

impl Filter {
    fn lets_through(&self, line: &Line) -> bool {
        let recent = self
            .since
            .is_none_or(|since| humantime::parse_rfc3339(&line.time).is_ok_and(|time| time >= since));
        let run = matches!(&line.event, Event::Decision(decision)
            if decision.decision == ActionKind::Run && decision.asked.is_none())
            || matches!(&line.event, Event::Input(input) if input.rule.is_none());
        recent && !(self.without_runs && run)
    }
}

fn words(line: &Line, log: Log) -> String {
    let mark = match log {
        Log::Decisions => '#',
        Log::Runs => '~',
    };
    let start = format!("{} {mark}{} ", at_the_readers(&line.time, &chrono::Local), line.n);
    start
        + &match &line.event {
            Event::Started { version, sandbox } => {
                let sandbox = sandbox.as_deref().unwrap_or("none: it runs nothing");
                format!("server {} started: version {version}, sandbox {sandbox}", line.server)
            }
            Event::Decision(decision) => {
                format!("{}/{}.{} {}", line.server, decision.call, decision.exec, decided(decision))
            }
            Event::Ended { call, exec, end } => {
                format!("{}/{call}.{exec} ended: {}", line.server, ended(*end))
            }
            Event::Request { call, origin } => format!("{}/{call} {}", line.server, came_from(origin)),
            Event::Connection(connection) => connected(connection),
            Event::Input(input) => format!("{}/{} {}", line.server, input.call, input_in_words(input)),
            Event::Lost { decisions } => format!(
                "{} decisions of server {} are missing: they could not be written",
                decisions, line.server
            ),
            Event::LostRuns { runs } => format!(
                "{} runs of server {} are missing: they could not be written in time",
                runs, line.server
            ),
            Event::MoreRuns { call, runs } => {
                format!("{}/{call} {runs} more ran inside, which are counted only", line.server)
            }
            Event::MoreRefusals { call, refusals } => {
                format!("{}/{call} {refusals} more were refused, which are counted only", line.server)
            }
            Event::Repaired { removed_bytes } => {
                format!("the {removed_bytes} bytes of a line that was broken off by a crash were removed")
            }
        }
}

/// By what others know a call's request.
pub(super) fn came_from(origin: &Origin) -> String {
    let request = origin.request.as_deref().map(|request| format!("request {}", visible(request.as_bytes())));
    let trace = origin.trace.as_deref().map(|trace| format!("trace {}", visible(trace.as_bytes())));
    format!("came with {}", request.into_iter().chain(trace).collect::<Vec<_>>().join(", "))
}

/// A time of the log, which is in UTC, in the reader's zone.
pub(super) fn at_the_readers(time: &str, zone: &impl TimeZone<Offset: Display>) -> String {
    match DateTime::parse_from_rfc3339(time) {
        Ok(time) => time.with_timezone(zone).format("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => visible(time.as_bytes()),
    }
}

/// Breaks a line at spaces, so that none is longer than `width` columns unless a word is; what follows the first is
/// indented.
fn broken(line: &str, width: Option<usize>) -> String {
    const INDENT: &str = "    ";
    let Some(width) = width.filter(|width| *width > 2 * INDENT.len()) else { return line.to_owned() };
    let mut text = String::new();
    let mut used = 0;
    for word in line.split_inclusive(' ') {
        let columns = word.trim_end().width();
        if used > 0 && used + columns > width {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.push_str(INDENT);
            used = INDENT.len();
        }
        text.push_str(word);
        used += word.width();
    }
    text
}

pub(super) fn decided(decision: &Decision) -> String {
    let run = decision.rights.as_ref().map(|rights| rights.run.as_str());
    let verb = match (decision.decision, run) {
        (ActionKind::Run, _) => "ran inside",
        (ActionKind::Escalate, Some("inside")) => "ran inside with grants",
        (ActionKind::Escalate, Some("confined")) => "ran CONFINED",
        (ActionKind::Escalate, Some("unconfined")) => "ran UNCONFINED",
        (ActionKind::Escalate, _) => "ran OUTSIDE",
        (ActionKind::Deny, _) => "DENIED",
    };
    let arguments = decision.argv.iter().skip(1).map(String::as_str);
    let command: Vec<String> = std::iter::once(&*decision.program).chain(arguments).map(quoted).collect();
    let mut text = format!(
        "{verb}: {}{} in {}",
        command.join(" "),
        match &decision.cut {
            Some(cut) if decision.argv.is_empty() => format!(" … (SHA-256 {})", cut.sha256),
            Some(_) => " … (cut)".to_owned(),
            None => String::new(),
        },
        visible(decision.cwd.as_bytes())
    );
    if let Some(rule) = &decision.rule {
        text.push_str(&format!("; rule {}", visible(rule.as_bytes())));
    }
    if let Some(asked) = &decision.asked {
        text.push_str(&answered(asked));
    }
    for line in decision.rights.iter().flat_map(|rights| rights.in_words()) {
        text.push_str(&format!("; {}", visible(line.as_bytes())));
    }
    if let Some(reason) = &decision.reason {
        text.push_str(&format!("; {}", visible(reason.as_bytes())));
    }
    text
}

/// What came of a question, to be appended.
fn answered(asked: &Asked) -> String {
    let answer = match asked.answer {
        AnswerKind::Once => "allowed once",
        AnswerKind::Inside => "allowed once, inside only",
        AnswerKind::Session => "allowed for the session",
        AnswerKind::Always => "allowed from now on",
        AnswerKind::Declined => "declined",
        AnswerKind::Cancelled => "closed without an answer",
        AnswerKind::Nobody => "nobody answered",
        AnswerKind::Withdrawn => "withdrawn",
    };
    let mut text = format!("; asked: {answer}");
    if let Some(channel) = &asked.channel {
        text.push_str(&format!(" ({})", visible(channel.as_bytes())));
    }
    if let Some(words) = &asked.words {
        text.push_str(&format!(", \"{}\"", visible(words.as_bytes())));
    }
    if let Some(rule) = &asked.adds {
        text.push_str(&format!(", adding {}", visible(rule.as_bytes())));
    }
    text
}

/// What was to be written, without the text.
fn input_in_words(input: &Input) -> String {
    let Input { bytes, sha256, written, program, rule, asked, .. } = input;
    let done = if *written { "input" } else { "input REFUSED" };
    let mut text = format!("{done}: {bytes} bytes (SHA-256 {})", visible(sha256.as_bytes()));
    if let (Some(program), Some(rule)) = (program, rule) {
        let (program, rule) = (visible(program.as_bytes()), visible(rule.as_bytes()));
        text.push_str(&format!(" for {program}; rule {rule}"));
    }
    text + &asked.as_ref().map(answered).unwrap_or_default()
}

pub(super) fn ended(end: Outcome) -> String {
    match end {
        Outcome::Exited(code) => format!("exit code {code}"),
        Outcome::Signaled(signal) => format!("signal {signal}"),
        Outcome::NotStarted(errno) => {
            let error = io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or_default());
            format!("it did not start ({error})")
        }
    }
}

fn quoted(word: &str) -> String {
    let quoted = shlex::try_quote(word).unwrap_or(word.into());
    visible(quoted.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::append::{Appender, LogLimits, Written};
    use crate::audit::event::Asked;
    use std::time::Duration;

    fn decision(decision: ActionKind, asked: Option<Asked>) -> Event {
        Event::Decision(Box::new(Decision {
            call: "3".into(),
            exec: 1,
            parent: None,
            decision,
            program: "/usr/bin/git".into(),
            argv: ["git", "push", "a b\u{1b}[2J"].map(String::from).into(),
            cut: None,
            cwd: "/work".into(),
            rule: Some("default.rules:7".into()),
            asked,
            reason: None,
            rights: None,
        }))
    }

    fn shown(filter: Filter) -> String {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(home.path());
        let mut appender = Appender::new(folder, LogLimits::default());
        let asked = Asked {
            answer: AnswerKind::Once,
            channel: Some("client".into()),
            words: Some("go".into()),
            adds: None,
            milliseconds: None,
        };
        let events = [
            decision(ActionKind::Run, None),
            decision(ActionKind::Escalate, Some(asked)),
            Event::Ended { call: "3".into(), exec: 1, end: Outcome::Exited(2) },
        ];
        let times = (0..).map(|hour| SystemTime::UNIX_EPOCH + Duration::from_secs(3600 * hour));
        appender.append(times.zip(&events)).and_then(Written::whole).expect("written");
        let mut output = Vec::new();
        show(home.path(), filter, &mut output).expect("shown");
        String::from_utf8(output).expect("UTF-8").replace(&std::process::id().to_string(), "PID")
    }

    #[test]
    fn words_say_what_happened_and_hide_nothing() {
        let shown = shown(Filter::default());
        // Without the times, which are the reader's own.
        let told: String = shown.lines().filter_map(|line| Some(line.get(19..)?.to_owned() + "\n")).collect();
        assert_eq!(
            told,
            " ~1 PID/3.1 ran inside: /usr/bin/git push 'a b\\u{1b}[2J' in /work; \
             rule default.rules:7\n\
             \x20#1 PID/3.1 ran OUTSIDE: /usr/bin/git push 'a b\\u{1b}[2J' in /work; \
             rule default.rules:7; asked: allowed once (client), \"go\"\n\
             \x20#2 PID/3.1 ended: exit code 2\n"
        );
    }

    #[test]
    fn times_are_the_readers_and_lines_are_broken_at_words() {
        let zone = chrono::FixedOffset::east_opt(5 * 3600).expect("a zone");
        assert_eq!(at_the_readers("2026-11-24T20:50:10.123Z", &zone), "2026-11-25 01:50:10");
        assert_eq!(at_the_readers("no\ttime", &zone), "no\\ttime");
        assert_eq!(broken("one two three", None), "one two three");
        assert_eq!(broken("one two three", Some(9)), "one two\n    three");
        assert_eq!(broken("漢字漢 two three-is-long", Some(10)), "漢字漢 two\n    three-is-long");
    }

    #[test]
    fn filters_leave_out_what_is_old_or_ordinary() {
        let since = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(3600));
        let recent = shown(Filter { since, ..Filter::default() });
        assert!(recent.lines().count() == 2 && recent.contains("#1"), "{recent}");
        let notable = shown(Filter { without_runs: true, ..Filter::default() });
        assert!(notable.lines().count() == 2 && !notable.contains("~1"), "{notable}");
        let json = shown(Filter { json: true, ..Filter::default() });
        assert!(json.lines().all(|line| line.starts_with("{\"n\":")) && json.lines().count() == 3, "{json}");
        assert!(json.contains(r#""event":"ended","call":"3","exec":1,"exit_code":2}"#), "{json}");
    }
}
