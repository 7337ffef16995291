//! What is typed: the server's options, or a subcommand that does something else and ends.

mod approve;
mod audit;
mod caches;
mod doctor;
mod limits;
mod policy;
mod results;
mod rules;
mod serve;
mod server;
mod setup;

use clap::{CommandFactory, FromArgMatches, Parser};
pub(crate) use serve::{LogFormat, announce};
use server::ServerArguments;
use shell_engine::user_command_name;

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
    Caches(caches::CachesArguments),
    Doctor(Box<doctor::DoctorArguments>),
    #[command(visible_alias = "execpolicy")]
    Policy(policy::PolicyArguments),
    Serve(Box<serve::ServeArguments>),
    Setup(setup::SetupArguments),
}

impl Cli {
    /// Reads this process's arguments, or says what is wrong with them and ends. Usage lines have the name that the
    /// user calls us by.
    pub(crate) fn of_this_process() -> Cli {
        let matches = command(user_command_name()).get_matches();
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// How the log is written.
    pub(crate) fn log_format(&self) -> LogFormat {
        match &self.subcommand {
            Some(Subcommand::Serve(serve)) => serve.log_format,
            _ => LogFormat::Text,
        }
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
         {name} --network --writable-root ~/.cache   what a client may start it with\n  \
         {name} serve --http 8808                 serve many clients over HTTP"
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
