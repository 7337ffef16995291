//! One dialogue with one wrapper, from its request to its end.

use std::os::fd::OwnedFd;
use std::time::Duration;

use escalation_protocol::frame::{Kind, MAX_RESPONSE_BYTES};
use escalation_protocol::handover::Outcome;
use escalation_protocol::request::ExecRequest;
use escalation_protocol::response::Response;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::exec::Exec;
use super::judge::{Action, Judge};
use super::wire::{self, WireError};
use crate::process::{Descriptor, Directory, Ended, Process, Signal, Spawn, SpawnError};

/// How long an escalated program may take to end when it is told to.
const GRACE: Duration = Duration::from_millis(500);

/// What came with a hello.
pub(super) struct Attached {
    pub(super) stream: OwnedFd,
    pub(super) directory: Option<OwnedFd>,
    pub(super) file: Option<OwnedFd>,
}

/// Leads the dialogue. Whatever goes wrong ends it, and without an answer the wrapper runs nothing.
pub(super) async fn hold(
    attached: Attached,
    judge: &Judge,
    memory: &Semaphore,
    ended: &CancellationToken,
) -> Result<(), WireError> {
    let Attached { stream, directory, file } = attached;
    let mut stream = wire::adopt(stream)?;
    let (exec, _memory) = tokio::select! {
        () = ended.cancelled() => return Ok(()),
        request = read_request(&mut stream, memory) => {
            let (request, memory) = request?;
            (Exec::new(&request, directory, file), memory)
        }
    };
    let action = tokio::select! {
        () = ended.cancelled() => return Ok(()),
        action = judge.decide(&exec) => action,
        // The wrapper speaks next when it is answered; until then there is only its end to hear of, and then nobody
        // needs to be asked any more.
        () = gone(&stream) => return Ok(()),
    };
    match action {
        Action::Run { keep_interceptor } => respond(&mut stream, Response::Run { keep_interceptor }).await,
        Action::Deny { reason } => respond(&mut stream, Response::Deny { reason: reason.as_bytes() }).await,
        Action::Escalate => {
            respond(&mut stream, Response::Escalate).await?;
            let outcome = tokio::select! {
                () = ended.cancelled() => return Ok(()),
                descriptors = wire::read_handover(&mut stream) => escalate(exec, descriptors?),
            };
            let outcome = match outcome {
                Ok(program) => attend(program, &mut stream, ended).await,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "an escalated program did not start"
                    );
                    Outcome::NotStarted(error.errno().unwrap_or(libc::EINVAL).unsigned_abs())
                }
            };
            wire::write(&mut stream, Kind::Outcome, &outcome.encode()).await
        }
    }
}

async fn read_request<'m>(
    stream: &mut UnixStream,
    memory: &'m Semaphore,
) -> Result<(ExecRequest, tokio::sync::SemaphorePermit<'m>), WireError> {
    let header = wire::read_header(stream, Kind::Request).await?;
    let kib = header.length.div_ceil(1024);
    let memory = memory.acquire_many(kib).await.map_err(std::io::Error::other)?;
    let body = wire::read_body(stream, header).await?;
    Ok((ExecRequest::decode(body)?, memory))
}

async fn respond(stream: &mut UnixStream, response: Response<'_>) -> Result<(), WireError> {
    let mut buffer = [0; MAX_RESPONSE_BYTES as usize];
    wire::write(stream, Kind::Response, response.encode(&mut buffer)).await
}

/// Completes when the wrapper has closed its end.
async fn gone(stream: &UnixStream) {
    loop {
        match stream.ready(tokio::io::Interest::READABLE).await {
            Ok(ready) if ready.is_read_closed() => return,
            // Bytes before an answer are no part of the protocol; reading them later ends the dialogue.
            Ok(_) => std::future::pending().await,
            Err(_) => return,
        }
    }
}

/// Starts a program outside the sandbox, with the wrapper's descriptors, directory, argv and environment.
///
/// Granting a hostile asker this is what the rule or the person who allowed it wants. The descriptors are harmless to
/// us: they are handed on, never read.
fn escalate(exec: Exec, descriptors: Vec<(u32, OwnedFd)>) -> Result<Process, SpawnError> {
    let descriptors = descriptors
        .into_iter()
        .filter_map(|(number, ours)| Some(Descriptor { ours, number: i32::try_from(number).ok()? }))
        .collect();
    Spawn {
        program: exec.file,
        argv: exec.argv,
        env: exec.env,
        directory: exec.directory.map_or(Directory::Path(exec.workdir), Directory::Open),
        descriptors,
        new_session: false,
    }
    .start()
}

/// Waits for the program, passes the wrapper's signals on, and ends the program when its wrapper or its call is gone.
async fn attend(program: Process, stream: &mut UnixStream, ended: &CancellationToken) -> Outcome {
    let ending = loop {
        tokio::select! {
            ending = program.wait() => break ending,
            signal = read_signal(stream) => match signal {
                Ok(signal) => program.signal_group(signal),
                Err(_) => break terminate(&program).await,
            },
            () = ended.cancelled() => break terminate(&program).await,
        }
    };
    match ending {
        Ok(Ended::Exited(code)) => Outcome::Exited(code),
        Ok(Ended::Signaled(signal)) => Outcome::Signaled(signal),
        Err(error) => {
            tracing::error!(%error, "waiting for an escalated program failed");
            Outcome::Signaled(9)
        }
    }
}

/// Reads the next signal to be passed on. A hostile wrapper may send any of them: they reach the program that it asked
/// for, which ends with it anyway.
async fn read_signal(stream: &mut UnixStream) -> Result<Signal, WireError> {
    let mut message = [0; escalation_protocol::frame::HEADER_BYTES + 1];
    let mut filled = 0;
    while let Some(rest) = message.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest).await? {
            0 => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            length => filled += length,
        }
    }
    let [header @ .., signal] = message;
    escalation_protocol::frame::Header::decode_expecting(&header, Kind::Signal)?;
    Signal::try_from(i32::from(signal)).map_err(|errno| WireError::Io(errno.into()))
}

async fn terminate(program: &Process) -> std::io::Result<Ended> {
    program.signal_group(Signal::SIGTERM);
    program.signal_group(Signal::SIGCONT);
    match tokio::time::timeout(GRACE, program.wait()).await {
        Ok(ending) => ending,
        Err(_) => {
            program.signal_group(Signal::SIGKILL);
            program.wait().await
        }
    }
}
