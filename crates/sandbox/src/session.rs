//! The server's side of a session: one set of processes per effective policy, entered by every call.
//!
//! [`Session::start`] executes the launcher once; [`Session::spawn`] then only sends a message, so a call costs two forks
//! of a small process and no start of a large binary. Dropping a session, or the server's death by any means, closes its
//! socket, and everything in the session is killed.
//!
//! Keep a session for as long as the *policy* is the same, not the plan: resolving again may find other sockets to hide, and
//! a new session cannot reach what the old one left in the background.
//!
//! No async runtime here: a [`Call`] is a descriptor to wait on, with a method that never blocks.

use crate::call::Call;
use crate::enforcement::{Enforcement, Namespace};
use crate::linux::packet;
use crate::linux::request::{
    FIRST_PRIVATE_DESCRIPTOR, Inherited, MAX_DESCRIPTORS, StartRequest, WORKING_FOLDER,
};
use crate::linux::wire::{self, InitCommand, InitReport, MAX_IN_PACKET, MAX_REQUEST, WITH_REQUEST};
use crate::plan::Plan;
use crate::session_error::SessionError;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::RecvFlags;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Setting a session up takes milliseconds; a machine under heavy load may take a few seconds.
const SET_UP_TIMEOUT: Duration = Duration::from_secs(20);
/// After its socket is closed, a guard kills everything and exits within milliseconds.
const GUARD_EXIT_TIMEOUT: Duration = Duration::from_secs(2);
/// How to execute the session's own process: a program that calls [`crate::run_session_process`].
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The program, absolute.
    pub program: PathBuf,
    /// Its arguments (such as a hidden subcommand).
    pub arguments: Vec<OsString>,
}

/// Where a program starts.
#[derive(Clone, Copy, Debug)]
pub enum Directory<'a> {
    /// At an absolute path, as it is found inside.
    Path(&'a Path),
    /// In an open folder, which may have been moved or removed meanwhile.
    Open(BorrowedFd<'a>),
}

/// A program to run in a session.
#[derive(Debug)]
pub struct SpawnRequest<'a> {
    /// The program's absolute path; no search.
    pub program: &'a Path,
    /// The whole argument list, the program's own name first.
    pub arguments: &'a [OsString],
    /// The whole environment, `NAME=value` each.
    pub environment: &'a [OsString],
    /// The working folder.
    pub directory: Directory<'a>,
    /// Descriptors (at most 253) and the numbers (0 to 511) at which the program finds them. Nothing else is inherited:
    /// those of 0, 1 and 2 that are not among them are closed, as where a shell has closed them.
    pub descriptors: &'a [(BorrowedFd<'a>, i32)],
    /// Umask, limits and the like, where they are not the session's own.
    pub inherited: Inherited,
}

/// A set of processes that enforce one plan for many calls.
#[derive(Debug)]
pub struct Session {
    control: Arc<OwnedFd>,
    guard: Child,
    enforcement: Enforcement,
    next_call: AtomicU64,
    refused_routes: AtomicU64,
}

