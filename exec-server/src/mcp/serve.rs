//! Serves one client over standard input and output until it is gone, then leaves nothing behind.

use std::time::Duration;

use rmcp::service::ServerInitializeError;
use rmcp::{ServerHandler, ServiceExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::server::ShellServer;
use super::session_file::SessionFile;
use super::stdio;
use super::transport::LineTransport;
use super::unable::UnableServer;
use crate::told_to_end::told_to_end;

/// How long calls may take to end when the server does: their own grace, and a little.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_millis(1200);

/// How long answers may take to be written when the server was told to end.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_millis(500);

/// Why serving ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The signals that end the server cannot be heard.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    /// Nobody would get an answer.
    #[error(
        "standard output is closed or /dev/null, so no client would get an answer: connect it to the client (a pipe, a socket \
         or a file)"
    )]
    NoOutput,
    /// Sessions cannot be kept.
    #[error("cannot keep sessions")]
    Kept(#[source] std::io::Error),
    /// The client and we could not begin.
    #[error("the client did not begin as MCP demands")]
    Initialize(#[source] Box<ServerInitializeError>),
}

/// Serves MCP on this process's standard input and output; returns when the client closed them or a signal came. With a
/// `session`, another server can go on should this one die, and this one goes on with what another has begun.
///
/// # Errors
///
/// When the first messages are not MCP, nobody would get an answer, or signals cannot be heard.
pub async fn serve_stdio(server: ShellServer, session: Option<SessionFile>) -> Result<(), ServeError> {
    check_output()?;
    let shell = server.shell().clone();
    let client_gone = server.client_gone().clone();
    serve_until_end(server, client_gone, session, shell.close(CLOSE_TIMEOUT)).await
}

/// Says whether somebody would get answers on standard output.
///
/// # Errors
///
/// When nobody would.
pub fn check_output() -> Result<(), ServeError> {
    if stdio::leads_nowhere() { Err(ServeError::NoOutput) } else { Ok(()) }
}

/// Serves MCP like [`serve_stdio`] where no server can be made: lists the tools, and answers every call with `why`.
///
/// # Errors
///
/// As for [`serve_stdio`].
pub async fn explain_over_stdio(why: &str, session: Option<SessionFile>) -> Result<(), ServeError> {
    check_output()?;
    let server = UnableServer::new(why);
    serve_until_end(server, CancellationToken::new(), session, std::future::ready(())).await
}

/// Serves one client until it is gone or a signal comes, then waits until everything is closed.
pub(super) async fn serve_until_end(
    server: impl ServerHandler,
    client_gone: CancellationToken,
    session: Option<SessionFile>,
    close: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let told_to_end = told_to_end().map_err(ServeError::Signals)?;
    // A file that may not grow any more is an error of that write, not the server's end. Programs that it starts do not
    // inherit this.
    let _too_large =
        signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map_err(ServeError::Signals)?;
    let (input, output) = stdio::open();
    let transport = LineTransport::new(input, output, client_gone.clone(), session);
    let under_way = transport.under_way();

    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(server, transport, stop.clone()));
    let aborted = serving.abort_handle();
    let served = tokio::select! {
        served = serving => served.unwrap_or(Ok(())),
        () = told_to_end => Ok(()),
        () = client_gone.cancelled() => Ok(()),
        () = stdio::nobody_reads() => {
            tracing::warn!("the client has closed the server's output, so everything ends");
            client_gone.cancel();
            Ok(())
        }
    };
    close.await;
    // What became of their commands is told, also to clients that have only closed their end; not for long: they may
    // not be reading.
    if served.is_ok() && !aborted.is_finished() {
        let _ = tokio::time::timeout(LAST_ANSWERS_TIMEOUT, under_way.none_left()).await;
    }
    client_gone.cancel();
    stop.cancel();
    aborted.abort();
    served
}

pub(super) async fn serve(
    server: impl ServerHandler,
    transport: LineTransport,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    match server.serve_with_ct(transport, stop).await {
        Ok(running) => {
            if let Err(error) = running.waiting().await {
                tracing::error!(%error, "the protocol's loop broke");
            }
            Ok(())
        }
        // The client left before it began: nothing was asked, nothing is wrong.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
        Err(error) => Err(ServeError::Initialize(Box::new(error))),
    }
}
