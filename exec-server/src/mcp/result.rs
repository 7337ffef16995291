//! What a call came to, as the client gets it.

use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock};
use schemars::JsonSchema;
use serde::Serialize;

use crate::shell::{CallOutcome, Ending};

/// The result of a command that ran. A command that fails is a normal result; see `exit_code`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ShellResult {
    /// Exit code of the shell: 124 when the timeout was reached, 128 + N when signal N killed it.
    exit_code: i32,
    /// Standard output and standard error, in the order in which they were written.
    output: String,
    /// Time from the start to the end, including the time in which a person was asked for approval.
    duration: Span,
    /// The timeout was reached and the command was ended; `output` has what it printed until then.
    timed_out: bool,
    /// The part of `duration` in which a person was asked for approval; it does not count against the timeout.
    approval_wait: Span,
    /// What confined the command: the layers in force, such as `namespaces+landlock-7+seccomp`, or `none`.
    sandbox: String,
    /// What the sandbox has refused, or possibly has, when the command failed, each with the way to allow it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denials: Vec<String>,
    /// Processes that the command has left running.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    background: Vec<Background>,
    /// Rule files that are broken, and what that means for this command; absent when none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules_trouble: Option<String>,
}

/// A process that lives on in the sandbox when its call has returned.
#[derive(Debug, Serialize, JsonSchema)]
struct Background {
    /// Its number, as commands see it.
    pid: i32,
    /// Its command line, or the beginning of it.
    command: String,
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

impl From<&CallOutcome> for ShellResult {
    fn from(outcome: &CallOutcome) -> ShellResult {
        ShellResult {
            exit_code: outcome.ending.exit_code(),
            output: String::from_utf8_lossy(&outcome.output).into_owned(),
            duration: (outcome.running + outcome.waiting).into(),
            timed_out: outcome.ending == Ending::TimedOut,
            approval_wait: outcome.waiting.into(),
            sandbox: outcome.sandbox.clone(),
            denials: outcome.denials.clone(),
            background: outcome
                .background
                .iter()
                .map(|one| Background { pid: one.pid, command: one.command.clone() })
                .collect(),
            rules_trouble: outcome.rules_trouble.as_deref().map(str::to_owned),
        }
    }
}

/// Encodes an outcome: the JSON as text, for clients and models that read text, and as structured content.
pub(super) fn encode(outcome: &CallOutcome) -> Result<CallToolResult, serde_json::Error> {
    let result = ShellResult::from(outcome);
    let text = serde_json::to_string(&result)?;
    let mut encoded = CallToolResult::success(vec![ContentBlock::text(text)]);
    encoded.structured_content = Some(serde_json::to_value(&result)?);
    Ok(encoded)
}

/// The tool could not do its work; the text reaches the agent.
pub(super) fn problem(text: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text.into())])
}
