//! Asks a program of the user's: the question as JSON on its standard input, the decision as JSON on its standard
//! output.
//!
//! For desktop notifications, chat bots, and tests. The program runs outside the sandbox with the user's rights, in a
//! session of its own, with a small environment. When the question is withdrawn it is ended with all of its session.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use shell_engine::approval::{Channel, Choice, OfferedRule, OpenQuestion, Reply, ReplyFuture};
use shell_engine::shell::{Ran, Shell, UserProgram, UserProgramError};
use shell_engine::visible::visible;

/// Bytes of an answer; a decision has a few hundred.
const MAX_ANSWER: usize = 64 << 10;

/// The variables that reach the program: what it needs to find its own files, the desktop and the language.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// A program of the user's that decides, or asks somebody who does.
pub(super) struct CommandChannel {
    program: PathBuf,
    shell: Shell,
}

/// What the program prints.
#[derive(Debug, Deserialize)]
struct Printed {
    decision: String,
    #[serde(default)]
    reason: Value,
}

/// Why a program's answer is none.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error(transparent)]
    Run(#[from] UserProgramError),
    #[error("ended with exit code {0}")]
    Failed(i32),
    #[error("printed no decision as JSON")]
    NoJson(#[source] serde_json::Error),
    #[error("printed a decision that there is not")]
    NoDecision,
}

impl CommandChannel {
    /// Asks `program`, an absolute path, outside of every sandbox.
    pub(super) fn new(program: PathBuf, shell: Shell) -> CommandChannel {
        CommandChannel { program, shell }
    }

    async fn run(&self, open: &OpenQuestion) -> Result<Reply, NoAnswer> {
        let question = format!("{}\n", describe(open));
        let program = UserProgram {
            program: &self.program,
            environment: environment(),
            input: question.as_bytes(),
            max_output: MAX_ANSWER,
        };
        match self.shell.run_outside(program).await? {
            Ran { exit_code: 0, output } => decode(&output),
            Ran { exit_code, .. } => Err(NoAnswer::Failed(exit_code)),
        }
    }
}

fn environment() -> Vec<OsString> {
    let entry = |name: &&str| {
        let mut entry = OsString::from(name);
        entry.push("=");
        entry.push(std::env::var_os(name)?);
        Some(entry)
    };
    PASSED_ON.iter().filter_map(entry).collect()
}

/// Understands what the program printed.
fn decode(answer: &[u8]) -> Result<Reply, NoAnswer> {
    let printed: Printed = serde_json::from_slice(answer).map_err(NoAnswer::NoJson)?;
    // A list would be taken for the fields in their order.
    if !answer.trim_ascii_start().starts_with(b"{") {
        return Err(NoAnswer::NoDecision);
    }
    let choice = Choice::from_word(&printed.decision).ok_or(NoAnswer::NoDecision)?;
    match printed.reason {
        Value::String(reason) => Ok(Reply::Decided { choice, reason: Some(reason) }),
        Value::Null => Ok(Reply::Decided { choice, reason: None }),
        // A no is one, whatever came with it.
        _ if choice == Choice::Deny => Ok(Reply::Decided { choice, reason: None }),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(NoAnswer::NoDecision),
    }
}

/// The question as the program reads it. What is not UTF-8, or would not be seen as it is, is written out in `message`
/// and `command`; `argv` has the arguments as they are, as far as they are text.
fn describe(open: &OpenQuestion) -> Value {
    let question = &open.question;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let rule = question.rule.as_ref().map(|matched| {
        json!({
            "file": matched.rule.origin.file,
            "line": matched.rule.origin.line,
            "justification": matched.rule.justification,
        })
    });
    let offered = |rule: &OfferedRule| json!({"decision": rule.choice.word(), "begins_with": rule.beginning, "rule": rule.line});
    json!({
        "version": 1,
        "id": open.id.to_string(),
        "message": question.message(),
        "command": question.command_line(),
        "program": text(question.program.as_os_str().as_encoded_bytes()),
        "arguments": question.arguments.iter().map(|argument| text(argument)).collect::<Vec<_>>(),
        "workdir": text(question.workdir.as_os_str().as_encoded_bytes()),
        "rule": rule,
        "danger": question.danger,
        "choices": open.offers.choices().into_iter().map(Choice::word).collect::<Vec<_>>(),
        "always": open.offers.always.first().map(|rule| &rule.line),
        "rules": open.offers.always.iter().map(offered).collect::<Vec<_>>(),
    })
}

impl Channel for CommandChannel {
    fn name(&self) -> &'static str {
        "command"
    }

    fn reach(&self) -> Result<(), String> {
        Ok(())
    }

    fn ask(self: Arc<Self>, open: Arc<OpenQuestion>) -> ReplyFuture {
        Box::pin(async move {
            self.run(&open).await.unwrap_or_else(|error| {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the approval command gave no answer"
                );
                let program = visible(self.program.as_os_str().as_encoded_bytes());
                Reply::Passed(format!("the approval command {program} {error}"))
            })
        })
    }
}
