//! One principal's worker, as the front knows it: a process of his user, and the ways to it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::folders::Place;
use super::seat::Seat;
use crate::channels::Relayed;
use crate::http::principal::Identity;

/// The option by which a worker knows that it is one.
const OPTION: &str = "--tenant-worker";

/// Connections that wait until the worker accepts them.
const BACKLOG: i32 = 4096;

/// The variables that a worker has from the front. Programs of his user can read what a worker has, so that no secret may be
/// among them: not `OTEL_EXPORTER_OTLP_HEADERS`.
const VARIABLES: [&str; 13] = [
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "SHELL",
    "RUST_LOG",
    "CODEX_BASH_PATH",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_SERVICE_NAME",
    "OTEL_SDK_DISABLED",
    "SSL_CERT_FILE",
];

/// How long one may take that is asked for what it need not think about: it may have been stopped.
const PATIENCE: Duration = Duration::from_secs(2);

/// What of a request's head is passed on; all else is about the client's connection, or may be secret.
const PASSED: [&str; 7] =
    ["accept", "content-type", "last-event-id", "traceparent", "tracestate", "user-agent", "x-request-id"];

/// What of an answer's head is passed back.
const ANSWERED: [&str; 8] = [
    "allow",
    "cache-control",
    "content-disposition",
    "content-length",
    "content-type",
    "mcp-protocol-version",
    "mcp-session-id",
    "retry-after",
];

/// Bytes of one message about questions.
const MAX_MESSAGE: usize = 1 << 20;

/// One principal's worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) identity: Identity,
    /// Tells it from all others of this server, also from those before it.
    pub(super) number: u64,
    process: i32,
    socket: PathBuf,
    /// Cancelled when it may have ended: its number may be another process's.
    pub(super) ended: CancellationToken,
    /// Cancelled when it has.
    pub(super) gone: CancellationToken,
    /// Whether it is being told to end because it has nothing to do.
    pub(super) resting: AtomicBool,
}

/// A process that was started.
#[derive(Debug)]
pub(super) struct Started {
    /// `None`: it serves nobody.
    pub(super) worker: Option<Worker>,
    pub(super) child: Child,
    pub(super) link: StdUnixStream,
    /// What it says on standard error, unless it has ours.
    pub(super) said: Option<StdUnixStream>,
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum NoAnswer {
    /// It has not begun.
    #[error("the process that serves you has ended")]
    NotBegun(#[source] io::Error),
    /// It may have.
    #[error("the process that serves you has ended while it answered")]
    Broken(#[source] hyper::Error),
}

impl Worker {
    /// Starts a process for whoever `seat` is for, as the user of `place`. What it has to say comes over the connection.
    pub(super) fn start(seat: &Seat, place: &Place, (number, socket): (u64, PathBuf)) -> io::Result<Started> {
        let listener = UnixListener::bind(&socket)?;
        rustix::net::listen(&listener, BACKLOG)?;
        let (mut ours, theirs) = StdUnixStream::pair()?;
        let listener = listener.into_std()?;
        // It lies ready for whoever begins by reading it.
        seat.tell(&mut ours)?;
        ours.set_nonblocking(true)?;
        let inherited =
            VARIABLES.into_iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value)));
        // A trial says why it fails, and nobody is served by it.
        let (said, stderr) = match seat.identity {
            None => (None, Stdio::inherit()),
            Some(_) => {
                let (said, stderr) = StdUnixStream::pair()?;
                said.set_nonblocking(true)?;
                (Some(said), OwnedFd::from(stderr).into())
            }
        };
        let child = Command::new("/proc/self/exe")
            .args(std::env::args_os().skip(1))
            .arg(OPTION)
            .env_clear()
            .envs(inherited)
            .env("HOME", &place.own)
            .env("CODEX_HOME", &place.home)
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(OwnedFd::from(listener))
            .stderr(stderr)
            // A terminal's signals are the front's to pass on.
            .process_group(0)
            .gid(place.uid)
            .uid(place.uid)
            .spawn()?;
        let worker = seat.identity.clone().map(|identity| Worker {
            identity,
            number,
            process: i32::try_from(child.id()).unwrap_or_default(),
            socket,
            ended: CancellationToken::new(),
            gone: CancellationToken::new(),
            resting: AtomicBool::new(false),
        });
        Ok(Started { worker, child, link: ours, said })
    }

