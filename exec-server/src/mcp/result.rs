//! What a call came to, as the client gets it.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock};
use sandbox::ExitStatus;
use schemars::JsonSchema;
use serde::Serialize;

use super::encoding::{self, Plain, seconds, with_status};
use super::token::Token;
use super::{read_output, resources};
use shell_engine::config::Results;
use shell_engine::judgement::DecisionRecord;
use shell_engine::output::{Presentation, Recording, Spool, View};
use shell_engine::shell::{CallOutcome, CallProcess, Ending, Session, SessionFacts};

/// The result of a command that ran. A command that fails is a normal result; see `status` and `exit_code`.
// In the order in which a reader wants them: what is cut off at the end of a long text is the least needed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ShellResult {
    /// Exit code of the shell, unless it still runs: 124 when the timeout was reached, 128 + N when signal N killed it, 130 when it was
    /// cancelled; 125 when the sandbox broke under the command, so that nobody knows how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// Standard output and standard error, in the order in which they were written.
    output: String,
    /// What became of the command.
    status: Status,
    /// The timeout was reached and the command was ended; `output` has what it printed until then.
    timed_out: bool,
    /// Time from the start to the end, including the time in which a person was asked for approval.
    duration: Span,
    /// The signal that killed the shell, such as SIGKILL.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    /// What is not shown of the output, when it did not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncation: Option<Truncation>,
    /// Bytes of the shown output that are not UTF-8 and are written as \xNN.
    #[serde(skip_serializing_if = "is_zero")]
    invalid_bytes: u64,
    /// The part of `duration` in which a person was asked for approval, when one was; it does not count against the timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_wait: Option<Span>,
    /// What confined the command: the layers in force, such as `namespaces+landlock-7+seccomp`, or `none`.
    sandbox: String,
    /// Programs that did not simply run in the sandbox: escalated, approved, or refused, and by which rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    decisions: Vec<DecisionRecord>,
    /// What the sandbox has refused, or possibly has, when the command failed, each with the way to allow it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denials: Vec<String>,
    /// Processes that live on in the background. What they print later can be read with `read_output` and `output_id`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    background: Vec<CallProcess>,
    /// What `write_stdin` needs while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<u32>,
    /// Where sessions outlive the client: with this, the next one finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// What `read_output` needs to read the whole output.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_id: Option<String>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Rule files that are broken, and what that means for this command; absent when none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules_trouble: Option<String>,
    /// Where commands run; in the first result only. The resource `shell://session` has it at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionFacts>,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It goes on.
    Running,
    /// The exit code is 0.
    Completed,
    /// The exit code is another one, or a signal ended it.
    Failed,
    /// A rule or a person refused one of its programs, and it failed; or protected files were left as they were.
    Declined,
    /// The timeout was reached.
    TimedOut,
    /// It was ended because nobody wants it any more.
    Cancelled,
}

/// What is not shown of an output.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Truncation {
    /// Bytes that were printed.
    total_bytes: u64,
    /// Bytes that are shown.
    shown_bytes: u64,
    /// Where the part that is not shown begins.
    omitted_offset: u64,
    /// How long it is.
    omitted_bytes: u64,
    /// How to read it.
    pub(super) rest: String,
}

/// A length of time.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Span {
    /// Whole seconds.
    secs: u64,
    /// The rest, in nanoseconds.
    nanos: u32,
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Span {
        Span { secs: duration.as_secs(), nanos: duration.subsec_nanos() }
    }
}

impl Truncation {
    /// What is not shown in a view of this output, if not all is.
    pub(super) fn of(view: &View, output: &Recording) -> Option<Truncation> {
        let omitted = view.omitted.as_ref()?;
        Some(Truncation {
            total_bytes: view.total,
            shown_bytes: view.total.saturating_sub(omitted.end - omitted.start),
            omitted_offset: omitted.start,
            omitted_bytes: omitted.end - omitted.start,
            rest: read_output::how_to_read(output, omitted.start),
        })
    }
}

