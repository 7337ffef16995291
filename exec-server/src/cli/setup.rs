//! `setup`: prints what an administrator can install or set where a permission is missing. Changes nothing.

mod apparmor;
mod sysctl;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use shell_engine::user_command;

/// Prints what gives the sandbox the permissions that it misses: a profile, settings, options. Changes nothing
///
/// The subcommand doctor says which of them would help here.
#[derive(Debug, Args)]
pub(crate) struct SetupArguments {
    /// For what
    topic: Topic,
}

/// What there is something to print for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Topic {
    /// The AppArmor profile that lets this program make namespaces (Ubuntu 23.10 and later)
    Apparmor,
    /// The kernel's settings that forbid namespaces here, set otherwise
    Sysctl,
    /// Options of Docker and Podman
    Container,
    /// The securityContext of a pod
    Kubernetes,
}

impl SetupArguments {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let text = match self.topic {
            Topic::Apparmor => apparmor::profile(&apparmor::Installed::find()?)?,
            Topic::Sysctl => sysctl::settings(),
            Topic::Container => named(include_str!("setup/container.txt")),
            Topic::Kubernetes => named(include_str!("setup/kubernetes.yaml")),
        };
        std::io::stdout().write_all(text.as_bytes()).context("cannot print it")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Puts the command that the user has into a text.
fn named(text: &str) -> String {
    text.replace("COMMAND", user_command())
}
