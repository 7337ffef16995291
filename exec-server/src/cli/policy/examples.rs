//! `policy test`: the examples in rule files, tried.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::sources::SourceArguments;

/// Tries the examples (match, not_match) of all rules, and lists them
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0  every example is as it should be\n  1  one is not, or rules cannot be read or \
    are wrong\n  2  the arguments are wrong"
)]
pub(super) struct TestArguments {
    #[command(flatten)]
    sources: SourceArguments,
}

impl TestArguments {
    /// Examples are tried when rules are read, so all that are left are good ones.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let policy = self.sources.policy()?;
        self.sources.warn(&policy)?;
        let mut out = std::io::stdout().lock();
        for example in policy.examples() {
            let word = if example.matches { "matches" } else { "does not match" };
            writeln!(out, "ok  {}: {word} `{}`", example.origin, example.typed())?;
        }
        writeln!(
            out,
            "{} examples of {} rules are as they should be",
            policy.examples().len(),
            policy.rules().len()
        )?;
        for origin in policy.without_examples() {
            crate::say::warn(&format!("{origin}: no examples (match = […]) say what it is meant to fit"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
