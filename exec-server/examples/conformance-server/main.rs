//! Our server with the tools, resources and prompts that the official MCP conformance suite calls by name, over HTTP,
//! which is all that the suite speaks. `make conformance` runs it; nothing of it is shipped.
//!
//! * `handler`: what is ours, and what the suite's names are added to.
//! * `commands`: the suite's tools that are commands of our `shell` tool: output, errors, progress, messages,
//!   approvals.
//! * `content`, `asking`: what our server does not have, so that what passes there says nothing about it.
//!
//! ```text
//! cargo run --example conformance-server -- dist/bin
//! ```
//!
//! The argument is the folder with `bash` and `execve-wrapper`. It prints its address on a line of its own, and ends
//! when standard input does.

mod asking;
mod commands;
mod content;
mod handler;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use exec_server::ShellServer;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use shell_engine::{Config, Mode, SandboxSettings, Settings, Shell};

use commands::Commands;
use handler::Fixture;

/// How long commands may take to end when the fixture does.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> anyhow::Result<()> {
    shell_engine::become_session_process();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let programs = std::env::args_os().nth(1).context("usage: conformance-server FOLDER-OF-PROGRAMS")?;
    let home = tempfile::tempdir()?;
    let config = configure(Path::new(&programs), home.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shell = Shell::new(Arc::new(config));
    let approvals = exec_server::approval_chain(&shell);
    // A channel that listens does so within the runtime.
    runtime.block_on(serve(ShellServer::new(shell, approvals)?))
}

/// The user's rules are those of the suite's commands.
fn configure(programs: &Path, home: &Path) -> anyhow::Result<Config> {
    std::fs::create_dir(home.join("rules"))?;
    std::fs::write(home.join("rules/default.rules"), commands::RULES)?;
    let settings = Settings {
        bash: Some(programs.join("bash")),
        execve_wrapper: Some(programs.join("execve-wrapper")),
        codex_home: Some(home.to_owned()),
        // The suite is about the protocol: it shall run on machines without a sandbox, too.
        sandbox: SandboxSettings { mode: Some(Mode::DangerFullAccess), ..SandboxSettings::default() },
        ..Settings::default()
    };
    Ok(Config::new(settings)?)
}

async fn serve(server: ShellServer) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let authority = listener.local_addr()?.to_string();
    let http = StreamableHttpServerConfig::default()
        .with_allowed_hosts([authority.clone()])
        .with_allowed_origins([format!("http://{authority}")])
        .enforce_origin_validation();
    let shell = server.shell().clone();
    let sessions = Arc::new(LocalSessionManager::default());
    let commands = Arc::new(Commands::load()?);
    let fixture = move || Ok(Fixture::new(server.for_another_client(), Arc::clone(&commands)));
    let service = StreamableHttpService::new(fixture, sessions, http);
    // The `shell` tool is there, too: other users of this machine must not find it.
    let path = format!("/{}", secret()?);
    let router = axum::Router::new().nest_service(&path, service);
    writeln!(std::io::stdout(), "http://{authority}{path}")?;
    tokio::select! {
        served = axum::serve(listener, router) => served?,
        ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())) => {
            ended??;
        }
    }
    shell.close(CLOSE_TIMEOUT).await;
    Ok(())
}

fn secret() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
