//! `caches …`: what commands have put into build tools' caches.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use shell_engine::caches::{self, Kept};

/// Lists or throws away what commands have put into build tools' caches, which the user's own never see
#[derive(Debug, Args)]
pub(crate) struct CachesArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Action {
    /// Lists them, one per workspace, with their sizes
    List,
    /// Throws away those that no running server uses
    Clear,
}

impl CachesArguments {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let store = caches::folder().context("there is no home folder, so there are no caches")?;
        let cannot = || format!("cannot go through {}", store.display());
        let (kept, gone) = match self.action {
            Action::List => (caches::list(&store).with_context(cannot)?, false),
            Action::Clear => (caches::clear(&store).with_context(cannot)?, true),
        };
        let text = match kept.is_empty() {
            true => format!("{} holds no caches\n", store.display()),
            false => kept.iter().map(|kept| line(kept, gone)).collect(),
        };
        std::io::stdout().write_all(text.as_bytes()).context("cannot print it")?;
        Ok(ExitCode::SUCCESS)
    }
}

fn line(kept: &Kept, gone: bool) -> String {
    let Kept { folder, size, in_use } = kept;
    let state = match (in_use, gone) {
        (true, true) => "  kept: a server uses it",
        (true, false) => "  in use",
        (false, true) => "  thrown away",
        (false, false) => "",
    };
    format!("{:>8.1} MB  {}{state}\n", *size as f64 / 1e6, folder.display())
}
