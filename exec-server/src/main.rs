//! The server's program: arguments → run → exit code. Standard output is the protocol; words go to standard error.

mod cli;
mod logs;
mod say;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cli::{Cli, LogFormat, Subcommand};
use exec_server::{Keeper, Offer, SessionFile, ShellServer};
use shell_engine::{Config, Settings, Shell};

fn main() -> ExitCode {
    shell_engine::become_session_process();
    shell_engine::learn_user_command();
    let cli = Cli::of_this_process();
    logs::start(cli.log_format() == LogFormat::Json);
    exec_server::restore_signals();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            say::report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.subcommand {
        None => {
            if cli.server.keeps_sessions() && cli.server.keeper_fd.is_none() {
                return exec_server::stand_in().context("cannot start the server that keeps sessions");
            }
            // Before anything is opened that could have its number.
            let session = cli.server.session_fd.map(SessionFile::adopt).transpose();
            let session = session.context("--session-fd names no session file")?;
            let offer = cli.server.offer()?;
            let keeper = cli.server.keeper_fd;
            serve(cli.server.settings(), offer, (session, keeper))
        }
        Some(Subcommand::Approve(approve)) => approve.run(),
        Some(Subcommand::Audit(audit)) => audit.run(),
        Some(Subcommand::Caches(caches)) => caches.run(),
        Some(Subcommand::Doctor(doctor)) => doctor.run(),
        Some(Subcommand::Policy(policy)) => policy.run(),
        Some(Subcommand::Serve(serve)) => {
            let is_worker = serve.tenant_worker;
            let (settings, options) = serve.settings();
            match is_worker {
                true => until_end(exec_server::serve_tenant(settings, options))?,
                false => until_end(exec_server::serve_http(settings, options, cli::announce))?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(Subcommand::Setup(setup)) => setup.run(),
    }
}

fn serve(
    settings: Settings,
    offer: Offer,
    (session, keeper): (Option<SessionFile>, Option<i32>),
) -> anyhow::Result<ExitCode> {
    match Config::new(settings) {
        Ok(config) => {
            // Before the shell: its sandboxes keep the limit that the user started the server with.
            shell_engine::raise_descriptor_limit()?;
            let shell = Shell::new(Arc::new(config));
            shell_engine::caches::trim_in_background();
            let doubts = [shell.grant_doubts(), shell.search_path_doubts()].concat();
            for doubt in shell.rules().doubts().iter().chain(&doubts) {
                say::warn(doubt);
            }
            if let Some(doubt) = shell.config().allow_means.doubt() {
                say::warn(doubt);
            }
            if std::io::stdin().is_terminal() {
                say::say(&greeting());
            }
            let keeper = keeper.map(|link| Keeper::new(&shell.config().codex_home, link)).transpose();
            let keeper = keeper.context("cannot keep sessions")?;
            until_end(serve_calls(shell, offer, (session, keeper)))?;
            Ok(ExitCode::SUCCESS)
        }
        // Whoever has started it in a terminal reads the error. A client's user would only be told that the server
        // died.
        Err(error) if std::io::stdin().is_terminal() => Err(error.into()),
        Err(error) => {
            let why = error.without_excerpts();
            say::report(&error.into());
            until_end(exec_server::explain_over_stdio(&why, session))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn serve_calls(
    shell: Shell,
    offer: Offer,
    (session, keeper): (Option<SessionFile>, Option<Keeper>),
) -> anyhow::Result<()> {
    let approvals = exec_server::approval_chain(&shell);
    let server = ShellServer::new(shell, approvals).context("cannot get random numbers")?.offering(offer);
    match keeper {
        Some(keeper) => exec_server::serve_keeping(server, session, keeper).await?,
        None => exec_server::serve_stdio(server, session).await?,
    }
    Ok(())
}

/// Runs the server. One thread: messages are handled in the order in which they come, and start-up and memory stay
/// small.
fn until_end<E: Into<anyhow::Error>>(serving: impl Future<Output = Result<(), E>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let served = runtime.block_on(serving);
    // A thread may still be reading a terminal; it must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    served.map_err(Into::into)
}

/// For whoever types the command to see what happens.
fn greeting() -> String {
    let name = shell_engine::user_command_name();
    format!(
        "this is an MCP server: a client (your agent) starts it, and speaks to it over standard input and output.\n  \
         {name} doctor    does it work on this machine?\n  \
         {name} --help    what else there is\n\
         It waits for a client's messages on this terminal now; Ctrl-C ends it."
    )
}
