//! What is typed: the server's options, or a subcommand that does something else and ends.

mod approve;
mod audit;
mod doctor;
mod limits;
mod policy;
mod results;
mod rules;
mod setup;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser};
use shell_engine::{ApprovalSettings, ChannelKind, Mode, SandboxSettings, Settings, user_command_name};

/// Runs shell commands for AI agents over MCP (standard input and output), judging every program before it is executed.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) subcommand: Option<Subcommand>,

    #[command(flatten)]
    pub(crate) server: ServerArguments,
}

/// What the program does besides serving.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    Approve(approve::ApproveArguments),
    Audit(audit::AuditArguments),
    Doctor(Box<doctor::DoctorArguments>),
    #[command(visible_alias = "execpolicy")]
    Policy(policy::PolicyArguments),
    Setup(setup::SetupArguments),
}

/// The options of the server.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    #[command(flatten)]
    sandbox: SandboxArguments,

    #[command(flatten)]
    rules: rules::RuleArguments,

    #[command(flatten)]
    approvals: Approvals,

    #[command(flatten)]
    limits: limits::LimitArguments,

    #[command(flatten)]
    results: results::ResultArguments,

    #[command(flatten)]
    advanced: Advanced,

    /// The descriptor of a file that the launcher holds, so that another server can go on should this one die
    #[arg(long, value_name = "NUMBER", hide = true)]
    pub(crate) session_fd: Option<i32>,
}

/// What commands may do.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sandbox")]
struct SandboxArguments {
    /// A folder that commands may write, besides the workspace; can be repeated, and means workspace-write
    #[arg(long, value_name = "PATH")]
    writable_root: Vec<PathBuf>,

    /// Let commands use the network
    #[arg(long)]
    network: bool,

    /// The sandbox that commands run in: read-only, workspace-write, external-sandbox (something outside isolates already) or
    /// danger-full-access (none); by default workspace-write, or read-only when started in / or a home folder
    #[arg(long, value_name = "MODE")]
    sandbox: Option<Mode>,
}

/// What few people need.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Advanced")]
struct Advanced {
    /// Let the sandbox state that the client sends only narrow what is allowed here, never widen it
    #[arg(long)]
    no_trust_client_sandbox: bool,

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
    /// Who is asked when a rule says "prompt", in this order: client (MCP elicitation), terminal (the subcommand approve),
    /// command (--approval-command). By default all of them
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    approvals: Option<Vec<ChannelKind>>,

    /// A program that gets each question as JSON on its standard input and prints {"decision":"once"}, or another of the
    /// question's choices; with a "reason" if it likes
    #[arg(long, value_name = "PATH")]
    approval_command: Option<PathBuf>,

    /// How many seconds an answer may take; then it is no. By default there is no limit, but for clients that have to come
    /// back with the answer (MCP 2026-07-28): 600
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

impl Cli {
    /// Reads this process's arguments, or says what is wrong with them and ends. Usage lines have the name that the user calls us by.
    pub(crate) fn of_this_process() -> Cli {
        let matches = command(user_command_name()).get_matches();
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

fn command(name: &'static str) -> clap::Command {
    // Written here: clap's own usage line of a mistake lists what was typed as if all of it were needed.
    let usage = format!("{name} [OPTIONS]   (started by an MCP client)\n       {name} COMMAND");
    let examples = format!(
        "Examples:\n  \
         {name} doctor                            does it work on this machine?\n  \
         {name} approve                           answer the questions of your servers in this terminal\n  \
         {name} policy explain \"git push\"         what your rules make of a command\n  \
         {name} audit show --since yesterday      what was decided\n  \
         claude mcp add shell -- {name}           register it in a client\n  \
         {name} --network --writable-root ~/.cache   what a client may start it with"
    );
    Cli::command()
        .name(name)
        .bin_name(name)
        .override_usage(usage)
        .help_template(format!(
            "{{about-with-newline}}\n{examples}\n\n{{usage-heading}} {{usage}}\n\n{{all-args}}{{after-help}}"
        ))
        .after_help(documentation())
}

/// Where more is to be read: where a release was built is where its sources are.
fn documentation() -> String {
    match (option_env!("GITHUB_SERVER_URL"), option_env!("GITHUB_REPOSITORY")) {
        (Some(host), Some(name)) => format!("Documentation: {host}/{name}#readme"),
        _ => "Documentation: README.md and docs/ of the source".into(),
    }
}

impl ServerArguments {
    pub(crate) fn settings(self) -> Settings {
        Settings {
            execve_wrapper: self.advanced.execve,
            bash: self.advanced.bash,
            codex_home: None,
            preserve_program_paths: self.advanced.preserve_program_paths,
            sandbox: SandboxSettings {
                mode: self.sandbox.sandbox,
                writable_roots: self.sandbox.writable_root,
                network: self.sandbox.network,
                distrust_client: self.advanced.no_trust_client_sandbox,
            },
            session_program: None,
            limits: self.limits.settings(),
            results: self.results.settings(),
            rules: self.rules.settings(),
            approvals: ApprovalSettings {
                channels: self.approvals.approvals,
                command: self.approvals.approval_command,
                timeout: self.approvals.approval_timeout,
                reason: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn help_has_examples_first_and_advanced_options_last() {
        let help = command("shell-tool-mcp").render_long_help().to_string();
        let places: Vec<_> = [
            "Examples:",
            "shell-tool-mcp doctor",
            "Usage: ",
            "\nSandbox:",
            "\nAdvanced:",
            "--execve",
            "Documentation: ",
        ]
        .iter()
        .map(|text| help.find(text).unwrap_or_else(|| panic!("{text} is not in\n{help}")))
        .collect();
        assert!(places.is_sorted(), "{places:?} in\n{help}");
        assert!(!help.contains("exec-server"), "{help}");
    }

    #[test]
    fn a_mistake_is_answered_without_a_list_of_what_was_typed() {
        let arguments = ["shell-tool-mcp", "--network", "--sandbox", "read-only", "--no-such-flag"];
        let error =
            command("shell-tool-mcp").try_get_matches_from(arguments).expect_err("a mistake").to_string();
        assert!(error.contains("--no-such-flag") && error.contains("--help"), "{error}");
        assert!(!error.contains("--network"), "{error}");
    }
}
