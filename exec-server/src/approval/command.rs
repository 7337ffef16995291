//! Asks a program of the user's: the question as JSON on its standard input, the decision as JSON on its standard output.
//!
//! For desktop notifications, chat bots, and tests. The program runs outside the sandbox with the user's rights, in a session
//! of its own, with a small environment and no descriptor of ours but its pipes. When the question is withdrawn it is ended
//! with all of its session.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use super::channel::{Asked, Channel, OpenQuestion, Reply};
use super::choice::{Choice, OfferedRule};
use super::visible;
use crate::sandboxes::{
    Descriptor, Directory, Ended, Process, Sandbox, SandboxError, SandboxPool, Spawn, SpawnError,
};

/// Bytes of an answer; a decision has a few hundred.
const MAX_ANSWER: usize = 64 << 10;

/// How long a program may take to end when its question is withdrawn, before it is killed.
const GRACE: Duration = Duration::from_millis(500);

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
#[derive(Debug)]
pub(crate) struct CommandChannel {
    program: PathBuf,
    sandboxes: Arc<SandboxPool>,
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
    #[error("cannot be given a pipe")]
    Pipe(#[source] io::Error),
    #[error("cannot be started")]
    Outside(#[source] SandboxError),
    #[error("did not start")]
    Start(#[source] SpawnError),
    #[error("cannot be waited for")]
    Wait(#[source] io::Error),
    #[error("ended with exit code {}", .0.code())]
    Failed(Ended),
    #[error("printed more than {MAX_ANSWER} bytes")]
    TooLong,
    #[error("printed no decision as JSON")]
    NoJson(#[source] serde_json::Error),
    #[error("printed a decision that there is not")]
    NoDecision,
}

impl CommandChannel {
    /// Asks `program`, an absolute path, outside of every sandbox.
    pub(crate) fn new(program: PathBuf, sandboxes: Arc<SandboxPool>) -> CommandChannel {
        CommandChannel { program, sandboxes }
    }

    async fn run(&self, open: &OpenQuestion) -> Result<Reply, NoAnswer> {
        let pipe = || std::io::pipe().map_err(NoAnswer::Pipe);
        let (their_input, our_output) = pipe()?;
        let (our_input, their_output) = pipe()?;
        let outside = self.sandboxes.outside().await.map_err(NoAnswer::Outside)?;
        let program =
            Running::start(&self.program, &outside, their_input.into(), their_output.into()).await?;
        let mut input = pipe::Receiver::from_owned_fd(our_input.into()).map_err(NoAnswer::Pipe)?;
        let mut output = pipe::Sender::from_owned_fd(our_output.into()).map_err(NoAnswer::Pipe)?;
        let question = format!("{}\n", describe(open));
        let write = async {
            // One that decides without reading is free to.
            let _ = output.write_all(question.as_bytes()).await;
            drop(output);
        };
        let mut answer = Vec::new();
        let dialogue = async { tokio::join!(write, read(&mut input, &mut answer)).1 };
        let process = program.process()?;
        let ended = tokio::select! {
            read = dialogue => {
                read?;
                process.wait().await
            }
            // What it has left running may keep the pipe open; it is not what was asked.
            ended = process.wait() => {
                read_what_is_there(&input, &mut answer)?;
                ended
            }
        };
        match ended.map_err(NoAnswer::Wait)? {
            Ended::Exited(0) => decode(&answer),
            ended @ (Ended::Exited(_) | Ended::Signaled(_)) => Err(NoAnswer::Failed(ended)),
        }
    }
}

/// Takes what the program prints, until it closes its output.
async fn read(input: &mut pipe::Receiver, answer: &mut Vec<u8>) -> Result<(), NoAnswer> {
    while input.read_buf(answer).await.map_err(NoAnswer::Wait)? > 0 {
        if answer.len() > MAX_ANSWER {
            return Err(NoAnswer::TooLong);
        }
    }
    Ok(())
}

/// Takes what a program that has ended printed and was not read yet. The pipe does not block.
fn read_what_is_there(input: &pipe::Receiver, answer: &mut Vec<u8>) -> Result<(), NoAnswer> {
    let mut buffer = [0; 4096];
    loop {
        match rustix::io::read(input, &mut buffer) {
            Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Ok(length) => answer.extend_from_slice(buffer.get(..length).unwrap_or_default()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(NoAnswer::Wait(errno.into())),
        }
        if answer.len() > MAX_ANSWER {
            return Err(NoAnswer::TooLong);
        }
    }
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

/// The question as the program reads it. What is not UTF-8, or would not be seen as it is, is written out in `message` and
/// `command`; `argv` has the arguments as they are, as far as they are text.
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

/// The running program. Dropped early, it ends with all of its session.
struct Running {
    process: Option<Process>,
}

impl Running {
    async fn start(
        program: &Path,
        outside: &Arc<Sandbox>,
        input: OwnedFd,
        output: OwnedFd,
    ) -> Result<Running, NoAnswer> {
        // Its complaints go where the server's go.
        let complaints = io::stderr().as_fd().try_clone_to_owned().map_err(NoAnswer::Pipe)?;
        let env = PASSED_ON.iter().filter_map(|name| {
            let mut entry = OsString::from(name);
            entry.push("=");
            entry.push(std::env::var_os(name)?);
            Some(entry)
        });
        let spawn = Spawn {
            program: program.to_owned(),
            argv: vec![program.into()],
            env: env.collect(),
            directory: Directory::Path("/".into()),
            descriptors: vec![
                Descriptor { ours: input, number: 0 },
                Descriptor { ours: output, number: 1 },
                Descriptor { ours: complaints, number: 2 },
            ],
        };
        let process = spawn.start(outside).await.map_err(NoAnswer::Start)?;
        Ok(Running { process: Some(process) })
    }

    fn process(&self) -> Result<&Process, NoAnswer> {
        self.process.as_ref().ok_or_else(|| NoAnswer::Wait(io::ErrorKind::NotFound.into()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        // Without a runtime the server is ending, and dropping the process kills it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { process.end(GRACE).await });
        }
    }
}

impl Channel for CommandChannel {
    fn name(&self) -> &'static str {
        "command"
    }

    fn reach(&self) -> Result<(), String> {
        Ok(())
    }

    fn ask(self: Arc<Self>, open: Arc<OpenQuestion>) -> Asked {
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
