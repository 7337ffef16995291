//! What a call came to, as the client gets it.

use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock};
use schemars::JsonSchema;
use serde::Serialize;

use super::shell_tool::Shown;
use super::{read_output, resources};
use crate::escalation::DecisionRecord;
use crate::shell::{BackgroundProcess, CallOutcome, Ending, Presentation, Recording, Spool, View};

/// The result of a command that ran. A command that fails is a normal result; see `status` and `exit_code`.
// The first four are the peer's, in its order: what is cut off at the end of a long text is the least needed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ShellResult {
    /// Exit code of the shell: 124 when the timeout was reached, 128 + N when signal N killed it, 130 when it was
    /// cancelled; 125 when the sandbox broke under the command, so that nobody knows how it ended.
    exit_code: i32,
    /// Standard output and standard error, in the order in which they were written.
    output: String,
    /// Time from the start to the end, including the time in which a person was asked for approval.
    duration: Span,
    /// The timeout was reached and the command was ended; `output` has what it printed until then.
    timed_out: bool,
    /// What became of the command.
    status: Status,
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
    background: Vec<BackgroundProcess>,
    /// What `read_output` needs to read the whole output.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_id: Option<String>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Rule files that are broken, and what that means for this command; absent when none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules_trouble: Option<String>,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// The exit code is 0.
    Completed,
    /// The exit code is another one, or a signal ended it.
    Failed,
    /// A rule or a person refused one of its programs, and it failed.
    Declined,
    /// The timeout was reached.
    TimedOut,
    /// It was ended because nobody wants it any more.
    Cancelled,
}

/// What is not shown of an output.
#[derive(Debug, Serialize, JsonSchema)]
struct Truncation {
    /// Bytes that were printed.
    total_bytes: u64,
    /// Bytes that are shown.
    shown_bytes: u64,
    /// Where the part that is not shown begins.
    omitted_offset: u64,
    /// How long it is.
    omitted_bytes: u64,
    /// How to read it.
    rest: String,
}

/// A length of time.
#[derive(Debug, Serialize, JsonSchema)]
struct Span {
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

impl Status {
    fn of(outcome: &CallOutcome) -> Status {
        match outcome.ending {
            Ending::TimedOut => Status::TimedOut,
            Ending::Cancelled => Status::Cancelled,
            Ending::Exited(0) => Status::Completed,
            Ending::Exited(_) if outcome.decisions.iter().any(|judged| judged.decision.is_refusal()) => {
                Status::Declined
            }
            Ending::Exited(_) | Ending::Signaled(_) | Ending::Lost => Status::Failed,
        }
    }
}

impl ShellResult {
    fn new(outcome: &CallOutcome, view: View, notes: Vec<String>) -> ShellResult {
        let recording = &outcome.output;
        let truncation = view.omitted.as_ref().map(|omitted| Truncation {
            total_bytes: view.total,
            shown_bytes: view.total.saturating_sub(omitted.end - omitted.start),
            omitted_offset: omitted.start,
            omitted_bytes: omitted.end - omitted.start,
            rest: read_output::how_to_read(recording, omitted.start),
        });
        let readable = truncation.is_some() || !outcome.background.is_empty();
        ShellResult {
            exit_code: outcome.ending.exit_code(),
            output: view.text,
            duration: (outcome.running + outcome.waiting).into(),
            timed_out: outcome.ending == Ending::TimedOut,
            status: Status::of(outcome),
            signal: outcome.ending.signal(),
            truncation,
            invalid_bytes: view.invalid,
            approval_wait: (!outcome.waiting.is_zero()).then(|| outcome.waiting.into()),
            sandbox: outcome.sandbox.clone(),
            decisions: outcome.decisions.clone(),
            denials: outcome.denials.clone(),
            background: outcome.background.clone(),
            output_id: readable.then(|| recording.id().to_owned()),
            rules_trouble: outcome.rules_trouble.as_deref().map(str::to_owned),
            notes: [outcome.notes.as_slice(), &notes].concat(),
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Encodes an outcome: the JSON as text, for clients and models that read text, and as structured content; and a link to the
/// whole output when there is more of it, which is kept in `outputs` from then on.
pub(super) async fn encode(
    outcome: &CallOutcome,
    shown: &Shown,
    outputs: &Spool,
) -> Result<CallToolResult, serde_json::Error> {
    let mut notes = shown.notes.clone();
    let view = view(&outcome.output, shown.presentation).await;
    if let Some(why) = outcome.output.no_file().filter(|_| view.omitted.is_some()) {
        notes.push(format!("only the beginning and the end of the output could be kept: {why}"));
    }
    let result = ShellResult::new(outcome, view, notes);
    let mut content = vec![ContentBlock::text(serde_json::to_string(&result)?)];
    if result.output_id.is_some() {
        outputs.keep(&outcome.output);
        content.push(ContentBlock::resource_link(resources::describe(&outcome.output)));
    }
    let mut encoded = CallToolResult::success(content);
    encoded.structured_content = Some(serde_json::to_value(&result)?);
    Ok(encoded)
}

/// The output as text; beside the runtime when it has to be read from a file.
async fn view(recording: &Recording, presentation: Presentation) -> View {
    /// What is cleaned at once.
    const SMALL_BYTES: u64 = 16 << 10;
    if recording.total() <= SMALL_BYTES {
        return recording.view(presentation);
    }
    let recording = recording.clone();
    tokio::task::spawn_blocking(move || recording.view(presentation)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "showing an output broke");
        View { text: "(the output cannot be shown; the server's log says why)\n".into(), ..View::default() }
    })
}

/// The tool could not do its work; the text reaches the agent.
pub(super) fn problem(text: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text.into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SpoolLimits;
    use crate::escalation::Decided;

    fn outcome(ending: Ending, decisions: &[Decided]) -> CallOutcome {
        let recording = Recording::of(&Spool::new(SpoolLimits::default()), b"printed\n");
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
                why_not_escalated: None,
                dropped_variables: Vec::new(),
            })
            .collect();
        outcome
    }

