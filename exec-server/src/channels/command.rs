//! Asks a program of the user's: the question as JSON on its standard input, the decision as JSON on its standard
//! output.
//!
//! For desktop notifications, chat bots, and tests. The program runs outside the sandbox with the user's rights, in a
//! session of its own, with a small environment. When the question is withdrawn it is ended with all of its session.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use shell_engine::approval::{Channel, OpenQuestion, Reply, ReplyFuture};
use shell_engine::shell::{Ran, Shell, UserProgram, UserProgramError};
use shell_engine::visible::visible;

use super::document::{self, NoDecision};

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

/// Why a program's answer is none.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error(transparent)]
    Run(#[from] UserProgramError),
    #[error("ended with exit code {0}")]
    Failed(i32),
    #[error("printed {0}")]
    Decision(#[from] NoDecision),
}

impl CommandChannel {
    /// Asks `program`, an absolute path, outside of every sandbox.
    pub(super) fn new(program: PathBuf, shell: Shell) -> CommandChannel {
        CommandChannel { program, shell }
    }

    async fn run(&self, open: &OpenQuestion) -> Result<Reply, NoAnswer> {
        let question = format!("{}\n", document::of(open));
        let program = UserProgram {
            program: &self.program,
            environment: environment(),
            input: question.as_bytes(),
            max_output: document::MAX_DECISION,
        };
        match self.shell.run_outside(program).await? {
            Ran { exit_code: 0, output } => Ok(document::decision(&output)?),
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
