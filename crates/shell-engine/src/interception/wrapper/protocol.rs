//! One connection with one wrapper, from its request to its end.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use escalation_protocol::frame::{Kind, MAX_RESPONSE_BYTES};
use escalation_protocol::handover::Outcome;
use escalation_protocol::request::ExecRequest;
use escalation_protocol::response::Response;
use sandbox::ExitStatus;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::wire::{self, WireError};
use crate::audit::ExecRecord;
use crate::interception::Refused;
use crate::interception::again::Again;
use crate::interception::call::InterceptedCall;
use crate::interception::outside::{self, EscalateError};
use crate::interception::shutdown::Shutdown;
use crate::judgement::{Action, Exec};
use crate::sandboxes::{Process, Signal};

/// How long a wrapper may take for what it has at hand. Only a hostile one takes longer, to hold up others of its call.
const WRAPPER_TIMEOUT: Duration = Duration::from_secs(10);

/// Characters of a reason that is not a judgement's.
const MOST_OF_REASON: usize = 500;

/// Bytes that a string of a request takes while it is judged, beside those of its text.
const BYTES_PER_STRING: usize = 128;

/// What came with a hello.
pub(crate) struct Attached {
    pub(super) stream: OwnedFd,
    pub(super) directory: Option<OwnedFd>,
    pub(super) file: Option<OwnedFd>,
    pub(super) has_input: bool,
}

/// A wrapper that waits for an answer.
pub(in crate::interception) struct Asker {
    pub(in crate::interception) stream: UnixStream,
    pub(in crate::interception) exec: Arc<Exec>,
    /// What a wrapper becomes that does not know it, and who hears of it before that.
    pub(in crate::interception) becomes: Option<Becomes>,
}

/// The path of a program that a wrapper becomes, and what is done before it is told to.
pub(in crate::interception) struct Becomes {
    pub(in crate::interception) file: Vec<u8>,
    pub(in crate::interception) announce: Box<dyn FnOnce() + Send>,
}

/// Serves the connection. Whatever goes wrong ends it, and without an answer the wrapper runs nothing.
pub(super) async fn hold(
    attached: Attached,
    call: &InterceptedCall,
    memory: &Semaphore,
) -> Result<(), WireError> {
    let asking = async {
        let (asker, _memory) = hear(attached, memory).await?;
        answer(asker, call).await
    };
    lead(asking, call).await
}

/// Serves the connection of a wrapper whose request is known.
pub(in crate::interception) async fn hold_known(
    asker: Asker,
    call: &InterceptedCall,
) -> Result<(), WireError> {
    lead(answer(asker, call), call).await
}

/// Tells a wrapper that what was judged before does not run.
pub(in crate::interception) async fn refuse(mut stream: UnixStream, reason: &str) -> Result<(), WireError> {
    respond(&mut stream, Response::Deny { reason: reason.as_bytes() }).await
}

/// A program that runs while its wrapper waits.
struct Begun {
    program: Arc<Process>,
    stream: UnixStream,
    record: ExecRecord,
    /// It runs where its wrapper does, and may run once more.
    again: Option<Again>,
    /// Protected names that it would have changed there.
    refused: Option<Refused>,
}

