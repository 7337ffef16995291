//! Sessions that outlive their client (`--keep-sessions`). When the client is gone, the server goes on without one, for as long
//! as a session runs or can be asked for. The next client of the same user finds them by a token: its server passes requests on
//! to this one (`elsewhere`), over a socket in the runtime folder, and says the token first.

use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::offer::Offer;
use super::serve::{CLOSE_TIMEOUT, ServeError, check_output, serve, serve_until_end};
use super::server::ShellServer;
use super::session_file::SessionFile;
use super::token::{Token, WELCOME};
use super::transport::LineTransport;
use crate::sockets::{self, Kind, ServerSocket};
use crate::stand_in::KEPT;
use crate::sys::adopt_descriptor;
use crate::told_to_end::told_to_end;
use shell_engine::private::runtime_folders;
use shell_engine::shell::Shell;

/// Servers that may be connected at once.
const MOST_CLIENTS: usize = 16;

/// How long one may take to say the token, and bytes that it may take.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
const MOST_TOLD: u64 = 256;

/// How often it is looked whether something is left, and how long a server stays without a client at most.
const LOOK: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What a server needs that keeps sessions.
pub struct Keeper {
    token: Token,
    listener: std::os::unix::net::UnixListener,
    seat: ServerSocket,
    link: std::os::unix::net::UnixStream,
}

impl Keeper {
    /// Takes a socket for later clients, and the descriptor of this number by which this process is tied to the one that the
    /// client has started.
    ///
    /// # Errors
    ///
    /// When there is no private place for the socket, or no such descriptor.
    pub fn new(codex_home: &Path, link: RawFd) -> io::Result<Keeper> {
        let link = std::os::unix::net::UnixStream::from(adopt_descriptor(link)?);
        // What the client does to the processes that it has started is not done to this one.
        rustix::process::setsid()?;
        let listening = sockets::listen(Kind::Sessions, &runtime_folders(codex_home));
        let (listener, seat) = listening.map_err(io::Error::other)?;
        Ok(Keeper { token: Token::new(seat.name())?, listener, seat, link })
    }
}

/// Serves MCP like [`serve_stdio`](super::serve_stdio), and goes on when the client is gone while there are sessions.
///
/// # Errors
///
/// As for that.
pub async fn serve_keeping(
    server: ShellServer,
    session: Option<SessionFile>,
    keeper: Keeper,
) -> Result<(), ServeError> {
    check_output()?;
    let Keeper { token, listener, seat, link } = keeper;
    let shell = server.shell().clone();
    let server = server.keeping(token.clone());
    let first = server.for_another_client();
    let gone = first.client_gone().clone();
    let (told, told_too) =
        (told_to_end().map_err(ServeError::Signals)?, told_to_end().map_err(ServeError::Signals)?);
    let mut told = pin!(told);
    let link = connected(link).map_err(ServeError::Kept)?;
    let accepting = listen(listener).map_err(ServeError::Kept)?;
    let accepting = tokio::spawn(accept(accepting, server.clone(), token));
    tokio::spawn(watch(Arc::clone(&link), gone.clone()));
    let of_shell = shell.clone();
    // Commands that nobody comes back to end with the client, by themselves.
    let close = async move {
        if is_ready(told_too).await {
            of_shell.close(CLOSE_TIMEOUT).await;
        }
    };
    let served = serve_until_end(first, gone, session, close).await;
    if has_sessions(&shell) && !is_ready(told.as_mut()).await {
        let_go(&link);
        tokio::select! {
            () = &mut told => {}
            () = nothing_is_left(&shell) => {}
            () = tokio::time::sleep(LONGEST) => {}
        }
    }
    accepting.abort();
    drop(seat);
    server.client_gone().cancel();
    shell.close(CLOSE_TIMEOUT).await;
    served
}

fn connected(link: std::os::unix::net::UnixStream) -> io::Result<Arc<UnixStream>> {
    link.set_nonblocking(true)?;
    UnixStream::from_std(link).map(Arc::new)
}

fn listen(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Whether it is ready now.
async fn is_ready(future: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = future => true,
        () = std::future::ready(()) => false,
    }
}

fn has_sessions(shell: &Shell) -> bool {
    shell.sessions().list_all().iter().any(|session| !session.call().has_ended())
}

/// Completes when no session runs, nor can be asked for.
async fn nothing_is_left(shell: &Shell) {
    while !shell.sessions().list_all().is_empty() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Cancels when the process is gone that the client has started: so is the client.
async fn watch(link: Arc<UnixStream>, gone: CancellationToken) {
    let mut byte = [0];
    while link.readable().await.is_ok() {
        match link.try_read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    gone.cancel();
}

/// Lets go of all that the client has given this process.
fn let_go(link: &UnixStream) {
    if let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    // Whoever stands in ends now, and with that for the client the server.
    let _ = link.try_write(&[KEPT]);
}

async fn accept(listener: UnixListener, server: ShellServer, token: Token) {
    let room = Arc::new(Semaphore::new(MOST_CLIENTS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // One more is let go: its end of the socket says so.
                let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
                let (server, token) = (server.clone(), token.clone());
                tokio::spawn(async move {
                    attend(stream, server, token).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "nobody can ask for kept sessions");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One server of a later client, from its coming to its going.
async fn attend(stream: UnixStream, server: ShellServer, token: Token) {
    let known = sockets::same_user(&stream).and_then(|()| sockets::as_free_as_we_are(&stream));
    let (input, mut output) = stream.into_split();
    if let Err(stranger) = known {
        tracing::warn!(%stranger, "somebody was refused on the socket of kept sessions");
        return;
    }
    let mut input = BufReader::new(input);
    let mut said = Vec::new();
    let mut saying = (&mut input).take(MOST_TOLD);
    let heard = tokio::time::timeout(TOLD_WITHIN, saying.read_until(b'\n', &mut said)).await;
    if !matches!(heard, Ok(Ok(1..))) || !token.is(said.trim_ascii_end()) {
        tracing::warn!("somebody has asked for kept sessions without their token");
        return;
    }
    if output.write_all(WELCOME.as_bytes()).await.is_err() {
        return;
    }
    // What its tools are called to its own client is nothing to another server.
    let server = server.for_another_client().offering(Offer::default());
    let gone = server.client_gone().clone();
    let transport = LineTransport::new(Box::new(input), Box::new(output), gone.clone(), None);
    if let Err(error) = serve(server, transport, gone).await {
        tracing::debug!(%error, "a later client's server was let go");
    }
}
