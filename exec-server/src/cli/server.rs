//! The options of the server.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use exec_server::{Offer, Preset, webhook_key, webhook_url};
use shell_engine::{ApprovalSettings, ChannelKind, DoorChoice, Mode, SandboxSettings, Settings, Webhook};

use super::limits::LimitArguments;
use super::results::ResultArguments;
use super::rules::RuleArguments;

/// The options of the server.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    #[command(flatten)]
    sandbox: SandboxArguments,

    #[command(flatten)]
    rules: RuleArguments,

    #[command(flatten)]
    approvals: Approvals,

    #[command(flatten)]
    limits: LimitArguments,

    #[command(flatten)]
    results: ResultArguments,

    #[command(flatten)]
    tools: ToolArguments,

    #[command(flatten)]
    advanced: Advanced,

    /// The descriptor of a file that the launcher holds, so that another server can go on should this one die
    #[arg(long, value_name = "NUMBER", hide = true)]
    pub(crate) session_fd: Option<i32>,

    /// The descriptor that ties the server to the process in whose place it keeps sessions
    #[arg(long, value_name = "NUMBER", hide = true)]
    pub(crate) keeper_fd: Option<i32>,
}

/// What commands may do.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sandbox")]
struct SandboxArguments {
    /// A folder that commands may write, besides the workspace; can be repeated, and means workspace-write
    #[arg(long, value_name = "PATH")]
    writable_root: Vec<PathBuf>,

    /// A protected name in the workspace that commands may write all the same, as in .git/config or .vscode; programs
    /// outside obey what is in it. Can be repeated
    #[arg(long, value_name = "NAME")]
    protected: Vec<PathBuf>,

    /// Let commands use the network
    #[arg(long)]
    network: bool,

    /// A host that commands may reach by name, without the network at large: HOST, HOST:PORT, or *.HOST for all below it;
    /// can be repeated
    #[arg(long, value_name = "PATTERN")]
    allow_host: Vec<String>,

    /// Ports of commands that are reachable at the same port of this machine's own loopback, and nowhere else: PORT or
    /// FIRST-LAST; can be repeated
    #[arg(long, value_name = "PORTS")]
    publish: Vec<String>,

    /// The sandbox that commands run in: read-only, workspace-write, external-sandbox (something outside isolates
    /// already) or danger-full-access (none); by default workspace-write, or read-only when started in / or a home
    /// folder
    #[arg(long, value_name = "MODE")]
    sandbox: Option<Mode>,
}

/// Which tools there are.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Tools")]
struct ToolArguments {
    /// Offer only these tools
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    tools: Option<Vec<String>>,

    /// The names and schemas that a model was trained on: codex (exec_command, write_stdin), claude (Bash, BashOutput,
    /// KillShell), plain (shell and what reads and ends what goes on) or all (the default)
    #[arg(long, value_name = "WORD")]
    preset: Option<Preset>,
}

/// What few people need.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Advanced")]
struct Advanced {
    /// Let the sandbox state that the client sends only narrow what is allowed here, never widen it
    #[arg(long)]
    no_trust_client_sandbox: bool,

    /// How programs reach the judge: kernel (all that every process of a command executes; Linux), wrapper (what the
    /// command's own shell executes), or auto (the default: kernel in a sandbox, where there is such a door)
    #[arg(long, value_name = "DOOR")]
    door: Option<DoorChoice>,

    /// Match rules against the full path of a program only, not against its base name
    #[arg(long)]
    preserve_program_paths: bool,

    /// The execve-wrapper; by default the one beside this executable
    #[arg(long, value_name = "PATH")]
    execve: Option<PathBuf>,

    /// The patched Bash; by default $CODEX_BASH_PATH, then the one beside this executable
    #[arg(long, value_name = "PATH")]
    bash: Option<PathBuf>,
}

/// How people are asked.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Approvals")]
struct Approvals {
    /// Who is asked when a rule says "prompt", in this order: client (MCP elicitation), terminal (the subcommand
    /// approve), command (--approval-command), webhook (--approval-webhook). By default all of them
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    approvals: Option<Vec<ChannelKind>>,

    /// A program that gets each question as JSON on its standard input and prints {"decision":"once"}, or another of
    /// the question's choices; with a "reason" if it likes
    #[arg(long, value_name = "PATH")]
    approval_command: Option<PathBuf>,

    /// A server that each question is posted to as JSON (https, or http on this machine), signed as Standard Webhooks
    /// have it; it answers {"decision":"once"}, signed in the same way
    #[arg(long, value_name = "URL", requires = "approval_webhook_key", value_parser = webhook_url)]
    approval_webhook: Option<String>,

    /// The file of the key that both sign with: whsec_ and 24 to 64 random bytes as base64. No command can read it
    #[arg(long, value_name = "FILE", requires = "approval_webhook", value_parser = webhook_key)]
    approval_webhook_key: Option<PathBuf>,

    /// How many seconds an answer may take; then it is no. By default there is no limit, but for clients that have to
    /// come back with the answer (MCP 2026-07-28): 600
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    approval_timeout: Option<Duration>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 => {
            Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
        }
        Ok(_) | Err(_) => Err("a number of seconds above 0".into()),
    }
}

impl ServerArguments {
    /// Whether sessions outlive the client.
    pub(crate) fn keeps_sessions(&self) -> bool {
        self.limits.keep_sessions
    }

    /// Which tools are offered.
    ///
    /// # Errors
    ///
    /// When a name is none of a tool.
    pub(crate) fn offer(&self) -> anyhow::Result<Offer> {
        let offer = Offer { preset: self.tools.preset.unwrap_or_default(), names: self.tools.tools.clone() };
        let unknown = offer.unknown_names();
        anyhow::ensure!(unknown.is_empty(), "--tools: there is no tool {}", unknown.join(", "));
        Ok(offer)
    }

    pub(crate) fn settings(self) -> Settings {
        Settings {
            execve_wrapper: self.advanced.execve,
            bash: self.advanced.bash,
            codex_home: None,
            started_in: None,
            operator_home: None,
            server_name: None,
            preserve_program_paths: self.advanced.preserve_program_paths,
            sandbox: SandboxSettings {
                mode: self.sandbox.sandbox,
                writable_roots: self.sandbox.writable_root,
                network: self.sandbox.network,
                protected: self.sandbox.protected,
                distrust_client: self.advanced.no_trust_client_sandbox,
                apart: None,
                private: Vec::new(),
            },
            allowed_hosts: self.sandbox.allow_host,
            published: self.sandbox.publish,
            session_program: None,
            limits: self.limits.settings(),
            door: self.advanced.door,
            results: self.results.settings(),
            rules: self.rules.settings(),
            approvals: ApprovalSettings {
                channels: self.approvals.approvals,
                command: self.approvals.approval_command,
                webhook: self
                    .approvals
                    .approval_webhook
                    .zip(self.approvals.approval_webhook_key)
                    .map(|(url, key)| Webhook { url, key }),
                timeout: self.approvals.approval_timeout,
                reason: None,
            },
        }
    }
}
