//! `policy profiles`: the profiles that rules can name, and what each gives.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use execpolicy::Policy;
use execpolicy::built_in;
use execpolicy::rights::WholeProfile;

use super::sources::SourceArguments;

/// Lists the profiles that rules can name, or explains one
///
/// A profile of a program's name says how that program runs where a rule says nothing of it. A profile of yours stands in for the
/// built-in one of its name, and adds to it with base = "NAME".
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0  done\n  1  rules cannot be read or are wrong, or there is no such \
    profile\n  2  the arguments are wrong"
)]
pub(super) struct ProfilesArguments {
    #[command(flatten)]
    sources: SourceArguments,

    /// The profile to explain
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

impl ProfilesArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let policy = self.sources.policy()?;
        self.sources.warn(&policy)?;
        let mut out = std::io::stdout().lock();
        match self.name {
            None => list(&policy, &mut out)?,
            Some(name) => {
                let profiles = policy.profiles_in_force();
                let profile = profiles.iter().find(|profile| profile.name.as_str() == name);
                explain(profile.with_context(|| format!("there is no profile \"{name}\""))?, &mut out)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(policy: &Policy, out: &mut impl Write) -> std::io::Result<()> {
    for profile in policy.profiles_in_force() {
        let what = profile.justification.as_deref().unwrap_or("(no justification)");
        writeln!(out, "{:<10} {:<10} {what}", profile.name.to_string(), profile.run.to_string())?;
    }
    Ok(())
}

fn explain(profile: &WholeProfile, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "profile \"{}\" at {}", profile.name, profile.origin)?;
    writeln!(out, "run: {}", profile.run)?;
    for member in profile.grants.members() {
        writeln!(out, "{member}")?;
    }
    for warning in profile.warnings.iter().cloned().chain(profile.grants.opens()) {
        writeln!(out, "warning: {warning}")?;
    }
    if profile.origin.file.starts_with(built_in::FOLDER) {
        let text = built_in::text(profile.name.as_str()).unwrap_or_default();
        writeln!(out, "\n{text}")?;
    }
    Ok(())
}
