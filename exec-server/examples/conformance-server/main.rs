//! The server as the official conformance suite can test it: over HTTP on loopback, with the tools and resources that the suite
//! calls beside our own.
//!
//! What the suite finds out about the session, lists, errors, signatures, `input_required` and what is not offered is about the
//! server's own code (`ShellServer`). What it finds out about the tools in here says little more than that a tool's result
//! arrives as it was made.
//!
//! ```text
//! conformance-server FOLDER-OF-PROGRAMS      prints its address on a line of its own
//! ```

mod elicitation;
mod fixture;
mod input_required;
mod resources;
mod results;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use exec_server::{Config, Mode, SandboxSettings, Settings, ShellServer};
use rmcp::transport::streamable_http_server::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::tower::StreamableHttpService;

use fixture::Fixture;

fn main() -> anyhow::Result<()> {
    exec_server::become_session_process();
    let programs = std::env::args_os().nth(1).context("usage: conformance-server FOLDER-OF-PROGRAMS")?;
    let programs = PathBuf::from(programs);
    let config = Config::new(Settings {
        bash: Some(programs.join("bash")),
        execve_wrapper: Some(programs.join("execve-wrapper")),
        sandbox: SandboxSettings { mode: Some(Mode::DangerFullAccess), ..SandboxSettings::default() },
        ..Settings::default()
    })?;
    let fixture = Fixture::new(ShellServer::new(config)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        // Sites that a browser shows may not speak to it.
        let own = [format!("http://{address}"), format!("http://localhost:{}", address.port())];
        let http =
            StreamableHttpServerConfig::default().enforce_origin_validation().with_allowed_origins(own);
        let service = StreamableHttpService::new(
            move || Ok(fixture.for_another_client()),
            Arc::<LocalSessionManager>::default(),
            http,
        );
        let mut output = std::io::stdout();
        writeln!(output, "http://{address}/mcp")?;
        output.flush()?;
        Ok(axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await?)
    })
}
