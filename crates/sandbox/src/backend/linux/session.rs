//! The server's side of a session: its guard, as a child process, and the socket over which init is told what to start.

use super::call::Call;
use super::own_sockets::OwnSockets;
use super::wire::{
    self, Begin, GuardCommand, InitCommand, InitReport, MAX_IN_PACKET, MAX_REQUEST, Reported, SetUp,
    WITH_REQUEST,
};
use super::{gateway, namespaces, packet, watch_service};
use crate::backend::BackendSession;
use crate::enforcement::{Enforcement, Namespace};
use crate::gateway::Gateway;
use crate::group::{Group, SessionGroup};
use crate::launcher::Launcher;
use crate::listening::Listening;
use crate::plan::Plan;
use crate::program::StartRequest;
use crate::session_error::SessionError;
use crate::spawn_request::SpawnRequest;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::RecvFlags;
use std::ffi::CString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Setting a session up takes milliseconds; a machine under heavy load may take a few seconds.
const SET_UP_TIMEOUT: Duration = Duration::from_secs(20);
/// After its socket is closed, a guard kills everything and exits within milliseconds.
const GUARD_EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// An errand is a fork and two mounts; a guard that puts mounts back meanwhile takes longer.
const ERRAND_TIMEOUT: Duration = Duration::from_secs(2);

/// The server's side of a set of processes that enforce one plan for many calls.
#[derive(Debug)]
pub(crate) struct Session {
    control: Arc<OwnedFd>,
    guard: Mutex<Child>,
    guard_pid: u32,
    /// For what the guard does in between, one at a time.
    errands: Mutex<OwnedFd>,
    brokered: bool,
    /// Who traces whom matters.
    tracing: bool,
    next_call: AtomicU64,
    /// Processes that wait for a call.
    ready: Mutex<Option<Ready>>,
    own_sockets: Option<OwnSockets>,
    /// Its TCP sockets are of the host's network, and connected by whoever answers.
    is_proxied: bool,
    gateway: Mutex<Option<Gateway>>,
    /// Where more sockets of the gateway are made.
    gateway_namespace: Option<OwnedFd>,
    own_terminals: Option<OwnedFd>,
    /// Dropped when its processes are gone.
    _group: Option<SessionGroup>,
}

/// Processes that wait for a call, or are about to.
#[derive(Debug)]
struct Ready {
    call: Call,
    reported: Option<Reported>,
}

impl Session {
    pub(super) fn start(launcher: &Launcher, plan: &Plan) -> Result<(Self, Enforcement), SessionError> {
        let tracing = plan.mode.is_enforced() && !plan.debug;
        let mounts = namespaces::wanted(plan).contains(&Namespace::Mount);
        let watch = mounts.then(watch_service::join).transpose();
        let plan = serde_json::to_vec(plan).map_err(SessionError::EncodePlan)?;
        let (control, theirs) = packet::pair().map_err(SessionError::Channel)?;
        let plan = memory_file("sandbox-plan", &plan).map_err(SessionError::Channel)?;
        let (errands, their_errands) = packet::pair().map_err(SessionError::Channel)?;
        let not_bounded =
            |error| SessionError::NotEnforceable(format!("its control group cannot be made: {error}"));
        let group = launcher.group.as_ref().map(Group::session).transpose().map_err(not_bounded)?;
        let entrance = group.as_ref().map(SessionGroup::entrance).transpose().map_err(not_bounded)?;
        let unwatched = watch.as_ref().err().map(ToString::to_string);
        let set_up = SetUp::new(launcher.descriptor_limit, entrance.is_some(), unwatched);
        let watch = watch.ok().flatten();
        let watch = watch.iter().flat_map(|(socket, bell)| [socket.as_fd(), bell.as_fd()]);
        let passed = [plan.as_fd(), their_errands.as_fd()].into_iter();
        let passed: Vec<BorrowedFd<'_>> =
            passed.chain(entrance.as_ref().map(AsFd::as_fd)).chain(watch).collect();
        packet::send(&control, &set_up, &passed).map_err(SessionError::Channel)?;
        // An empty environment: `/proc/1/environ` inside must not tell the server's secrets.
        let guard = Command::new(&launcher.program)
            .args(&launcher.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|source| SessionError::Launch {
                program: launcher.program.display().to_string(),
                source,
            })?;
        let mut session = Session {
            control: Arc::new(control),
            guard_pid: guard.id(),
            guard: Mutex::new(guard),
            errands: Mutex::new(errands),
            brokered: false,
            tracing,
            next_call: AtomicU64::new(1),
            ready: Mutex::default(),
            own_sockets: None,
            is_proxied: false,
            gateway: Mutex::default(),
            gateway_namespace: None,
            own_terminals: None,
            _group: group,
        };
        let (enforcement, descriptors) = session.await_report()?;
        let mut descriptors = descriptors.into_iter();
        if enforcement.by_proxy.is_some() {
            session.gateway = Mutex::new(descriptors.next().map(gateway::with_proxy));
            session.is_proxied = true;
        }
        session.own_sockets = descriptors.next().map(OwnSockets::new);
        if enforcement.by_name {
            // The guard runs errands where there are mounts to be looked after.
            session.gateway_namespace = descriptors.next().filter(|_| enforcement.has(Namespace::Mount));
            session.gateway = Mutex::new(gateway::put_together(descriptors));
        }
        session.brokered = enforcement.brokered;
        Ok((session, enforcement))
    }

