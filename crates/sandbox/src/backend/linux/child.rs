//! The child of a supervisor that becomes the program.
//!
//! It is started before there is a call, and waits for one: what does not depend on the call takes no time of it. It shares the
//! supervisor's memory, while the supervisor waits: copying that memory would take longer than all of its steps.

use super::awaited::Call;
use super::packet::{self, Packet};
use super::reporting::Reporter;
use super::seccomp;
use super::sys::{self, SingleThreaded};
use super::wire::{self, Begin, MAX_REQUEST, Reported};
use crate::event::{CallEvent, StartStep};
use crate::program::{NotStarted, Prepared, StartRequest};
use crate::spawn_request::Inherited;
use rustix::process::WaitOptions;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

/// Waits for a call, starts its program, and returns the program's number once `execve` has succeeded; none when no call comes.
/// The server is told over the call's socket who reports what it executes, if it wants that; `called` is run when a call has come.
pub(super) fn start(
    proof: SingleThreaded,
    call: &Call,
    called: &mut dyn FnMut(),
) -> Result<Option<i32>, NotStarted> {
    // The child shares this process's memory until it executes the program, so what it finds out is known here.
    let mut has_request = false;
    let mut failed = None;
    let pid = sys::fork_sharing_memory(proof, &mut || {
        let mut called = || {
            has_request = true;
            called();
        };
        failed = become_program(call, &mut called).err();
    })
    .map_err(NotStarted::at(StartStep::ForkProgram))?;
    if has_request && failed.is_none() {
        return Ok(Some(pid.as_raw_nonzero().get()));
    }
    // Left unwaited, it would look like a remnant to init.
    let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
    failed.map_or(Ok(None), Err)
}

/// Takes the steps up to `execve`. Returns without an error when no call comes.
fn become_program(call: &Call, called: &mut dyn FnMut()) -> Result<(), NotStarted> {
    let socket = &call.socket;
    // Before descriptors are placed: the socket may be in their way.
    call.reported.map_or(Ok(()), |reported| report(reported, socket))?;
    if let Some(reach) =
        call.session.uncounted.filter(|_| call.reported.is_none_or(|reported| !reported.refused))
    {
        seccomp::apply_uncounted(reach)
            .map_err(io::Error::other)
            .map_err(NotStarted::at(StartStep::Report))?;
    }
    let unread = NotStarted::at(StartStep::ReadRequest);
    let Some(packet) = packet::receive_alone(socket).map_err(&unread)? else { return Ok(()) };
    called();
    packet::send(socket, &CallEvent::Accepted, &[]).map_err(&unread)?;
    let (mut request, descriptors) = read_request(packet, socket).map_err(&unread)?;
    if let Some(mark) = &call.mark {
        // In front: of an environment, only so much is read.
        let entry = CString::new(mark.entry()).map_err(io::Error::other).map_err(&unread)?;
        request.environment.insert(0, entry);
    }
    let mut prepared = Prepared::new(&request, descriptors.iter().map(AsFd::as_fd).collect());
    Err(prepared.become_program(sys::close_all_on_exec, || inherit(&request.inherited)))
}

fn read_request(
    Packet { bytes, descriptors }: Packet,
    socket: &OwnedFd,
) -> io::Result<(StartRequest, Vec<OwnedFd>)> {
    let Begin { request } = wire::decode(&bytes)?;
    let mut descriptors = descriptors.into_iter();
    let request: StartRequest = match request.is_empty() {
        false => wire::decode(request)?,
        true => wire::decode(&read_file(descriptors.next().ok_or(io::ErrorKind::UnexpectedEof)?)?)?,
    };
    let mut descriptors: Vec<OwnedFd> = descriptors.collect();
    // Those that did not fit the message follow.
    if descriptors.len() < request.targets.len() {
        let rest = packet::receive_alone(socket)?;
        descriptors.extend(rest.into_iter().flat_map(|packet| packet.descriptors));
    }
    Ok((request, descriptors))
}

fn read_file(file: OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
    // The server wrote through the same open file, so the position is at its end.
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    File::from(file).take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// From here on an `execve` waits for the server.
fn report(reported: Reported, socket: &OwnedFd) -> Result<(), NotStarted> {
    let failed = NotStarted::at(StartStep::Report);
    let listener = Reporter::new(reported).start().map_err(&failed)?;
    packet::send(socket, &CallEvent::Reports, &[listener.as_fd()]).map_err(failed)
}

/// Applies the settings. Each step makes the program less able, which cannot fail; what it asks for beyond has no effect.
fn inherit(inherited: &Inherited) {
    if let Some(umask) = inherited.umask {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask & 0o777));
    }
    if let Some(niceness) = inherited.niceness {
        let own = rustix::process::getpriority_process(None).unwrap_or_default();
        if niceness > own {
            let _ = rustix::process::setpriority_process(None, niceness.min(19));
        }
    }
    for (resource, soft, hard) in &inherited.limits {
        sys::lower_limit(*resource, *soft, *hard);
    }
    crate::sys::inherit_signals(inherited.ignored, inherited.blocked);
}
