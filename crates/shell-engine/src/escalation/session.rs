//! One dialogue with one wrapper, from its request to its end.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use escalation_protocol::frame::{Kind, MAX_RESPONSE_BYTES};
use escalation_protocol::handover::Outcome;
use escalation_protocol::request::ExecRequest;
use escalation_protocol::response::Response;
use escalation_protocol::surroundings::Surroundings;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::end_of_call::EndOfCall;
use super::escalated::Escalated;
use super::exec::Exec;
use super::judge::Judge;
use super::verdict::{Action, Outside};
use super::wire::{self, WireError};
use crate::audit::{End, ExecRecord};
use crate::sandboxes::{Descriptor, Ended, Process, SandboxError, Signal, Spawn, SpawnError};

/// How long a wrapper may take for what it has at hand. Only a hostile one takes longer, to hold up others of its call.
const HURRY: Duration = Duration::from_secs(10);

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
    end: &EndOfCall,
    escalated: &Escalated,
) -> Result<(), WireError> {
    let let_out = tokio::select! {
        let_out = negotiate(attached, judge, memory, &end.ending) => let_out?,
        () = end.ended.cancelled() => return Ok(()),
    };
    let Some((program, mut stream, record)) = let_out else { return Ok(()) };
    // From here to its end the program is never out of sight.
    let program = Arc::new(program);
    escalated.add(&program);
    let outcome = attend(&program, &mut stream, end).await;
    record.ended(on_record(outcome));
    let told = within(HURRY, wire::write(&mut stream, Kind::Outcome, &outcome.encode())).await;
    drop(stream);
    // What it has left running may stay for as long as the shell runs.
    tokio::select! {
        () = program.gone() => {}
        () = end.shell_ended.cancelled() => end.end(&program).await,
        () = end.ending.cancelled() => end.end(&program).await,
    }
    told
}

/// From the request to the answer, and to the start of an escalated program.
async fn negotiate(
    attached: Attached,
    judge: &Judge,
    memory: &Semaphore,
    ending: &CancellationToken,
) -> Result<Option<(Process, UnixStream, ExecRecord)>, WireError> {
    let Attached { stream, directory, file } = attached;
    let mut stream = wire::adopt(stream)?;
    let (request, _memory) = within(HURRY, read_request(&mut stream, memory)).await?;
    let exec = Arc::new(Exec::new(&request, directory, file));
    let record = judge.record.program();
    let action = tokio::select! {
        biased;
        action = judge.decide(&exec, &record) => action,
        // Below: the question is moot, because its call is ending, or its asker is gone. The wrapper has nothing to say
        // before it is answered, so all that can be heard of it is its end.
        () = ending.cancelled() => return Ok(None),
        () = gone(&mut stream) => return Ok(None),
    };
    match action {
        Action::Run { keep_interceptor } => respond(&mut stream, Response::Run { keep_interceptor }).await?,
        Action::Deny { reason } => respond(&mut stream, Response::Deny { reason: reason.as_bytes() }).await?,
        Action::Escalate(outside) => {
            respond(&mut stream, Response::Escalate).await?;
            let inherited = within(HURRY, wire::read_handover(&mut stream)).await?;
            match escalate(judge, &exec, *outside, inherited).await {
                Ok(program) => return Ok(Some((program, stream, record))),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "an escalated program did not start"
                    );
                    let errno = error.errno().unwrap_or(libc::EINVAL).unsigned_abs();
                    let outcome = Outcome::NotStarted(errno);
                    record.ended(on_record(outcome));
                    wire::write(&mut stream, Kind::Outcome, &outcome.encode()).await?;
                }
            }
        }
    }
    Ok(None)
}

fn on_record(outcome: Outcome) -> End {
    match outcome {
        Outcome::Exited(code) => End::ExitCode(code),
        Outcome::Signaled(signal) => End::Signal(signal),
        Outcome::NotStarted(errno) => End::NotStarted(errno),
    }
}

async fn within<T>(time: Duration, step: impl Future<Output = Result<T, WireError>>) -> Result<T, WireError> {
    tokio::time::timeout(time, step).await.unwrap_or(Err(WireError::TooSlow))
}

async fn read_request<'m>(
    stream: &mut UnixStream,
    memory: &'m Semaphore,
) -> Result<(ExecRequest, tokio::sync::SemaphorePermit<'m>), WireError> {
    let header = wire::read_header(stream, Kind::Request).await?;
    let (body, held) = wire::read_body_within(stream, header, memory).await?;
    Ok((ExecRequest::decode(body)?, held))
}

async fn respond(stream: &mut UnixStream, response: Response<'_>) -> Result<(), WireError> {
    let mut buffer = [0; MAX_RESPONSE_BYTES as usize];
    within(HURRY, wire::write(stream, Kind::Response, response.encode(&mut buffer))).await
}

/// Completes when the wrapper has closed its end, or breaks the protocol by saying something before it is answered.
async fn gone(stream: &mut UnixStream) {
    let _ = stream.read(&mut [0; 1]).await;
}

/// Why an escalated program did not start.
#[derive(Debug, thiserror::Error)]
enum EscalateError {
    /// There is nothing to run it in.
    #[error("the outside cannot be entered")]
    Outside(#[from] SandboxError),
    /// Its working directory cannot be used.
    #[error("its working directory cannot be used outside the sandbox")]
    Directory(#[source] std::io::Error),
    /// It was not executed.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl EscalateError {
    fn errno(&self) -> Option<i32> {
        match self {
            EscalateError::Outside(_) => None,
            EscalateError::Directory(source) => source.raw_os_error(),
            EscalateError::Spawn(error) => error.errno(),
        }
    }
}

/// Starts a program outside the sandbox, with the wrapper's descriptors, directory and argv. The file and the environment
/// are the judgement's, not the wrapper's.
///
/// Granting a hostile asker this is what the rule or the person who allowed it wants. The descriptors are harmless to
/// us: they are handed on, never read.
async fn escalate(
    judge: &Judge,
    exec: &Exec,
    program: Outside,
    (surroundings, descriptors): (Surroundings, Vec<(u32, OwnedFd)>),
) -> Result<Process, EscalateError> {
    let descriptors = descriptors
        .into_iter()
        .filter_map(|(number, ours)| Some(Descriptor { ours, number: i32::try_from(number).ok()? }))
        .collect();
    let outside = judge.sandboxes.outside().await?;
    let spawn = Spawn {
        program: program.program.path,
        argv: exec.argv.clone(),
        env: program.env,
        directory: exec.directory_outside(&judge.sandbox).map_err(EscalateError::Directory)?,
        descriptors,
    };
    Ok(spawn.start_inheriting(&surroundings, &outside).await?)
}

/// Waits for the program, passes the wrapper's signals on, and ends the program when its wrapper or its call is gone.
async fn attend(program: &Process, stream: &mut UnixStream, end: &EndOfCall) -> Outcome {
    let ended = loop {
        tokio::select! {
            ended = program.wait() => break ended,
            signal = read_signal(stream) => match signal {
                Ok(signal) => program.signal(signal),
                Err(_) => break told_to_end(program, end).await,
            },
            () = end.ending.cancelled() => break told_to_end(program, end).await,
        }
    };
    match ended {
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

async fn told_to_end(program: &Process, end: &EndOfCall) -> std::io::Result<Ended> {
    end.end(program).await;
    program.wait().await
}
