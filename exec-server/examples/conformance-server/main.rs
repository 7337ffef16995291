//! The server that the official conformance suite of MCP is run against: ours, over HTTP on loopback, with the tools and
//! resources that the suite calls by name.
//!
//! ```text
//! cargo run --example conformance-server -- FOLDER-OF-PROGRAMS CODEX-HOME
//! ```
//!
//! The first folder holds `bash` and `execve-wrapper`, the second the rules. It prints its address on a line of its own, and
//! ends when its standard input does. How it is run: tests/conformance.
//!
//! Not for use: nobody is asked who they are, and commands run without a sandbox.

mod fixture;
mod plain;
mod tools;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use exec_server::{Config, Mode, SandboxSettings, Settings, ShellServer};
use fixture::Fixture;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

fn main() -> anyhow::Result<()> {
    exec_server::become_session_process();
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (programs, codex_home) = arguments
        .next()
        .zip(arguments.next())
        .context("usage: conformance-server FOLDER-OF-PROGRAMS CODEX-HOME")?;
    let config = Config::new(Settings {
        bash: Some(programs.join("bash")),
        execve_wrapper: Some(programs.join("execve-wrapper")),
        codex_home: Some(codex_home.clone()),
        sandbox: SandboxSettings { mode: Some(Mode::DangerFullAccess), ..SandboxSettings::default() },
        ..Settings::default()
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve(Fixture::new(ShellServer::new(config)?, codex_home)));
    runtime.shutdown_background();
    served
}

async fn serve(fixture: Fixture) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on loopback")?;
    let address = listener.local_addr()?;
    let names = [address.to_string(), format!("localhost:{}", address.port())];
    // Host names other than these, and foreign origins, are those of a page that a browser was lured to.
    let http = StreamableHttpServerConfig::default()
        .with_allowed_hosts(names.clone())
        .with_allowed_origins(names.map(|name| format!("http://{name}")))
        .enforce_origin_validation();
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(fixture.for_another_client()), sessions, http);
    let router = axum::Router::new().nest_service("/mcp", service);
    writeln!(std::io::stdout(), "http://{address}/mcp")?;
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served.context("serving broke"),
        () = input_ended() => Ok(()),
    }
}

/// Completes when whoever started this program is gone.
async fn input_ended() {
    let mut input = tokio::io::stdin();
    let mut nothing = [0; 64];
    while matches!(input.read(&mut nothing).await, Ok(read) if read > 0) {}
}
