//! `policy check`: the answer for programs, as JSON.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use clap::Args;
use execpolicy::check::Report;
use execpolicy::{Command, Heuristics, Options, ProgramToken};

use super::sources::SourceArguments;

/// Prints which rules match a command, and what follows, as JSON
///
/// The program is compared as it is typed: a rule for `git` does not match /usr/bin/git, unless
/// --resolve-host-executables is given. What looks dangerous without a rule is not listed. `explain` tells
/// what the server would do.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0  the command was judged, whatever came of it\n  1  rules cannot be read, or are \
    wrong\n  2  the arguments are wrong"
)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    sources: SourceArguments,

    /// Indent the JSON
    #[arg(long)]
    pretty: bool,

    /// Find the rules of a full path by its base name too, where host_executable admits it
    #[arg(long)]
    resolve_host_executables: bool,

    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    words: Vec<OsString>,
}

impl CheckArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let policy = self.sources.policy()?;
        self.sources.warn(&policy)?;
        let command = Command::from_words(&self.words).context("no command was given")?.at(SystemTime::now());
        let program_token =
            if self.resolve_host_executables { ProgramToken::ResolvedPath } else { ProgramToken::FullPath };
        let options = Options { program_token, heuristics: Heuristics::NONE, ..Options::default() };
        let report = Report::new(&policy.evaluate(&command, &options));
        writeln!(std::io::stdout(), "{}", report.to_json(self.pretty)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