    fn await_report(&mut self) -> Result<(Enforcement, Vec<OwnedFd>), SessionError> {
        if !packet::wait_readable(self.control.as_fd(), SET_UP_TIMEOUT) {
            return Err(SessionError::Lost);
        }
        let packet = packet::receive(&self.control, RecvFlags::empty()).map_err(SessionError::Channel)?;
        let packet = packet.ok_or(SessionError::Lost)?;
        match wire::decode(&packet.bytes).map_err(|_| SessionError::Malformed)? {
            InitReport::Failed(reason) => Err(SessionError::NotEnforceable(reason)),
            InitReport::Ready { enforcement, terminals } => {
                let mut descriptors = packet.descriptors;
                self.own_terminals = terminals.then(|| descriptors.pop()).flatten();
                Ok((enforcement, descriptors))
            }
        }
    }
}

impl Session {
    /// Has processes made that wait for a call.
    fn prepare(&self, reported: Option<Reported>) -> Result<Call, SessionError> {
        let (ours, theirs) = packet::pair().map_err(SessionError::Channel)?;
        let number = self.next_call.fetch_add(1, Ordering::Relaxed);
        packet::send_soon(
            &*self.control,
            &InitCommand::Prepare { call: number, reported },
            &[theirs.as_fd()],
        )
        .map_err(|_| SessionError::Lost)?;
        Ok(Call::new(ours, Arc::clone(&self.control), number))
    }

    /// What is reported of a call of which something is. Where nothing lists the session's own sockets, none can be told from
    /// the host's.
    fn reported(&self, is_reported: bool, reads: bool) -> Option<Reported> {
        is_reported.then(|| Reported {
            connections: self.own_sockets.is_some() || self.is_proxied,
            listening: self.is_proxied,
            names: self.brokered,
            reads,
            tracing: self.tracing,
            refused: self.brokered,
        })
    }

    /// Has the guard do something, with what is passed along. Returns what comes with the answer.
    fn run_errand(&self, command: &GuardCommand, passed: &[BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
        let errands = self.errands.lock().unwrap_or_else(PoisonError::into_inner);
        // What came too late for who asked before.
        while packet::receive(&*errands, RecvFlags::DONTWAIT).is_ok_and(|packet| packet.is_some()) {}
        packet::send_soon(&*errands, command, passed)?;
        if !packet::wait_readable(errands.as_fd(), ERRAND_TIMEOUT) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let answer = packet::receive(&*errands, RecvFlags::DONTWAIT)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        wire::decode::<bool>(&answer.bytes)?
            .then_some(answer.descriptors)
            .ok_or_else(|| io::Error::other("the guard could not do it"))
    }
}

impl BackendSession for Session {
    type Call = Call;

    fn is_alive(&self) -> bool {
        // Nothing waits here after the report. Not by poll(2): older gVisors tell of no hang-up.
        let looked = rustix::net::recv(&*self.control, &mut [0_u8], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(looked, Ok((1.., _)) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR))
    }

