//! What `exec_command` and `write_stdin` return: the members that Codex's tools have, in its order, then ours.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use rmcp::model::CallToolResult;
use schemars::JsonSchema;
use serde::Serialize;

use super::encoding::{self, Plain};
use super::result::{Status, Truncation, is_zero, said_once};
use super::token::Token;
use shell_engine::config::{BYTES_PER_TOKEN, ResultFormat};
use shell_engine::judgement::DecisionRecord;
use shell_engine::output::View;
use shell_engine::shell::{CallOutcome, CallProcess, Screen, Session, SessionFacts};

/// What a command has printed since the last result, and whether it goes on.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ExecResult {
    /// Names this result.
    chunk_id: String,
    /// Time that this request has waited.
    wall_time_seconds: f64,
    /// Exit code, once it has ended. With a `session_id`, that of the command in a shell that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// What `write_stdin` needs, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<u32>,
    /// Where sessions outlive the client: with this, the next one finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// About how many tokens the output had before it was cut.
    original_token_count: u64,
    /// What it has printed since the last result.
    output: String,
    /// The terminal that `output` is all of, when that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    screen: Option<ShownScreen>,
    /// The resource with the recording of its terminal (asciicast), when that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<String>,
    /// What became of the command.
    status: Status,
    /// The signal that killed the shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    /// What is not shown of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncation: Option<Truncation>,
    /// Bytes of the shown output that are not UTF-8 and are written as \xNN.
    #[serde(skip_serializing_if = "is_zero")]
    invalid_bytes: u64,
    /// What confines the command.
    sandbox: String,
    /// Programs that did not simply run in the sandbox, since the last result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    decisions: Vec<DecisionRecord>,
    /// What the sandbox has refused, or possibly has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denials: Vec<String>,
    /// Processes that live on in the background.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    background: Vec<CallProcess>,
    /// What `read_output` needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_id: Option<String>,
    /// Where commands run, in the first result only.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionFacts>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// A terminal.
#[derive(Debug, Serialize, JsonSchema)]
struct ShownScreen {
    rows: u16,
    cols: u16,
    /// Where the cursor is, `[row, column]` from 1; absent when it is hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<[u32; 2]>,
}

impl ExecResult {
    /// The result of a command whose shell goes on.
    pub(super) fn of_command(self, exit_code: i32) -> ExecResult {
        let status = if exit_code == 0 { Status::Completed } else { Status::Failed };
        ExecResult { exit_code: Some(exit_code), status, ..self }
    }

    /// Tells by what the next client finds it, if it can.
    pub(super) fn found_by(self, token: Option<&Token>) -> ExecResult {
        ExecResult { token: token.map(|token| token.as_str().to_owned()), ..self }
    }

    /// Says where commands run, and where the recording of the terminal is, if that is wanted.
    pub(super) fn saying(self, session: Option<SessionFacts>, recording: Option<String>) -> ExecResult {
        ExecResult { session, recording, ..self }
    }

    /// Shows the screen in place of what was printed.
    pub(super) fn with_screen(self, screen: Option<Screen>) -> ExecResult {
        let Some(Screen { text, size, cursor }) = screen else { return self };
        let cursor = cursor.map(|(row, column)| [u32::from(row) + 1, u32::from(column) + 1]);
        let shown = ShownScreen { rows: size.rows(), cols: size.columns(), cursor };
        ExecResult { output: text, screen: Some(shown), truncation: None, invalid_bytes: 0, ..self }
    }

    /// The result of one request. `outcome`: it has ended. `is_kept`: it was known by its number before.
    pub(super) fn new(
        session: &Session,
        outcome: Option<&CallOutcome>,
        view: View,
        waited: Duration,
        is_kept: bool,
        mut notes: Vec<String>,
    ) -> ExecResult {
        let output = session.call().output();
        let truncation = Truncation::of(&view, output);
        let all = outcome.map_or_else(|| session.call().decisions(), |outcome| outcome.decisions.clone());
        let decisions = session.take_decisions(all);
        let decisions = decisions.into_iter().map(|judged| said_once(judged, &view.text)).collect();
        let background = outcome.map(|outcome| outcome.background.clone()).unwrap_or_default();
        let is_readable = is_kept || truncation.is_some() || !background.is_empty();
        if let Some(outcome) = outcome {
            notes.extend(outcome.notes.iter().cloned());
            notes.extend(outcome.rules_trouble.as_deref().map(str::to_owned));
        }
        ExecResult {
            chunk_id: chunk_id(output.id(), view.total),
            wall_time_seconds: (waited.as_secs_f64() * 10_000.0).round() / 10_000.0,
            exit_code: outcome.map(|outcome| outcome.ending.exit_code()),
            session_id: outcome.is_none().then_some(session.number()),
            token: None,
            original_token_count: view.total.div_ceil(BYTES_PER_TOKEN),
            output: view.text,
            screen: None,
            recording: None,
            status: outcome.map_or(Status::Running, Status::of),
            signal: outcome.and_then(|outcome| outcome.ending.signal()),
            truncation,
            invalid_bytes: view.invalid,
            sandbox: session.call().sandbox().to_owned(),
            decisions,
            denials: outcome.map(|outcome| outcome.denials.clone()).unwrap_or_default(),
            background,
            output_id: is_readable.then(|| output.id().to_owned()),
            session: None,
            notes,
        }
    }

    /// Encodes it.
    pub(super) fn encode(&self, format: ResultFormat) -> CallToolResult {
        encoding::encode(self, format)
    }

    /// Whether its output can be asked for later.
    pub(super) fn is_readable(&self) -> bool {
        self.output_id.is_some()
    }
}

/// Six digits that differ from one result to the next.
fn chunk_id(output: &str, total: u64) -> String {
    format!("{:06x}", RandomState::new().hash_one((output, total)) & 0xff_ffff)
}

impl Plain for ExecResult {
    /// As Codex writes it.
    fn plain(&self) -> String {
        let mut text =
            format!("Chunk ID: {}\nWall time: {:.4} seconds\n", self.chunk_id, self.wall_time_seconds);
        if let Some(code) = self.exit_code {
            text.push_str(&format!("Process exited with code {code}\n"));
        }
        if let Some(session) = self.session_id {
            text.push_str(&format!("Process running with session ID {session}\n"));
        }
        if let Some(token) = &self.token {
            text.push_str(&format!("Token: {token}\n"));
        }
        if let Some(recording) = &self.recording {
            text.push_str(&format!("Recording: {recording}\n"));
        }
        text.push_str(&format!("Original token count: {}\n", self.original_token_count));
        let refused = self
            .decisions
            .iter()
            .filter_map(|judged| Some(format!("{}: {}", judged.program, judged.why_not_escalated.as_ref()?)));
        let more = self.truncation.iter().map(|truncation| truncation.rest.clone());
        for note in self.denials.iter().cloned().chain(refused).chain(more).chain(self.notes.iter().cloned())
        {
            text.push_str(&format!("Note: {}\n", note.replace('\n', " ")));
        }
        text.push_str(&format!("Output:\n{}", self.output));
        text
    }
}
