//! `policy check-legacy`: the older `.policy` language, with the JSON and the exit codes of its own program.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use execpolicy::legacy::{Call, default_policy};
use shell_engine::read_legacy_policy;

/// Says what a legacy policy (.policy) knows about a command, as JSON
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0   the command was judged; with --require-safe: it is safe\n  1   the policy or the \
        JSON cannot be read, or is wrong\n  2   the arguments are wrong\n  12  --require-safe: it fits a description, and \
        may write files\n  13  --require-safe: it fits no description\n  14  --require-safe: it is forbidden"
)]
pub(super) struct LegacyArguments {
    /// Say by the exit code whether the command is safe
    #[arg(long)]
    require_safe: bool,

    /// The .policy file; by default a built-in one for a few programs that read and print
    #[arg(short, long, value_name = "PATH")]
    policy: Option<PathBuf>,

    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Judges a command
    Check {
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        words: Vec<OsString>,
    },
    /// Judges a command that is given as JSON
    CheckJson {
        /// {"program": "ls", "args": ["-l"]}
        #[arg(value_name = "JSON")]
        call: String,
    },
}

impl LegacyArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let policy = match &self.policy {
            Some(file) => read_legacy_policy(file)?,
            None => default_policy()?,
        };
        let outcome = policy.check(&self.what.call()?);
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&outcome)?)?;
        let code = if self.require_safe { outcome.exit_code() as u8 } else { 0 };
        Ok(ExitCode::from(code))
    }
}

impl What {
    fn call(self) -> anyhow::Result<Call> {
        match self {
            What::CheckJson { call } => serde_json::from_str(&call).context("the call is not as expected"),
            What::Check { words } => {
                let mut words = words.into_iter().map(|word| {
                    word.into_string().map_err(|word| {
                        anyhow::anyhow!("{} is not UTF-8, which no description fits", word.display())
                    })
                });
                let program = words.next().context("no command was given")??;
                Ok(Call { program, args: words.collect::<Result<_, _>>()? })
            }
        }
    }
}