impl Status {
    pub(super) fn of(outcome: &CallOutcome) -> Status {
        match outcome.ending {
            Ending::TimedOut => Status::TimedOut,
            Ending::Cancelled => Status::Cancelled,
            Ending::Ended(ExitStatus::Exited(_)) if !outcome.protected.is_empty() => Status::Declined,
            Ending::Ended(ExitStatus::Exited(0)) => Status::Completed,
            Ending::Ended(ExitStatus::Exited(_))
                if outcome.decisions.iter().any(|judged| judged.decision.is_refusal()) =>
            {
                Status::Declined
            }
            Ending::Ended(_) | Ending::Lost => Status::Failed,
        }
    }
}

/// The word for how a call ended, as results have it.
pub(crate) fn status_word(outcome: &CallOutcome) -> &'static str {
    match Status::of(outcome) {
        Status::Running => "running",
        Status::Completed => "completed",
        Status::Failed => "failed",
        Status::Declined => "declined",
        Status::TimedOut => "timed_out",
        Status::Cancelled => "cancelled",
    }
}

impl ShellResult {
    fn new(outcome: &CallOutcome, view: View, notes: Vec<String>) -> ShellResult {
        let recording = &outcome.output;
        let truncation = Truncation::of(&view, recording);
        let readable = truncation.is_some() || !outcome.background.is_empty();
        let decisions =
            outcome.decisions.iter().map(|judged| said_once(judged.clone(), &view.text)).collect();
        ShellResult {
            exit_code: Some(outcome.ending.exit_code()),
            output: view.text,
            status: Status::of(outcome),
            timed_out: outcome.ending == Ending::TimedOut,
            duration: (outcome.running + outcome.waiting).into(),
            signal: outcome.ending.signal(),
            truncation,
            invalid_bytes: view.invalid,
            approval_wait: (!outcome.waiting.is_zero()).then(|| outcome.waiting.into()),
            sandbox: outcome.sandbox.clone(),
            decisions,
            denials: outcome.denials.clone(),
            background: outcome.background.clone(),
            session_id: None,
            token: None,
            output_id: readable.then(|| recording.id().to_owned()),
            rules_trouble: outcome.rules_trouble.as_deref().map(str::to_owned),
            notes: [outcome.notes.as_slice(), &notes].concat(),
            session: None,
        }
    }

    /// The result of a command that goes on.
    fn running(session: &Session, view: View, notes: Vec<String>) -> ShellResult {
        let call = session.call();
        let (running, waiting) = call.times();
        let decisions = session.take_decisions(call.decisions());
        ShellResult {
            exit_code: None,
            truncation: Truncation::of(&view, call.output()),
            decisions: decisions.into_iter().map(|judged| said_once(judged, &view.text)).collect(),
            output: view.text,
            status: Status::Running,
            timed_out: false,
            duration: (running + waiting).into(),
            signal: None,
            invalid_bytes: view.invalid,
            approval_wait: None,
            sandbox: call.sandbox().to_owned(),
            denials: Vec::new(),
            background: Vec::new(),
            session_id: Some(session.number()),
            token: None,
            output_id: Some(call.output().id().to_owned()),
            rules_trouble: None,
            session: None,
            notes,
        }
    }
}

/// Encodes what a command has come to whose shell goes on.
pub(super) fn encode_command(
    session: &Session,
    (exit_code, timed_out, took): (i32, bool, Duration),
    (view, notes): (View, Vec<String>),
    token: Option<&Token>,
    results: Results,
) -> CallToolResult {
    let token = token.map(|token| token.as_str().to_owned());
    let running = ShellResult { token, ..ShellResult::running(session, view, notes) };
    let is_refused = running.decisions.iter().any(|judged| judged.decision.is_refusal());
    let status = match (exit_code, is_refused) {
        _ if timed_out => Status::TimedOut,
        (0, _) => Status::Completed,
        (_, true) => Status::Declined,
        (_, false) => Status::Failed,
    };
    let duration = took.into();
    let result = ShellResult { exit_code: Some(exit_code), status, timed_out, duration, ..running };
    encoding::encode(&result, results.format)
}