    /// Passes a request on, and the answer back as it comes.
    pub(super) async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Response<Body>, NoAnswer> {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut passed = Request::builder().method(head.method).uri(path);
        if let Some(headers) = passed.headers_mut() {
            let is_passed =
                |name: &HeaderName| name.as_str().starts_with("mcp-") || PASSED.contains(&name.as_str());
            headers.extend(
                head.headers
                    .into_iter()
                    .scan(None, |last, (name, value)| {
                        // A name is said once for all its values.
                        *last = name.or(last.take());
                        Some((last.clone(), value))
                    })
                    .filter_map(|(name, value)| Some((name.filter(is_passed)?, value))),
            );
            headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        }
        let passed = passed.body(body).map_err(|error| NoAnswer::NotBegun(io::Error::other(error)))?;
        let stream = UnixStream::connect(&self.socket).await.map_err(NoAnswer::NotBegun)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(NoAnswer::Broken)?;
        tokio::spawn(connection);
        let answer = sender.send_request(passed).await.map_err(NoAnswer::Broken)?;
        let (mut head, body) = answer.into_parts();
        // What it says to browsers is not its to say.
        let theirs = std::mem::take(&mut head.headers);
        head.headers.extend(ANSWERED.iter().filter_map(|name| {
            theirs.get(*name).map(|value| (HeaderName::from_static(name), value.clone()))
        }));
        head.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        head.headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
        Ok(Response::from_parts(head, Body::new(body)))
    }

    /// What it has counted, as text.
    pub(super) async fn metrics(&self) -> Option<String> {
        let asked = async {
            let request = Request::get("/metrics").body(Full::default()).ok()?;
            let answer = self.answer(request).await.ok()?;
            let text = http_body_util::Limited::new(answer.into_body(), MAX_MESSAGE).collect().await.ok()?;
            String::from_utf8(text.to_bytes().to_vec()).ok()
        };
        tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
    }

    /// Takes somebody's answer to one of its questions, and tells the status.
    pub(super) async fn answered(&self, answer: Vec<u8>) -> Option<u16> {
        let request = Request::post("/approve/answers").header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Full::from(answer)).ok()?;
        let answer = tokio::time::timeout(PATIENCE, self.answer(request)).await.ok()?;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// Tells a view what is asked, until the worker is gone or the view.
    pub(super) async fn questions(&self, view: &mpsc::Sender<Vec<u8>>) {
        let mut relayed = Relayed::new(self.number, self.identity.name.clone());
        if let Ok(request) = Request::get("/approve/events").body(Full::default())
            && let Ok(answer) = self.answer(request).await
        {
            let mut body = answer.into_body();
            let mut text = Vec::new();
            while let Some(Ok(frame)) = body.frame().await {
                let Ok(data) = frame.into_data() else { continue };
                text.extend_from_slice(&data);
                while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    let message = line.strip_prefix(b"data: ").and_then(|line| relayed.message(line));
                    if let Some(message) = message
                        && view.send(message).await.is_err()
                    {
                        return;
                    }
                }
                if text.len() > MAX_MESSAGE {
                    break;
                }
            }
        }
        for message in relayed.closed() {
            let _ = view.send(message).await;
        }
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        // It is a child that is not waited for before that is said.
        if let Some(process) = rustix::process::Pid::from_raw(self.process)
            && !self.ended.is_cancelled()
        {
            let _ = rustix::process::kill_process(process, signal);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}