impl Session {
    /// Sets a session up and returns when everything that the plan asks for is in force.
    ///
    /// Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`SessionError::NotEnforceable`] when the kernel does not allow what was asked; there is no downgrade.
    pub fn start(launcher: &Launcher, plan: &Plan) -> Result<Self, SessionError> {
        let plan = serde_json::to_vec(plan).map_err(SessionError::EncodePlan)?;
        let (control, theirs) = packet::pair().map_err(SessionError::Channel)?;
        let plan = memory_file("sandbox-plan", &plan).map_err(SessionError::Channel)?;
        packet::send(&control, &InitCommand::SetUp, &[plan.as_fd()]).map_err(SessionError::Channel)?;
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
            guard,
            enforcement: Enforcement::none(crate::Mode::ReadOnly),
            next_call: AtomicU64::new(1),
            refused_routes: AtomicU64::new(0),
        };
        session.enforcement = session.await_report()?;
        Ok(session)
    }

    fn await_report(&self) -> Result<Enforcement, SessionError> {
        if !packet::wait_readable(self.control.as_fd(), SET_UP_TIMEOUT) {
            return Err(SessionError::Lost);
        }
        let packet = packet::receive(&self.control, RecvFlags::empty()).map_err(SessionError::Channel)?;
        let packet = packet.ok_or(SessionError::Lost)?;
        match wire::decode(&packet.bytes).map_err(|_| SessionError::Malformed)? {
            InitReport::Failed(reason) => Err(SessionError::NotEnforceable(reason)),
            InitReport::Ready(enforcement) => Ok(enforcement),
        }
    }

    /// Returns what is in force.
    #[must_use]
    pub fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Returns the number of the session's guard process, outside the sandbox.
    #[must_use]
    pub fn guard_pid(&self) -> u32 {
        self.guard.id()
    }

    /// Tells whether the session's processes are still there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        // Nothing waits here after the report. Not by poll(2): older gVisors tell of no hang-up.
        let looked = rustix::net::recv(&*self.control, &mut [0_u8], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(looked, Ok((1.., _)) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR))
    }

    /// Takes a new count of refused routes and tells whether it is above the last one; false in a session without a network
    /// namespace, where the count is the host's.
    pub fn routes_were_refused(&self, count: u64) -> bool {
        self.enforcement.has(Namespace::Network)
            && self.refused_routes.fetch_max(count, Ordering::Relaxed) < count
    }

    /// Starts a program. Does not wait for it: [`crate::CallEvent::Started`] or [`crate::CallEvent::NotStarted`] follows on the call, usually
    /// within a millisecond. When neither comes for seconds, the session is broken (without a PID namespace a command can
    /// stop its init): drop it and start another.
    ///
    /// # Errors
    /// [`SessionError::BadRequest`] for what can never work, [`SessionError::Lost`] when the session has ended.
    pub fn spawn(&self, request: &SpawnRequest<'_>) -> Result<Call, SessionError> {
        let encoded = encode(request)?;
        // A short request goes into the message itself.
        let (encoded, file) = match encoded.len() <= MAX_IN_PACKET {
            true => (encoded.as_slice(), None),
            false => {
                let file = memory_file("sandbox-request", &encoded).map_err(SessionError::Channel)?;
                ([].as_slice(), Some(file))
            }
        };
        let (ours, theirs) = packet::pair().map_err(SessionError::Channel)?;
        let mut descriptors: Vec<BorrowedFd<'_>> =
            request.descriptors.iter().map(|(descriptor, _)| *descriptor).collect();
        if let Directory::Open(folder) = request.directory {
            descriptors.push(folder);
        }
        let (with_request, rest) = descriptors.split_at(descriptors.len().min(WITH_REQUEST));
        if !rest.is_empty() {
            packet::send_soon(&ours, &"descriptors", rest).map_err(SessionError::Channel)?;
        }
        let passed: Vec<BorrowedFd<'_>> = std::iter::once(theirs.as_fd())
            .chain(file.as_ref().map(AsFd::as_fd))
            .chain(with_request.iter().copied())
            .collect();
        let number = self.next_call.fetch_add(1, Ordering::Relaxed);
        packet::send_soon(&*self.control, &InitCommand::Spawn { call: number, request: encoded }, &passed)
            .map_err(|_| SessionError::Lost)?;
        Ok(Call::new(ours, Arc::clone(&self.control), number))
    }
}

impl Drop for Session {
    /// Ends every process of the session, and waits (briefly) for the guard, so that it leaves no zombie.
    fn drop(&mut self) {
        // Calls may still hold the socket, so closing our end is not enough.
        let _ = rustix::net::shutdown(&*self.control, rustix::net::Shutdown::Both);
        let deadline = Instant::now() + GUARD_EXIT_TIMEOUT;
        let mut pause = Duration::from_micros(200);
        while matches!(self.guard.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // Its death signal takes init along.
                let _ = self.guard.kill();
                let _ = self.guard.wait();
                return;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }
}

fn encode(request: &SpawnRequest<'_>) -> Result<Vec<u8>, SessionError> {
    let (directory, open_folder) = match request.directory {
        Directory::Path(path) => (path, None),
        Directory::Open(_) => (Path::new("/"), Some(WORKING_FOLDER)),
    };
    if !request.program.is_absolute() || !directory.is_absolute() {
        return Err(SessionError::BadRequest("the program and the working folder must be absolute"));
    }
    if request.arguments.is_empty() {
        return Err(SessionError::BadRequest("the argument list is empty"));
    }
    let mut targets: Vec<i32> = request.descriptors.iter().map(|(_, target)| *target).collect();
    if targets.iter().any(|target| !(0..FIRST_PRIVATE_DESCRIPTOR).contains(target)) {
        return Err(SessionError::BadRequest("a descriptor's number is out of range"));
    }
    targets.extend(open_folder);
    if targets.len() > MAX_DESCRIPTORS {
        return Err(SessionError::BadRequest("too many descriptors"));
    }
    let strings = |list: &[OsString]| list.iter().map(|text| c_string(text)).collect::<Result<_, _>>();
    let encoded = wire::encode(&StartRequest {
        program: c_string(request.program.as_os_str())?,
        arguments: strings(request.arguments)?,
        environment: strings(request.environment)?,
        directory: c_string(directory.as_os_str())?,
        targets,
        inherited: request.inherited.clone(),
    })
    .map_err(SessionError::Channel)?;
    if encoded.len() > MAX_REQUEST {
        return Err(SessionError::BadRequest("arguments and environment are too long"));
    }
    Ok(encoded)
}

fn c_string(text: &OsStr) -> Result<CString, SessionError> {
    CString::new(text.as_bytes())
        .map_err(|_| SessionError::BadRequest("a NUL byte in its path, arguments or environment"))
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