/// Encodes what a command has come to that has ended its kept shell.
pub(super) async fn encode_last(
    outcome: &CallOutcome,
    (session, took): (&Arc<Session>, Duration),
    shown: &ResultContext,
    results: Results,
) -> CallToolResult {
    let view = new_output(session, shown.presentation).await;
    let mut notes = shown.notes.clone();
    match session.was_idle() {
        Some(limit) => notes.push(idled(limit)),
        None => notes.push(format!("session {} has ended with this command", session.number())),
    }
    let decisions = session.take_decisions(outcome.decisions.clone());
    let result = ShellResult { decisions, duration: took.into(), ..ShellResult::new(outcome, view, notes) };
    encoding::encode(&result, results.format)
}

/// What a session has printed since the last result, up to this offset.
pub(super) async fn output_until(session: &Arc<Session>, end: u64, presentation: Presentation) -> View {
    if end.saturating_sub(session.taken()) <= SMALL_BYTES {
        return session.take_until(end, presentation);
    }
    let session = Arc::clone(session);
    shown(tokio::task::spawn_blocking(move || session.take_until(end, presentation)).await)
}

/// Encodes what a command that goes on has printed since the last result.
pub(super) async fn encode_running(
    session: &Arc<Session>,
    (shown, took): (&ResultContext, Duration),
    token: Option<&Token>,
    results: Results,
) -> CallToolResult {
    let token = token.map(|token| token.as_str().to_owned());
    let view = new_output(session, shown.presentation).await;
    let mut running = ShellResult::running(session, view, shown.notes.clone());
    if session.call().is_kept() {
        // Of a command, not of its shell.
        running.duration = took.into();
    }
    encoding::encode(&ShellResult { token, ..running }, results.format)
}

/// What a session has printed since the last result; beside the runtime when it has to be read from a file.
pub(super) async fn new_output(session: &Arc<Session>, presentation: Presentation) -> View {
    if session.call().output().total() - session.taken() <= SMALL_BYTES {
        return session.take_output(presentation);
    }
    let session = Arc::clone(session);
    shown(tokio::task::spawn_blocking(move || session.take_output(presentation)).await)
}

pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The record without the sentence that the output has already: what a program was refused for is printed in its stead.
pub(super) fn said_once(mut judged: DecisionRecord, output: &str) -> DecisionRecord {
    if let Some(why) = &judged.why_not_escalated
        && judged.decision.is_refusal()
        && output.contains(why.trim_end_matches('…'))
    {
        judged.why_not_escalated = None;
    }
    judged
}

/// How a call's result is to be shown.
#[derive(Clone, Debug)]
pub(super) struct ResultContext {
    /// Its output.
    pub(super) presentation: Presentation,
    /// The time that it was given.
    pub(super) timeout: Duration,
    /// What the caller should know about the arguments.
    pub(super) notes: Vec<String>,
    /// Where commands run, where that is to be said.
    pub(super) session: Option<SessionFacts>,
    /// What is on its terminal is wanted.
    pub(super) screen: bool,
    /// The recording of its terminal is wanted.
    pub(super) record: bool,
}

/// Encodes an outcome as `results` says. What it does not show whole is kept in `outputs` from then on.
pub(super) async fn encode(
    outcome: &CallOutcome,
    shown: &ResultContext,
    results: Results,
    outputs: &Spool,
) -> CallToolResult {
    let mut notes = shown.notes.clone();
    if outcome.ending == Ending::TimedOut {
        notes.push(timed_out(Some(shown.timeout)));
    }
    let view = view(&outcome.output, shown.presentation).await;
    if let Some(why) = outcome.output.no_file().filter(|_| view.omitted.is_some()) {
        notes.push(format!("only the beginning and the end of the output could be kept: {why}"));
    }
    let session = shown.session.clone();
    let result = ShellResult { session, ..ShellResult::new(outcome, view, notes) };
    let mut encoded = encoding::encode(&result, results.format);
    if result.output_id.is_some() {
        outputs.keep(&outcome.output);
        if results.links {
            encoded.content.push(ContentBlock::resource_link(resources::describe(&outcome.output)));
        }
    }
    encoded
}

