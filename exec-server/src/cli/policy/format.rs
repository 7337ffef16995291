//! `policy fmt --check`: the shape of rule files.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::sources::SourceArguments;

/// Checks the shape of rule files: line ends, spaces at the ends of lines, tabs, the end of the file
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0  every file is tidy\n  1  one is not, or cannot be read\n  2  the arguments are \
    wrong"
)]
pub(super) struct FormatArguments {
    #[command(flatten)]
    sources: SourceArguments,

    /// Say what is untidy; there is nothing else that this command does
    #[arg(long, required = true)]
    check: bool,
}

impl FormatArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = std::io::stdout().lock();
        let mut code = ExitCode::SUCCESS;
        for source in self.sources.sources()? {
            if matches!(source, execpolicy::RuleSource::Requirements(_)) {
                continue;
            }
            let files = source.files().with_context(|| format!("cannot list {}", source.path().display()))?;
            for file in files {
                let text = std::fs::read_to_string(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                for untidy in execpolicy::format::check(&text) {
                    writeln!(out, "{}:{untidy}", file.display())?;
                    code = ExitCode::FAILURE;
                }
            }
        }
        Ok(code)
    }
}
