//! `policy explain`: the answer for people.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use execpolicy::{Command, DecidedBy, Decision, Options, ProgramToken};

use super::sources::SourceArguments;
use crate::cli::rules::HeuristicArguments;

/// Explains what the server would do with a command: which rule decides, where it is, and what would change the answer
///
/// The command is judged as if it were executed in this folder, with this environment.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0  the command was judged, whatever came of it\n  1  rules cannot be read, or are \
    wrong\n  2  the arguments are wrong"
)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    sources: SourceArguments,

    /// As the server's option of this name
    #[arg(long)]
    preserve_program_paths: bool,

    #[command(flatten)]
    heuristics: HeuristicArguments,

    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    words: Vec<OsString>,
}

impl ExplainArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let policy = self.sources.policy()?;
        let (program, arguments) = self.words.split_first().context("no command was given")?;
        let found = find_program(program);
        let cwd = std::env::current_dir().context("this folder is gone")?;
        let environment: Vec<_> = std::env::vars_os().collect();
        let command = Command::new(found.as_deref().map_or(program.as_os_str(), Path::as_os_str), arguments)
            .with_cwd(&cwd)
            .with_environment(&environment);
        let program_token =
            if self.preserve_program_paths { ProgramToken::FullPath } else { ProgramToken::Basename };
        let options = Options { program_token, heuristics: self.heuristics.lists(), ..Options::default() };
        let evaluation = policy.evaluate(&command, &options);
        let mut out = std::io::stdout().lock();
        write!(out, "{}", policy.explain(&command, &options))?;
        writeln!(out, "in the server: {}", effect(evaluation.decision(), evaluation.decided_by()))?;
        if found.is_none() {
            writeln!(out, "note: the program was not found, so it was judged by its name alone")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The file that a shell here would execute: as given when it has a slash, else the first of that name in `PATH`.
fn find_program(program: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return std::path::absolute(program).ok();
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|file| {
        file.is_absolute() && file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    })
}

/// What the server makes of a decision.
fn effect(decision: Decision, decided_by: DecidedBy) -> &'static str {
    match (decision, decided_by) {
        (Decision::Forbidden, _) => "it is refused",
        (Decision::Allow, DecidedBy::Rule) => {
            "it runs outside the sandbox, unasked, unless commands could have changed its file"
        }
        (Decision::Prompt, DecidedBy::Rule) => "it is asked about; with a yes it runs outside the sandbox",
        (
            Decision::Allow,
            DecidedBy::Parts | DecidedBy::Heuristic | DecidedBy::IncompleteRules | DecidedBy::Nothing,
        ) => "it runs in the sandbox, unasked",
        (
            Decision::Prompt,
            DecidedBy::Parts | DecidedBy::Heuristic | DecidedBy::IncompleteRules | DecidedBy::Nothing,
        ) => "it is asked about; with a yes it runs in the sandbox",
    }
}
