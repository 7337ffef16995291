//! What is typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use exec_server::{AfterCall, Limits, Mode, SandboxSettings, Settings};

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

    /// The longest timeout that a call may ask for, in milliseconds; longer ones are lowered
    #[arg(long, value_name = "MS")]
    max_timeout: Option<u64>,

    /// Tokens of output (about 4 bytes each) in a result, unless the call says otherwise
    #[arg(long, value_name = "N", default_value_t = Limits::default().output_tokens)]
    max_output_tokens: u64,

    /// Commands that run at once; more wait, in order
    #[arg(long, value_name = "N", default_value_t = Limits::default().concurrent_calls)]
    max_calls: usize,

    /// What becomes of background processes when their command returns: live (until the server ends) or end
    #[arg(long, value_name = "WORD", default_value = "live")]
    background: AfterCall,
}

impl Cli {
    pub(crate) fn settings(self) -> Settings {
        let limits = Limits {
            max_timeout: self.max_timeout.map(Duration::from_millis),
            output_tokens: self.max_output_tokens,
            concurrent_calls: self.max_calls,
            after_call: self.background,
            ..Limits::default()
        };
        Settings {
            limits,
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
