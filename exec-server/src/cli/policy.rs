//! `policy …`: tries, explains and checks rules. Nothing is run.

mod check;
mod examples;
mod explain;
mod learn;
mod legacy;
mod profiles;
mod replay;
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
    Profiles(profiles::ProfilesArguments),
    Learn(learn::LearnArguments),
    Replay(replay::ReplayArguments),
    Test(examples::TestArguments),
    CheckLegacy(legacy::LegacyArguments),
}

impl PolicyArguments {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Check(arguments) => arguments.run(),
            Action::Explain(arguments) => arguments.run(),
            Action::Profiles(arguments) => arguments.run(),
            Action::Learn(arguments) => arguments.run(),
            Action::Replay(arguments) => arguments.run(),
            Action::Test(arguments) => arguments.run(),
            Action::CheckLegacy(arguments) => arguments.run(),
        }
    }
}
