//! What is typed.

use std::path::PathBuf;

use clap::Parser;
use exec_server::{Mode, Settings};

/// Runs shell commands for AI agents over MCP (standard input and output), judging every program before it is executed.
#[derive(Debug, Parser)]
#[command(name = "exec-server", version, max_term_width = 110)]
pub(crate) struct Cli {
    /// The execve-wrapper; by default the one beside this executable
    #[arg(long, value_name = "PATH")]
    execve: Option<PathBuf>,

    /// The patched Bash; by default $CODEX_BASH_PATH, then the one beside this executable
    #[arg(long, value_name = "PATH")]
    bash: Option<PathBuf>,

    /// Match rules against the full path of a program only, not against its base name
    #[arg(long)]
    preserve_program_paths: bool,

    /// The sandbox that commands run in. Without it no command runs; so far only danger-full-access (no sandbox) exists
    #[arg(long, value_name = "MODE")]
    sandbox: Option<Mode>,
}

impl Cli {
    pub(crate) fn settings(self) -> Settings {
        Settings {
            execve_wrapper: self.execve,
            bash: self.bash,
            codex_home: None,
            preserve_program_paths: self.preserve_program_paths,
            sandbox: self.sandbox,
        }
    }
}