    /// Waits (briefly) for the guard, so that it leaves no zombie.
    fn retire(&self) {
        // Calls may still hold the socket, so closing our end is not enough.
        let _ = rustix::net::shutdown(&*self.control, rustix::net::Shutdown::Both);
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + GUARD_EXIT_TIMEOUT;
        let mut pause = Duration::from_micros(200);
        while matches!(guard.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // Its death signal takes init along.
                let _ = guard.kill();
                let _ = guard.wait();
                return;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    fn guard_pid(&self) -> Option<u32> {
        Some(self.guard_pid)
    }

    fn terminals(&self) -> Option<&OwnedFd> {
        self.own_terminals.as_ref()
    }

    fn has_network_of(&self, socket: BorrowedFd<'_>) -> bool {
        self.own_sockets.as_ref().is_some_and(|own| own.has_network_of(socket))
    }

    fn who_listens(&self, file: BorrowedFd<'_>, process: i32) -> io::Result<Listening> {
        self.own_sockets.as_ref().ok_or(io::ErrorKind::Unsupported)?.who_listens(file, process)
    }

    fn take_gateway(&self) -> Option<Gateway> {
        self.gateway.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn listening(&self) -> io::Result<Vec<SocketAddr>> {
        self.own_sockets.as_ref().ok_or(io::ErrorKind::Unsupported)?.ports()
    }

    fn make_sockets(&self, count: u16) -> io::Result<Vec<OwnedFd>> {
        let (ours, theirs) = packet::pair()?;
        packet::send_soon(&*self.control, &InitCommand::Sockets { count }, &[theirs.as_fd()])?;
        drop(theirs);
        if !packet::wait_readable(ours.as_fd(), ERRAND_TIMEOUT) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let answer = packet::receive(&ours, RecvFlags::DONTWAIT)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        // One of another network would lead elsewhere.
        let own = answer.descriptors.into_iter().filter(|socket| self.has_network_of(socket.as_fd()));
        Ok(own.collect())
    }

    fn make_gateway_sockets(&self, count: u16) -> io::Result<Vec<OwnedFd>> {
        let gateway = self.gateway_namespace.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        self.run_errand(&GuardCommand::Sockets { count }, &[gateway.as_fd()])
    }

    fn bind_writable(&self, folder: &Path) -> io::Result<()> {
        let folder = CString::new(folder.as_os_str().as_bytes()).map_err(io::Error::other)?;
        self.run_errand(&GuardCommand::BindWritable { folder }, &[]).map(drop)
    }

    fn mend(&self) -> io::Result<()> {
        self.run_errand(&GuardCommand::Mend, &[]).map(drop)
    }

    fn spawn(&self, request: SpawnRequest) -> Result<Call, SessionError> {
        let beginning = Beginning::of(&request)?;
        let reported = self.reported(request.reported, request.reports_reading);
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = ready.take_if(|ready| ready.reported == reported);
        // A command may have ended what waits; then nobody takes the request.
        if let Some(ready) = ready
            && beginning.send(&ready.call).is_ok()
        {
            return Ok(ready.call);
        }
        let call = self.prepare(reported)?;
        match beginning.send(&call) {
            // Whoever could not be made ready has said why.
            Err(error) if !is_gone(&error) => Err(SessionError::Channel(error)),
            Ok(()) | Err(_) => Ok(call),
        }
    }

    fn make_ready(&self, is_reported: bool) {
        let reported = self.reported(is_reported, false);
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.as_ref().is_none_or(|ready| ready.reported != reported) {
            *ready = self.prepare(reported).ok().map(|call| Ready { call, reported });
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.retire();
    }
}

/// What is said first in a call.
struct Beginning<'a> {
    encoded: Vec<u8>,
    file: Option<OwnedFd>,
    descriptors: Vec<BorrowedFd<'a>>,
}

impl Beginning<'_> {
    fn of(request: &SpawnRequest) -> Result<Beginning<'_>, SessionError> {
        let encoded = wire::encode(&StartRequest::new(request)?).map_err(SessionError::Channel)?;
        if encoded.len() > MAX_REQUEST {
            return Err(SessionError::BadRequest("arguments and environment are too long"));
        }
        let descriptors = request.all_descriptors();
        // A short request goes into the message itself.
        if encoded.len() <= MAX_IN_PACKET {
            return Ok(Beginning { encoded, file: None, descriptors });
        }
        let file = memory_file("sandbox-request", &encoded).map_err(SessionError::Channel)?;
        Ok(Beginning { encoded: Vec::new(), file: Some(file), descriptors })
    }

    fn send(&self, call: &Call) -> io::Result<()> {
        let (first, rest) = self.descriptors.split_at(self.descriptors.len().min(WITH_REQUEST));
        let passed: Vec<BorrowedFd<'_>> =
            self.file.as_ref().map(AsFd::as_fd).into_iter().chain(first.iter().copied()).collect();
        packet::send_soon(call, &Begin { request: &self.encoded }, &passed)?;
        if rest.is_empty() { Ok(()) } else { packet::send_soon(call, &"descriptors", rest) }
    }
}

/// Whether nobody is at the other end of a socket.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn memory_file(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, rest))?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(file)
}