async fn lead(
    asking: impl Future<Output = Result<Option<Begun>, WireError>>,
    call: &InterceptedCall,
) -> Result<(), WireError> {
    let end = &call.end;
    let starting = call.escalated.starting();
    let begun = tokio::select! {
        begun = asking => begun?,
        () = end.ended.cancelled() => return Ok(()),
    };
    drop(starting);
    let Some(Begun { mut program, mut stream, record, again, refused }) = begun else { return Ok(()) };
    let mut outcome = attend(&program, &mut stream, end).await;
    let mut is_beside = again.is_some();
    let failed = matches!(outcome, Outcome::Exited(code) if code != 0);
    // Who has a result already is asked nothing.
    if let Some(again) = again.filter(|_| failed && !end.shell_ended.is_cancelled()) {
        let second = tokio::select! {
            second = again.start(call, &record) => second,
            () = gone(&mut stream) => None,
            () = end.ending.cancelled() => None,
        };
        if let Some(second) = second {
            (program, is_beside) = (second, false);
            outcome = attend(&program, &mut stream, end).await;
            if let Some(refused) = refused.filter(|_| matches!(outcome, Outcome::Exited(0))) {
                refused.was_given();
            }
        }
    }
    record.ended(outcome);
    let told = within(WRAPPER_TIMEOUT, wire::write(&mut stream, Kind::Outcome, &outcome.encode())).await;
    drop(stream);
    // What it has left running may stay for as long as the shell runs.
    tokio::select! {
        () = program.gone() => {}
        () = end.shell_ended.cancelled(), if !is_beside => end.end(&program).await,
        () = end.ending.cancelled() => end.end(&program).await,
    }
    told
}

/// Reads the request.
async fn hear(attached: Attached, memory: &Semaphore) -> Result<(Asker, SemaphorePermit<'_>), WireError> {
    let Attached { stream, directory, file, has_input } = attached;
    let mut stream = wire::adopt(stream)?;
    let (request, memory) = within(WRAPPER_TIMEOUT, read_request(&mut stream, memory)).await?;
    let exec = Arc::new(exec_of(&request, directory, file, has_input));
    Ok((Asker { stream, exec, becomes: None }, memory))
}

/// From the judgement to the answer, and to the start of an escalated program.
async fn answer(asker: Asker, call: &InterceptedCall) -> Result<Option<Begun>, WireError> {
    let Asker { mut stream, exec, becomes } = asker;
    if becomes.is_none() && call.is_reported {
        // What it becomes is judged when it is executed.
        respond(&mut stream, Response::Run { keep_interceptor: exec.is(call.bash), file: b"" }).await?;
        return Ok(None);
    }
    let record = call.record.program(exec.lineage.place);
    let action = tokio::select! {
        biased;
        action = call.judge(&exec, &record) => action,
        // Below: the question is moot, because its call is ending, or its asker is gone. The wrapper has nothing to say
        // before it is answered, so all that can be heard of it is its end.
        () = call.end.ending.cancelled() => return Ok(None),
        () = gone(&mut stream) => return Ok(None),
    };
    match action {
        Action::Try(retry) if becomes.is_some() => {
            respond(&mut stream, Response::Escalate).await?;
            let inherited = within(WRAPPER_TIMEOUT, wire::read_handover(&mut stream)).await?;
            let plan = call.sandbox.upgrade().map(|sandbox| Arc::clone(sandbox.plan()));
            let refusals = plan.map(|plan| retry.refusals(&plan)).unwrap_or_default();
            let refused = call.refused.of_a_try();
            let again = Again::new(&exec, *retry, &refusals, &inherited);
            return match outside::start_beside(call, &exec, (&refusals, &refused), inherited).await {
                Ok(program) => Ok(Some(Begun { program, stream, record, again, refused: Some(refused) })),
                Err(error) => not_started(&mut stream, &record, &error).await,
            };
        }
        Action::Run | Action::Try(_) => {
            // The interceptor's variables stay with the patched Bash alone, so that its scripts are judged too. Granting
            // them to a hostile asker is harmless: all that they give is the right to ask.
            let keep_interceptor = becomes.is_none() && exec.is(call.bash);
            let file = becomes.map(|Becomes { file, announce }| {
                announce();
                file
            });
            let file = file.as_deref().unwrap_or_default();
            respond(&mut stream, Response::Run { keep_interceptor, file }).await?;
        }
        Action::Deny { reason } => respond(&mut stream, Response::Deny { reason: reason.as_bytes() }).await?,
        Action::Escalate(mut outside) => {
            let place = match outside::prepare(call, &exec, &mut outside).await {
                Ok(place) => place,
                Err(reason) => {
                    record.ended(Outcome::NotStarted(libc::EPERM.unsigned_abs()));
                    let reason: String = reason.chars().take(MOST_OF_REASON).collect();
                    respond(&mut stream, Response::Deny { reason: reason.as_bytes() }).await?;
                    return Ok(None);
                }
            };
            respond(&mut stream, Response::Escalate).await?;
            let inherited = within(WRAPPER_TIMEOUT, wire::read_handover(&mut stream)).await?;
            match outside::start(call, &exec, *outside, place, inherited).await {
                Ok(program) => {
                    return Ok(Some(Begun { program, stream, record, again: None, refused: None }));
                }
                Err(error) => return not_started(&mut stream, &record, &error).await,
            }
        }
    }
    Ok(None)
}

