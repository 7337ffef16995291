//! What is typed.

use std::path::PathBuf;

use clap::Parser;
use exec_server::{Mode, SandboxSettings, Settings};

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

    /// The sandbox that commands run in: read-only, workspace-write, external-sandbox (something outside isolates already) or
    /// danger-full-access (none); by default workspace-write, or read-only when started in / or a home folder
    #[arg(long, value_name = "MODE")]
    sandbox: Option<Mode>,

    /// A folder that commands may write, besides the workspace; can be repeated, and means workspace-write
    #[arg(long, value_name = "PATH")]
    writable_root: Vec<PathBuf>,

    /// Let commands use the network
    #[arg(long)]
    network: bool,

    /// Let the sandbox state that the client sends only narrow what is allowed here, never widen it
    #[arg(long)]
    no_trust_client_sandbox: bool,
}

impl Cli {
    pub(crate) fn settings(self) -> Settings {
        Settings {
            execve_wrapper: self.execve,
            bash: self.bash,
            codex_home: None,
            preserve_program_paths: self.preserve_program_paths,
            sandbox: SandboxSettings {
                mode: self.sandbox,
                writable_roots: self.writable_root,
                network: self.network,
                distrust_client: self.no_trust_client_sandbox,
            },
            session_program: None,
        }
    }
}
