//! The tool that applies patches: its description, its arguments, its result.

use rmcp::model::{CallToolResult, JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::arguments::{ArgumentError, Arguments, wrong};
use super::encoding::{Plain, encode as encoded, with_output_schema, with_status};
use super::result::{ResultContext, Span, Status};
use super::schema::object;
use super::shell_tool::ShellArguments;
use super::workdir::WorkdirBase;
use patches::{Change, Failure, Patch, Report, program};
use shell_engine::config::{Config, ResultFormat};
use shell_engine::judgement::DecisionRecord;
use shell_engine::output::{Presentation, Recording};
use shell_engine::shell::{CallOutcome, CallRequest};

/// The tool's name.
pub(super) const NAME: &str = "apply_patch";

/// The last thing that is told of a patch that was not applied.
pub(super) const FAILED: &str = "failed";

/// The same of one that somebody has said no to.
pub(super) const DECLINED: &str = "declined";

/// Describes the tool.
pub(super) fn describe(format: ResultFormat) -> Tool {
    let description = "Changes files as a patch says, all of them or none. `*** Begin Patch`, then for each file `*** Add File: PATH` \
        with `+` lines, `*** Delete File: PATH`, or `*** Update File: PATH` (`*** Move to: PATH` renames) with hunks: `@@`, or `@@` \
        and a line above, then lines that begin with a space, `-` or `+`; then `*** End Patch`. Unified diffs work, too.";
    let schema = object(json!({
        "type": "object",
        "properties": {
            "input": {"type": "string", "description": "The patch."},
            "workdir": {"type": "string", "description": "The folder that its paths are relative to. Defaults to the workspace."}
        },
        "required": ["input"]
    }));
    let tool = Tool::new(NAME, description, schema).with_title("Apply a patch").with_annotations(
        ToolAnnotations::with_title("Apply a patch")
            .read_only(false)
            .destructive(true)
            .idempotent(false)
            .open_world(false),
    );
    with_output_schema::<PatchResult>(tool, format)
}

/// The names of all arguments; `patch` is what some models call it.
const KNOWN: &[&str] = &["input", "patch", "workdir"];

/// Reads the arguments.
pub(super) fn read(
    given: Option<&JsonObject>,
    config: &Config,
    base: &WorkdirBase,
) -> Result<ShellArguments, ArgumentError> {
    const EXAMPLE: &str = "*** Begin Patch\n*** Add File: a.txt\n+text\n*** End Patch";
    let arguments = Arguments::new(given);
    let text = match arguments.text("patch", EXAMPLE)? {
        Some(text) => text,
        None => arguments.required("input", &json!({"input": EXAMPLE}))?,
    };
    let patch = Patch::read(text.as_bytes()).map_err(|error| {
        wrong("input", format!("a patch ({error})"), &text.into(), &json!({"input": EXAMPLE}))
    })?;
    let mut notes: Vec<String> = arguments.unknown(KNOWN).into_iter().collect();
    let workdir = base.workdir(arguments.text("workdir", "/home/user/project")?);
    notes.extend(workdir.note);
    let timeout = config.limits.max_timeout.map_or(TIMEOUT, |most| TIMEOUT.min(most));
    let request = CallRequest::to_patch(text.as_bytes().to_vec(), patch, workdir.folder, timeout, config)?;
    let presentation = Presentation { max_bytes: MAX_REPORT, strip_ansi: false };
    let shown = ResultContext { presentation, timeout, notes, session: None, screen: false, record: false };
    Ok(ShellArguments { request, shown, wait: None, first: None })
}

/// The longest that applying a patch may take.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);

/// The longest report, in bytes: that of 100,000 files.
const MAX_REPORT: usize = 64 << 20;

/// Changes that are listed in a result; the others are counted.
const MOST_LISTED: usize = 500;

/// What came of a patch.
#[derive(Debug, Serialize, JsonSchema)]
struct PatchResult {
    /// What became of the patch; only `completed` has changed anything.
    status: Status,
    /// What was changed: `add`, `update`, `delete`, or `move` with the new name in `to`.
    changes: Vec<Change>,
    /// How many more files were changed than are listed.
    #[serde(skip_serializing_if = "is_zero")]
    more_changes: usize,
    /// Which hunk of which file did not fit, why, and the nearest lines that the file has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<Failure>,
    /// What else stood in the way of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Time from the start to the end, including the time in which a person was asked for approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<Span>,
    /// The part of `duration` in which a person was asked for approval, when one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_wait: Option<Span>,
    /// What confined the program that applied it.
    #[serde(skip_serializing_if = "String::is_empty")]
    sandbox: String,
    /// What was asked or refused, and by which rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    decisions: Vec<DecisionRecord>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Rule files that are broken; absent when none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules_trouble: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What is told once files are written.
pub(super) const APPLYING: &str = "applying";

/// Whether the program that applies a patch has begun to write files.
pub(super) fn has_begun(said: &Recording) -> bool {
    let length = u64::try_from(program::APPLYING.len()).unwrap_or(u64::MAX);
    let presentation = Presentation { max_bytes: MAX_REPORT, strip_ansi: false };
    said.total() >= length && said.view_between(0..length, presentation).text == program::APPLYING
}

/// What is said when the program that applies a patch was ended before it has begun to write.
const UNBEGUN: &str = "the program that applies the patch was ended while it still looked whether the patch fits; nothing was changed";

/// What is said when it was ended later, and has said nothing more.
const KILLED: &str = "the program that applies the patch was ended before it could say what it has done: some of the files may have been \
    changed; what was in them before lies beside them, under names that begin with .apply_patch-";

/// Why a call has not started.
pub(super) enum NotStarted {
    /// A file of a patch cannot be patched.
    Misled(Failure),
    /// In words.
    Because(String),
}

impl<T: Into<String>> From<T> for NotStarted {
    fn from(why: T) -> NotStarted {
        NotStarted::Because(why.into())
    }
}

/// The result of a patch that was not even started, for this reason.
pub(super) fn failed(why: NotStarted, format: ResultFormat) -> CallToolResult {
    let (failures, error) = match why {
        NotStarted::Misled(failure) => (vec![failure], None),
        NotStarted::Because(why) => (Vec::new(), Some(why)),
    };
    let is_error = error.is_some();
    let result = PatchResult {
        status: Status::Failed,
        changes: Vec::new(),
        more_changes: 0,
        failures,
        error,
        duration: None,
        approval_wait: None,
        sandbox: String::new(),
        decisions: Vec::new(),
        notes: Vec::new(),
        rules_trouble: None,
    };
    let mut result = encoded(&result, format);
    result.is_error = Some(is_error);
    result
}

/// Encodes what a patch came to, and says that in one word.
pub(super) async fn encode(
    outcome: &CallOutcome,
    shown: &ResultContext,
    format: ResultFormat,
) -> (CallToolResult, &'static str) {
    let (recording, presentation) = (outcome.output.clone(), shown.presentation);
    let view = tokio::task::spawn_blocking(move || recording.view(presentation)).await;
    let said = view.map(|view| view.text).unwrap_or_default();
    let rest = said.strip_prefix(program::APPLYING);
    let (has_begun, said) = (rest.is_some(), rest.unwrap_or(&said));
    let report = serde_json::from_str(said.trim()).unwrap_or_else(|_| Report::failed(said.trim()));
    let status = Status::of(outcome);
    let report = match status {
        Status::Completed | Status::Declined | Status::Running => report,
        // It always says what it has come to, unless it was killed.
        Status::Failed | Status::TimedOut | Status::Cancelled if !said.trim().is_empty() => report,
        Status::Failed | Status::TimedOut | Status::Cancelled if has_begun => Report::failed(KILLED),
        Status::Failed | Status::TimedOut | Status::Cancelled => Report::failed(UNBEGUN),
    };
    let Report { mut changes, failures, error } = match status {
        Status::Completed => report,
        Status::Running | Status::TimedOut | Status::Cancelled | Status::Failed | Status::Declined => {
            Report { changes: Vec::new(), ..report }
        }
    };
    let more_changes = changes.len().saturating_sub(MOST_LISTED);
    changes.truncate(MOST_LISTED);
    let result = PatchResult {
        status,
        changes,
        more_changes,
        failures,
        error: error.filter(|error| !error.is_empty()),
        duration: Some((outcome.running + outcome.waiting).into()),
        approval_wait: (!outcome.waiting.is_zero()).then(|| outcome.waiting.into()),
        sandbox: outcome.sandbox.clone(),
        decisions: outcome.decisions.clone(),
        notes: [outcome.notes.as_slice(), &shown.notes].concat(),
        rules_trouble: outcome.rules_trouble.as_deref().map(str::to_owned),
    };
    let word = match status {
        Status::Completed => "completed",
        Status::Declined => DECLINED,
        // A patch is attended to until its end.
        Status::Running | Status::Failed => FAILED,
        Status::TimedOut => "timed out",
        Status::Cancelled => "cancelled",
    };
    (encoded(&result, format), word)
}

impl Plain for PatchResult {
    /// What the program says where it is typed.
    fn plain(&self) -> String {
        let report = Report {
            changes: self.changes.clone(),
            failures: self.failures.clone(),
            error: self.error.clone(),
        };
        let mut says = Vec::new();
        if self.more_changes > 0 {
            says.push(format!("and {} more files", self.more_changes));
        }
        says.extend(self.rules_trouble.iter().chain(&self.notes).cloned());
        let text = match self.status {
            Status::Completed | Status::Running | Status::Failed => report.to_string(),
            Status::Declined => format!("declined; {report}"),
            Status::TimedOut => format!("timed out; {report}"),
            Status::Cancelled => format!("cancelled; {report}"),
        };
        with_status(&text, &says)
    }
}
