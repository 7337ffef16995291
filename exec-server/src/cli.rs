//! What is typed: the server's options, or a subcommand that does something else and ends.

mod audit;
mod policy;
mod rules;

use std::path::PathBuf;

use clap::{Args, Parser};
use exec_server::{Mode, Settings};

/// Runs shell commands for AI agents over MCP (standard input and output), judging every program before it is executed.
#[derive(Debug, Parser)]
#[command(name = "exec-server", version, max_term_width = 110, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) subcommand: Option<Subcommand>,

    #[command(flatten)]
    pub(crate) server: ServerArguments,
}

/// What the program does besides serving.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    Audit(audit::AuditArguments),
    #[command(visible_alias = "execpolicy")]
    Policy(policy::PolicyArguments),
}

/// The options of the server.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// The execve-wrapper; by default the one beside this executable
    #[arg(long, value_name = "PATH")]
    execve: Option<PathBuf>,

    /// The patched Bash; by default $CODEX_BASH_PATH, then the one beside this executable
    #[arg(long, value_name = "PATH")]
    bash: Option<PathBuf>,

    /// Match rules against the full path of a program only, not against its base name
    #[arg(long)]
    preserve_program_paths: bool,

    #[command(flatten)]
    rules: rules::RuleArguments,

    /// The sandbox that commands run in. Without it no command runs; so far only danger-full-access (no sandbox) exists
    #[arg(long, value_name = "MODE")]
    sandbox: Option<Mode>,
}

impl ServerArguments {
    pub(crate) fn settings(self) -> Settings {
        Settings {
            execve_wrapper: self.execve,
            bash: self.bash,
            codex_home: None,
            preserve_program_paths: self.preserve_program_paths,
            rules: self.rules.settings(),
            sandbox: self.sandbox,
        }
    }
}