/// What is said of a command that was ended at its timeout.
pub(super) fn timed_out(timeout: Option<Duration>) -> String {
    let timeout = timeout.map(|timeout| format!(" of {} ms", timeout.as_millis())).unwrap_or_default();
    format!(
        "the command was ended at its timeout{timeout}; a higher timeout_ms gives it more time, and with yield_time_ms it goes on \
            while the result returns: its output and processes are kept"
    )
}

/// What is said of a session that was ended because nobody has used it.
pub(super) fn idled(limit: Duration) -> String {
    format!("it was ended: nobody asked for it, and it printed nothing, for {}", in_words(limit))
}

/// How long one may be unused.
pub(super) fn in_words(limit: Duration) -> String {
    match limit.as_secs() {
        seconds if seconds < 120 || seconds % 60 != 0 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

impl ShellResult {
    fn exit(&self) -> String {
        format!("exit {}", self.exit_code.unwrap_or_default())
    }
}

impl Plain for ShellResult {
    /// The output; then how it ended, and what else is worth a word.
    fn plain(&self) -> String {
        let mut says = Vec::new();
        match (self.status, &self.signal) {
            (Status::Completed, _) => {}
            (Status::Running, _) => {
                let session = self.session_id.unwrap_or_default();
                says.push(format!("running with session_id {session}"));
            }
            (Status::TimedOut, _) => says.push("timed out".to_owned()),
            (Status::Cancelled, _) => says.push("cancelled".to_owned()),
            (Status::Failed | Status::Declined, Some(signal)) => says.push(format!("killed by {signal}")),
            (Status::Failed | Status::Declined, None) => says.push(self.exit()),
        }
        says.extend(self.denials.iter().cloned());
        says.extend(self.decisions.iter().filter_map(|judged| {
            let why = judged.why_not_escalated.as_ref()?;
            Some(format!("{}: {why}", judged.program))
        }));
        says.extend(self.truncation.as_ref().map(|truncation| truncation.rest.clone()));
        if let (false, Some(id)) = (self.background.is_empty(), &self.output_id) {
            let listed: Vec<String> = self.background.iter().map(ToString::to_string).collect();
            says.push(format!("in the background, with id {id}: {}", listed.join(", ")));
        }
        says.extend(self.rules_trouble.iter().chain(&self.notes).cloned());
        // No model can be shown nothing.
        if says.is_empty() && self.output.is_empty() {
            says.push(self.exit());
        }
        if !says.is_empty() {
            says.insert(1.min(says.len()), seconds(Duration::new(self.duration.secs, self.duration.nanos)));
        }
        with_status(&self.output, &says)
    }
}

/// The output as text; beside the runtime when it has to be read from a file.
async fn view(recording: &Recording, presentation: Presentation) -> View {
    if recording.total() <= SMALL_BYTES {
        return recording.view(presentation);
    }
    let recording = recording.clone();
    shown(tokio::task::spawn_blocking(move || recording.view(presentation)).await)
}

/// What is cleaned at once.
const SMALL_BYTES: u64 = 16 << 10;

fn shown(view: Result<View, tokio::task::JoinError>) -> View {
    view.unwrap_or_else(|error| {
        tracing::error!(%error, "showing an output broke");
        View { text: "(the output cannot be shown; the server's log says why)\n".into(), ..View::default() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shell_engine::config::{ResultFormat, SpoolLimits};
    use shell_engine::judgement::Decided;

    fn exited(code: u8) -> Ending {
        Ending::Ended(ExitStatus::Exited(code))
    }

    fn outcome(ending: Ending, decisions: &[Decided]) -> CallOutcome {
        let recording = Spool::new(SpoolLimits::default()).finished(b"printed\n");
        let times = (Duration::from_millis(1500), Duration::from_secs(2));
        let mut outcome = CallOutcome::new(ending, recording, times);
        outcome.decisions = decisions
            .iter()
            .map(|decision| DecisionRecord {
                program: "/usr/bin/git".into(),
                argv: vec!["git".into(), "push".into()],
                decision: *decision,
                rule: Some("default.rules:3".into()),
                justification: None,
                reason: None,
                rights: None,
                why_not_escalated: None,
                parents: Vec::new(),
                dropped_variables: Vec::new(),
            })
            .collect();
        outcome
    }

    fn shown(presentation: Presentation, notes: &[&str]) -> ResultContext {
        let notes = notes.iter().map(ToString::to_string).collect();
        ResultContext {
            presentation,
            timeout: Duration::from_secs(10),
            notes,
            session: None,
            screen: false,
            record: false,
        }
    }

    async fn encoded(outcome: &CallOutcome, shown: &ResultContext, results: Results) -> CallToolResult {
        encode(outcome, shown, results, &Spool::new(SpoolLimits::default())).await
    }

    fn text(encoded: &CallToolResult) -> &str {
        let [ContentBlock::Text(text)] = &encoded.content[..] else { panic!("one text item: {encoded:?}") };
        &text.text
    }

    const TEXT: Results = Results { format: ResultFormat::Text, links: false };

    #[tokio::test]
    async fn the_json_begins_with_what_matters_and_is_the_same_twice() {
        let outputs = Spool::new(SpoolLimits::default());
        let outcome = outcome(exited(3), &[]);
        let shown = shown(Presentation::default(), &["a note"]);
        let encoded = encode(&outcome, &shown, Results::default(), &outputs).await;
        assert_eq!(
            text(&encoded),
            "{\"exit_code\":3,\"output\":\"printed\\n\",\"status\":\"failed\",\"timed_out\":false,\
             \"duration\":{\"secs\":3,\"nanos\":500000000},\"approval_wait\":{\"secs\":2,\"nanos\":0},\"sandbox\":\"\",\
             \"notes\":[\"a note\"]}"
        );
        assert_eq!(text(&encoded), encoded.structured_content.as_ref().unwrap().to_string());
        assert_eq!(encoded.is_error, Some(false));
        assert!(outputs.find(outcome.output.id()).is_none(), "nothing of it is left out");
    }

    #[tokio::test]
    async fn what_is_left_out_can_be_found() {
        let outputs = Spool::new(SpoolLimits::default());
        let outcome = outcome(exited(0), &[]);
        let presentation = Presentation { max_bytes: 4, strip_ansi: true };
        let shown = shown(presentation, &[]);
        let plain = encode(&outcome, &shown, Results::default(), &outputs).await;
        assert_eq!(plain.content.len(), 1, "a link is added for those who ask for it only");
        let results = Results { links: true, ..Results::default() };
        let encoded = encode(&outcome, &shown, results, &outputs).await;
        let structured = encoded.structured_content.unwrap();
        assert_eq!(structured["truncation"]["omitted_bytes"], 5);
        assert_eq!(structured["output_id"], outcome.output.id());
        let link = encoded.content[1].as_resource_link().unwrap();
        assert_eq!(link.uri, format!("shell://output/{}", outcome.output.id()));
        assert!(outputs.find(outcome.output.id()).is_some());
    }

    #[tokio::test]
    async fn by_default_a_result_is_one_that_codex_does_not_cut() {
        let shown = shown(Presentation::default(), &["a note"]);
        for line in ["", "\"", "\u{1}", "1", "'\\n'", "ü"] {
            let outputs = Spool::new(SpoolLimits::default());
            let mut outcome = outcome(exited(0), &[]);
            outcome.output = outputs.finished(format!("{line}\n").repeat(60_000).as_bytes());
            let encoded = encode(&outcome, &shown, Results::default(), &outputs).await;
            let length = text(&encoded).len();
            assert!(
                (30_000..40_000).contains(&length),
                "10,000 tokens of 4 bytes: {length} bytes of {line:?}"
            );
        }
    }

    #[tokio::test]
    async fn as_text_a_result_is_the_output_and_a_line_only_where_there_is_something_to_say() {
        let all = shown(Presentation::default(), &[]);
        let fine = encoded(&outcome(exited(0), &[]), &all, TEXT).await;
        assert_eq!((text(&fine), &fine.structured_content), ("printed\n", &None));
        let mut failed = outcome(exited(1), &[]);
        failed.denials.push("possibly denied by the sandbox: writing /home/u/.cache".into());
        assert_eq!(
            text(&encoded(&failed, &all, TEXT).await),
            "printed\n[exit 1 · 3.5 s · possibly denied by the sandbox: writing /home/u/.cache]"
        );
        let noted = shown(Presentation::default(), &["a note"]);
        let noted = encoded(&outcome(Ending::Ended(ExitStatus::Signaled(9)), &[]), &noted, TEXT).await;
        assert_eq!(text(&noted), "printed\n[killed by SIGKILL · 3.5 s · a note]");
        let some = shown(Presentation { max_bytes: 4, strip_ansi: true }, &[]);
        let some = encoded(&outcome(exited(0), &[]), &some, TEXT).await;
        assert!(text(&some).contains("[call read_output with {\"id\":\""), "{some:?}");
        let mut silent = outcome(exited(0), &[]);
        silent.output = Spool::new(SpoolLimits::default()).finished(b"");
        assert_eq!(text(&encoded(&silent, &all, TEXT).await), "[exit 0 · 3.5 s]");
    }

    #[tokio::test]
    async fn a_timeout_names_the_limit_and_the_argument() {
        let all = shown(Presentation::default(), &[]);
        let encoded = encoded(&outcome(Ending::TimedOut, &[]), &all, Results::default()).await;
        assert!(text(&encoded).contains("timeout of 10000 ms; a higher timeout_ms"), "{encoded:?}");
    }

    #[tokio::test]
    async fn what_a_program_was_refused_for_is_said_once() {
        let all = shown(Presentation::default(), &[]);
        let mut refused = outcome(exited(1), &[Decided::Refused]);
        refused.decisions[0].why_not_escalated = Some("printed".into());
        let said = encoded(&refused, &all, Results::default()).await;
        assert_eq!(text(&said).matches("printed").count(), 1, "{said:?}");
        refused.decisions[0].why_not_escalated = Some("the command did not print it".into());
        let said = encoded(&refused, &all, Results::default()).await;
        assert_eq!(text(&said).matches("the command did not print it").count(), 1, "{said:?}");
    }

    #[test]
    fn each_ending_has_its_status() {
        let refused = [Decided::Escalated, Decided::Declined];
        for (ending, decisions, status) in [
            (exited(0), &[][..], Status::Completed),
            (exited(0), &refused[..], Status::Completed),
            (exited(1), &[], Status::Failed),
            (exited(1), &[Decided::Escalated], Status::Failed),
            (exited(1), &refused, Status::Declined),
            (Ending::Ended(ExitStatus::Signaled(9)), &[], Status::Failed),
            (Ending::TimedOut, &refused, Status::TimedOut),
            (Ending::Cancelled, &[], Status::Cancelled),
        ] {
            assert_eq!(Status::of(&outcome(ending, decisions)), status, "{ending:?} {decisions:?}");
        }
        assert_eq!(Ending::Ended(ExitStatus::Signaled(9)).signal().as_deref(), Some("SIGKILL"));
    }
}
