//! `approve`: answers the questions of the user's servers, in another terminal.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use exec_server::{Look, ScreenError, approve_by_script, approve_on_screen};
use shell_engine::find_codex_home;

/// Shows what the servers of this user ask, and takes the answers. Exit codes: 0 left, 1 failed, 3 not a terminal
#[derive(Debug, Args)]
pub(crate) struct ApproveArguments {
    /// For scripts: writes questions to standard output and reads answers from standard input, one JSON object a line
    #[arg(long)]
    json: bool,

    /// Nothing moves by itself: no turning sign, no counting clock
    #[arg(long)]
    no_animations: bool,

    /// Without $XDG_RUNTIME_DIR, servers are looked for below this folder; by default $CODEX_HOME, then ~/.codex
    #[arg(long, value_name = "FOLDER")]
    codex_home: Option<PathBuf>,
}

/// What it came to.
enum Ended {
    Left = 0,
    NoTerminal = 3,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> ExitCode {
        ExitCode::from(ended as u8)
    }
}

impl ApproveArguments {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let codex_home = find_codex_home(self.codex_home)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the asynchronous runtime")?;
        if self.json {
            runtime.block_on(approve_by_script(&codex_home))?;
            return Ok(Ended::Left.into());
        }
        // https://no-color.org: set and not empty.
        let colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let look = Look { animations: !self.no_animations, colors };
        match runtime.block_on(approve_on_screen(&codex_home, look)) {
            Ok(()) => Ok(Ended::Left.into()),
            Err(error @ ScreenError::NoTerminal) => {
                crate::say::report(&error.into());
                Ok(Ended::NoTerminal.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
