//! `policy …`: tries, explains and checks rules. Nothing is run.

mod check;
mod examples;
mod explain;
mod legacy;
mod sources;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Tries, explains and checks rules; runs nothing
#[derive(Debug, Args)]
pub(crate) struct PolicyArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Check(check::CheckArguments),
    Explain(explain::ExplainArguments),
    Test(examples::TestArguments),
    CheckLegacy(legacy::LegacyArguments),
}

impl PolicyArguments {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Check(arguments) => arguments.run(),
            Action::Explain(arguments) => arguments.run(),
            Action::Test(arguments) => arguments.run(),
            Action::CheckLegacy(arguments) => arguments.run(),
        }
    }
}