    fn shown(presentation: Presentation, notes: &[&str]) -> Shown {
        Shown { presentation, notes: notes.iter().map(ToString::to_string).collect() }
    }

    #[tokio::test]
    async fn the_text_begins_with_what_the_peers_clients_read() {
        let outputs = Spool::new(SpoolLimits::default());
        let outcome = outcome(Ending::Exited(3), &[]);
        let encoded = encode(&outcome, &shown(Presentation::default(), &["a note"]), &outputs).await.unwrap();
        assert_eq!(
            encoded.content[0].as_text().unwrap().text,
            "{\"exit_code\":3,\"output\":\"printed\\n\",\"duration\":{\"secs\":3,\"nanos\":500000000},\"timed_out\":false,\
             \"status\":\"failed\",\"approval_wait\":{\"secs\":2,\"nanos\":0},\"sandbox\":\"\",\"notes\":[\"a note\"]}"
        );
        assert_eq!((encoded.content.len(), encoded.is_error), (1, Some(false)));
        assert!(outputs.find(outcome.output.id()).is_none(), "nothing of it is left out");
    }

    #[tokio::test]
    async fn what_is_left_out_can_be_found() {
        let outputs = Spool::new(SpoolLimits::default());
        let outcome = outcome(Ending::Exited(0), &[]);
        let presentation = Presentation { max_bytes: 4, strip_ansi: true };
        let encoded = encode(&outcome, &shown(presentation, &[]), &outputs).await.unwrap();
        let structured = encoded.structured_content.unwrap();
        assert_eq!(structured["truncation"]["omitted_bytes"], 4);
        assert_eq!(structured["output_id"], outcome.output.id());
        let link = encoded.content[1].as_resource_link().unwrap();
        assert_eq!(link.uri, format!("shell://output/{}", outcome.output.id()));
        assert!(outputs.find(outcome.output.id()).is_some());
    }

    #[test]
    fn each_ending_has_its_status() {
        let refused = [Decided::Escalated, Decided::Declined];
        for (ending, decisions, status) in [
            (Ending::Exited(0), &[][..], Status::Completed),
            (Ending::Exited(0), &refused[..], Status::Completed),
            (Ending::Exited(1), &[], Status::Failed),
            (Ending::Exited(1), &[Decided::Escalated], Status::Failed),
            (Ending::Exited(1), &refused, Status::Declined),
            (Ending::Signaled(9), &[], Status::Failed),
            (Ending::TimedOut, &refused, Status::TimedOut),
            (Ending::Cancelled, &[], Status::Cancelled),
        ] {
            assert_eq!(Status::of(&outcome(ending, decisions)), status, "{ending:?} {decisions:?}");
        }
        assert_eq!(Ending::Signaled(9).signal().as_deref(), Some("SIGKILL"));
    }
}
