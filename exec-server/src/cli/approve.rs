//! `approve`: answers the questions of the user's servers, in another terminal.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use exec_server::{Look, Remote, ScreenError, ServersAt, approve_by_script, approve_on_screen};
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

    /// A server behind HTTP instead of those of this user: the address of its page (https://shell.example.com/approve), or
    /// the one that clients use
    #[arg(long, value_name = "URL", conflicts_with = "codex_home")]
    url: Option<String>,

    /// A file with the token (scope shell:approve) for that server
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,

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
        let servers = match &self.url {
            Some(url) => ServersAt::There(Remote::new(url, token(self.token_file.as_deref())?)?),
            None => ServersAt::Here(find_codex_home(self.codex_home)?),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the asynchronous runtime")?;
        if self.json {
            runtime.block_on(approve_by_script(&servers))?;
            return Ok(Ended::Left.into());
        }
        // https://no-color.org: set and not empty.
        let colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let look = Look { animations: !self.no_animations, colors };
        match runtime.block_on(approve_on_screen(&servers, look)) {
            Ok(()) => Ok(Ended::Left.into()),
            Err(error @ ScreenError::NoTerminal) => {
                crate::say::report(&error.into());
                Ok(Ended::NoTerminal.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn token(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Some(text.trim().to_owned()))
}
