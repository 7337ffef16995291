//! One call inside a session: starts its program, reports its end, keeps and ends whatever it leaves behind.
//!
//! Forked from init, never executed anew. It is a subreaper, so no descendant of the call can leave it (where there are
//! no subreapers, a mark leads to those that have left). It trusts the server's end of its socket; when that end
//! closes, the call is over and everything in it is killed. A command can kill its own supervisor: the remains then
//! fall to init, which kills them.

use super::child;
use super::landlock_rules;
use super::packet;
use super::process_tree::{Mark, Tree};
use super::sys::{self, Reap, SingleThreaded};
use super::wire::{self, MAX_REQUEST};
use crate::event::{CallCommand, CallEvent, ExitStatus, StartStep};
use crate::program::{NotStarted, StartRequest};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;
use rustix::process::{Pid, Signal};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long to wait between two passes over a tree that will not die at once.
const KILL_INTERVAL: Duration = Duration::from_millis(2);
/// How often to look for processes whose end nobody tells.
const ORPHAN_INTERVAL: Duration = Duration::from_millis(50);

/// A start request, not decoded yet.
pub(super) enum Request {
    Bytes(Vec<u8>),
    /// A memory file, because it is long.
    File(OwnedFd),
}

/// What init hands to a new supervisor.
pub(super) struct Start {
    pub(super) socket: OwnedFd,
    pub(super) request: Request,
    pub(super) descriptors: Vec<OwnedFd>,
    pub(super) init: Pid,
    /// For the environment of the program, where the kernel has no subreapers.
    pub(super) mark: Option<Mark>,
    /// The Landlock ABI in force, if any is.
    pub(super) landlock: Option<u32>,
}

impl Start {
    /// Takes apart what came with a message; `None` if something is missing.
    pub(super) fn new(
        init: Pid,
        mark: Option<Mark>,
        landlock: Option<u32>,
        request: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Option<Start> {
        let mut descriptors = descriptors.into_iter();
        let socket = descriptors.next()?;
        let request = if request.is_empty() {
            Request::File(descriptors.next()?)
        } else {
            Request::Bytes(request.to_vec())
        };
        Some(Start { socket, request, descriptors: descriptors.collect(), init, mark, landlock })
    }
}

/// Runs a call to its end and exits.
pub(super) fn run(proof: SingleThreaded, start: Start) -> ! {
    let Start { socket, request, descriptors, init, mark, landlock } = start;
    // For people who look at lists of processes.
    let _ = rustix::thread::set_name(c"sandbox-call");
    let tree = Tree::new(rustix::process::getpid(), mark.clone());
    tell(&socket, &CallEvent::Accepted);
    // Calls do not write into each other's output.
    let apart = landlock_rules::enter_own_domain(landlock);
    let apart = apart.map_err(io::Error::other).map_err(NotStarted::at(StartStep::PrepareSupervisor));
    let outcome = apart.and_then(|()| begin(proof, init, mark, &socket, request, descriptors));
    match outcome {
        Err(failed) => tell(&socket, &CallEvent::NotStarted { step: failed.step, errno: failed.errno }),
        Ok((signals, program)) => {
            tell(&socket, &CallEvent::Started { pid: program });
            let supervisor =
                Supervisor { socket, signals, tree, program, ended: false, ending: Phase::Running };
            // What it leaves behind is init's to kill; that this did not end in order tells init so.
            if supervisor.serve().is_err() {
                sys::exit_now(1);
            }
        }
    }
    sys::exit_now(0)
}

/// The steps before the program runs.
fn begin(
    proof: SingleThreaded,
    init: Pid,
    mark: Option<Mark>,
    socket: &OwnedFd,
    request: Request,
    mut descriptors: Vec<OwnedFd>,
) -> Result<(OwnedFd, i32), NotStarted> {
    let prepare = NotStarted::at(StartStep::PrepareSupervisor);
    // Init gone means session gone, also where no PID namespace sees to it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| prepare(errno.into()))?;
    if rustix::process::getppid() != Some(init) {
        return Err(prepare(io::Error::from_raw_os_error(libc::ESRCH)));
    }
    // Orphans of the call come to us, not to init.
    if mark.is_none() {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|errno| prepare(errno.into()))?;
    }
    // Children's ends wake us through a descriptor.
    let signals = sys::signal_descriptor(&[libc::SIGCHLD]).map_err(&prepare)?;
    let mut request = read_request(request).map_err(NotStarted::at(StartStep::ReadRequest))?;
    if let Some(mark) = mark {
        // In front: of an environment, only so much is read.
        request.environment.insert(
            0,
            CString::new(mark.entry())
                .map_err(io::Error::other)
                .map_err(NotStarted::at(StartStep::ReadRequest))?,
        );
    }
    // Those that did not fit the message wait in the call's socket.
    if descriptors.len() < request.targets.len() {
        let rest =
            packet::receive(socket, RecvFlags::DONTWAIT).map_err(NotStarted::at(StartStep::ReadRequest))?;
        descriptors.extend(rest.into_iter().flat_map(|packet| packet.descriptors));
    }
    let program = child::start(proof, &request, &descriptors, socket)?;
    Ok((signals, program))
}

fn read_request(request: Request) -> io::Result<StartRequest> {
    let bytes = match request {
        Request::Bytes(bytes) => bytes,
        Request::File(file) => {
            let mut bytes = Vec::new();
            let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
            // The server wrote through the same open file, so the position is at its end.
            rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
            File::from(file).take(limit).read_to_end(&mut bytes)?;
            bytes
        }
    };
    wire::decode(&bytes)
}