async fn not_started(
    stream: &mut UnixStream,
    record: &ExecRecord,
    error: &EscalateError,
) -> Result<Option<Begun>, WireError> {
    tracing::warn!(error = error as &dyn std::error::Error, "an escalated program did not start");
    let outcome = Outcome::NotStarted(error.errno().unwrap_or(libc::EINVAL).unsigned_abs());
    record.ended(outcome);
    wire::write(stream, Kind::Outcome, &outcome.encode()).await?;
    Ok(None)
}

/// The request, as the judge understands it.
fn exec_of(
    request: &ExecRequest,
    directory: Option<OwnedFd>,
    file: Option<OwnedFd>,
    has_input: bool,
) -> Exec {
    let owned = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let path = Path::new(OsStr::from_bytes(request.file()));
    let (argv, env) = (request.argv().map(owned).collect(), request.env().map(owned).collect());
    Exec::new(path, argv, env, directory, file).with_input(has_input)
}

async fn within<T>(time: Duration, step: impl Future<Output = Result<T, WireError>>) -> Result<T, WireError> {
    tokio::time::timeout(time, step).await.unwrap_or(Err(WireError::TooSlow))
}

async fn read_request<'m>(
    stream: &mut UnixStream,
    memory: &'m Semaphore,
) -> Result<(ExecRequest, SemaphorePermit<'m>), WireError> {
    let header = wire::read_header(stream, Kind::Request).await?;
    let (body, mut held) = wire::read_body_within(stream, header, memory).await?;
    let request = ExecRequest::decode(body)?;
    // Judging takes each string apart, also an empty one.
    let strings = u32::try_from(request.count() * BYTES_PER_STRING / 1024).unwrap_or(u32::MAX);
    held.merge(memory.acquire_many(strings).await.map_err(std::io::Error::other)?);
    Ok((request, held))
}

async fn respond(stream: &mut UnixStream, response: Response<'_>) -> Result<(), WireError> {
    let mut buffer = [0; MAX_RESPONSE_BYTES as usize];
    within(WRAPPER_TIMEOUT, wire::write(stream, Kind::Response, response.encode(&mut buffer))).await
}

/// Completes when the wrapper has closed its end, or breaks the protocol by saying something before it is answered.
async fn gone(stream: &mut UnixStream) {
    let _ = stream.read(&mut [0; 1]).await;
}

/// Waits for the program, passes the wrapper's signals on, and ends the program when its wrapper or its call is gone.
async fn attend(program: &Process, stream: &mut UnixStream, end: &Shutdown) -> Outcome {
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
    // The wire has a type of its own: the wrapper knows no crate but the protocol's, and hears of a program that did not begin.
    match ended {
        Ok(ExitStatus::Exited(code)) => Outcome::Exited(code),
        Ok(ExitStatus::Signaled(signal)) => Outcome::Signaled(signal),
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

async fn told_to_end(program: &Process, end: &Shutdown) -> std::io::Result<ExitStatus> {
    end.end(program).await;
    program.wait().await
}
