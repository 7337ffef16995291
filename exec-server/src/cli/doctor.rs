//! `doctor`: whether the server works here, and if not, why.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::server::ServerArguments;

/// Says what works here and what does not: programs, rules, sandbox, and a trial command
///
/// Takes the server's own options, so that it examines what would be started. Exit code 0: commands can run as asked
/// for; 1: they cannot.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl DoctorArguments {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the asynchronous runtime")?;
        let report = runtime.block_on(exec_server::doctor::examine(self.server.settings()));
        let text = if self.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
        std::io::stdout().write_all(text.as_bytes()).context("cannot print the report")?;
        Ok(if report.usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