/// How far the end of the call has come.
enum Phase {
    Running,
    /// SIGTERM was sent; killed at the deadline.
    Terminating(Instant),
    /// Killed, pass by pass, until nothing is left.
    Killing,
}

/// What is left of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Some are below us, and their ends are told to us.
    Children,
    /// Only such as have lost their parents, where the kernel has no subreapers.
    Orphans,
}

struct Supervisor {
    socket: OwnedFd,
    signals: OwnedFd,
    tree: Tree,
    program: i32,
    /// The program itself was waited for.
    ended: bool,
    ending: Phase,
}

impl Supervisor {
    /// Serves until no process of the call is left. An error means that this cannot be told.
    fn serve(mut self) -> io::Result<()> {
        let mut peer_is_there = true;
        while let Some(left) = self.reap()? {
            let timeout = match self.ending {
                Phase::Running => (left == Left::Orphans).then_some(ORPHAN_INTERVAL),
                Phase::Terminating(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
                Phase::Killing => Some(KILL_INTERVAL),
            };
            let ready = wait(&self.socket, &self.signals, peer_is_there, timeout)?;
            sys::drain_signals(self.signals.as_fd());
            if ready && peer_is_there {
                peer_is_there = self.obey()?;
            }
            if matches!(self.ending, Phase::Terminating(deadline) if deadline <= Instant::now()) {
                self.ending = Phase::Killing;
            }
            if matches!(self.ending, Phase::Killing) {
                self.tree.kill(&[])?;
            }
        }
        tell(&self.socket, &CallEvent::Gone);
        Ok(())
    }

    /// Waits for all children that have ended, and tells what is left.
    fn reap(&mut self) -> io::Result<Option<Left>> {
        let mut ended = None;
        let left = loop {
            match sys::reap_any() {
                Ok(Reap::One(child)) if child.pid == self.program && !self.ended => {
                    self.ended = true;
                    ended = Some(child.status);
                }
                Ok(Reap::One(_)) => {}
                Ok(Reap::NoneEnded) => break Some(Left::Children),
                Ok(Reap::NoChildren) => break self.tree.has_orphans()?.then_some(Left::Orphans),
                Err(error) => return Err(error),
            }
        };
        if let Some(status) = ended {
            self.report_end(status, left.is_none());
        }
        Ok(left)
    }

    fn report_end(&self, status: ExitStatus, last: bool) {
        // Of every program: what one that ended well was refused would else be the next one's.
        tell(&self.socket, &CallEvent::Ended { status, refused_routes: refused_routes(), last });
    }

    /// Takes one command from the server; false when the server is gone.
    fn obey(&mut self) -> io::Result<bool> {
        let packet = match packet::receive(&self.socket, RecvFlags::DONTWAIT) {
            Ok(Some(packet)) => packet,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            // Gone, or talking nonsense: either way nobody can end this call later, so it ends now.
            Ok(None) | Err(_) => {
                self.ending = Phase::Killing;
                return Ok(false);
            }
        };
        match wire::decode(&packet.bytes) {
            Ok(CallCommand::List) => tell(&self.socket, &CallEvent::Alive(self.tree.live()?)),
            Ok(CallCommand::Signal { number }) if !self.ended => sys::signal_process(self.program, number),
            Ok(CallCommand::Signal { .. }) => {}
            Ok(CallCommand::EndAll { grace }) if grace.is_zero() => self.ending = Phase::Killing,
            Ok(CallCommand::EndAll { grace }) => {
                if matches!(self.ending, Phase::Running) {
                    self.tree.terminate()?;
                    self.ending = Phase::Terminating(Instant::now() + grace.min(Duration::from_secs(3600)));
                }
            }
            Err(_) => {}
        }
        Ok(true)
    }
}

/// Adds up the kernel's `OutNoRoutes` counters of this network namespace.
fn refused_routes() -> u64 {
    let older = std::fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut lines = older.lines().filter(|line| line.starts_with("Ip:"));
    let names = lines.next().unwrap_or_default().split_ascii_whitespace();
    let values = lines.next().unwrap_or_default().split_ascii_whitespace();
    let mut pairs: Vec<(&str, &str)> = names.zip(values).collect();
    let newer = std::fs::read_to_string("/proc/net/snmp6").unwrap_or_default();
    pairs.extend(newer.lines().filter_map(|line| line.split_once(char::is_whitespace)));
    let counters = pairs.into_iter().filter(|(name, _)| matches!(*name, "OutNoRoutes" | "Ip6OutNoRoutes"));
    counters.filter_map(|(_, value)| value.trim().parse::<u64>().ok()).sum()
}

/// Waits for the socket, a child's end or the timeout; true when the socket has something.
fn wait(
    socket: &OwnedFd,
    signals: &OwnedFd,
    with_socket: bool,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let mut polled = vec![PollFd::new(signals, PollFlags::IN)];
    if with_socket {
        polled.push(PollFd::new(socket, PollFlags::IN));
    }
    let timeout = timeout.and_then(|duration| Timespec::try_from(duration).ok());
    packet::wait_any(&mut polled, timeout.as_ref())?;
    Ok(polled.get(1).is_some_and(|socket| !socket.revents().is_empty()))
}

/// Tells the server; when it is gone, the socket's end will say so.
fn tell(socket: &OwnedFd, event: &CallEvent) {
    let _ = packet::send(socket, event, &[]);
}
