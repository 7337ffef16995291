//! One call inside a session: has a process wait for the call's program, reports that program's end, keeps and ends whatever it
//! leaves behind.
//!
//! Forked from init, never executed anew, and before there is a call. It is a subreaper, so no descendant of the call can leave
//! it (where there are no subreapers, a mark leads to those that have left). It trusts the server's end of its socket; when that
//! end closes, the call is over and everything in it is killed. A command can kill its own supervisor: the remains then
//! fall to init, which kills them.

use super::awaited::Call;
use super::process_tree::Tree;
use super::routes::Routes;
use super::sys::{self, Reap, SingleThreaded};
use super::wire;
use super::{child, landlock_rules, packet};
use crate::event::{CallCommand, CallEvent, ExitStatus, StartStep};
use crate::program::NotStarted;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;
use rustix::process::Signal;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long to wait between two passes over a tree that will not die at once.
const KILL_INTERVAL: Duration = Duration::from_millis(2);
/// How often to look for processes whose end nobody tells.
const ORPHAN_INTERVAL: Duration = Duration::from_millis(50);

/// Runs a call to its end, if it comes, and exits.
pub(super) fn run(proof: SingleThreaded, call: Call) -> ! {
    // For people who look at lists of processes.
    let _ = rustix::thread::set_name(c"sandbox-call");
    let tree = Tree::new(rustix::process::getpid(), call.mark.clone());
    let routes = call.session.network.then(Routes::open);
    let mut refused_before = 0;
    let mut called = || refused_before = routes.as_ref().map(Routes::refused).unwrap_or_default();
    let begun = prepare(&call).and_then(|signals| {
        let program = child::start(proof, &call, &mut called)?;
        Ok(program.map(|program| (signals, program)))
    });
    let Call { socket, .. } = call;
    match begun {
        Err(NotStarted { step, errno }) => tell(&socket, &CallEvent::NotStarted { step, errno }),
        Ok(Some((signals, program))) => {
            tell(&socket, &CallEvent::Started { pid: program });
            let routes = routes.map(|routes| (routes, refused_before));
            let (ended, ending) = (false, Phase::Running);
            let supervisor = Supervisor { socket, signals, tree, program, routes, ended, ending };
            // What it leaves behind is init's to kill; that this did not end in order tells init so.
            if supervisor.serve().is_err() {
                sys::exit_now(1);
            }
        }
        // Nobody has called.
        Ok(None) => {}
    }
    sys::exit_now(0)
}

/// The steps before there is a process for the program. Returns what tells of children's ends.
fn prepare(call: &Call) -> Result<OwnedFd, NotStarted> {
    let failed = NotStarted::at(StartStep::PrepareSupervisor);
    // Calls do not look into each other's processes.
    landlock_rules::enter_own_domain(call.session.landlock).map_err(io::Error::other).map_err(&failed)?;
    // Init gone means session gone, also where no PID namespace sees to it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| failed(errno.into()))?;
    if rustix::process::getppid() != Some(call.init) {
        return Err(failed(io::Error::from_raw_os_error(libc::ESRCH)));
    }
    // Orphans of the call come to us, not to init.
    if call.mark.is_none() {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|errno| failed(errno.into()))?;
    }
    // Children's ends wake us through a descriptor.
    sys::signal_descriptor(&[libc::SIGCHLD]).map_err(failed)
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
    /// What counts routes, and the count before the program ran.
    routes: Option<(Routes, u64)>,
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
        let refused = self.routes.as_ref().map(|(routes, before)| routes.refused().saturating_sub(*before));
        tell(&self.socket, &CallEvent::Ended { status, refused_routes: refused.unwrap_or_default(), last });
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
            Ok(CallCommand::SignalGroup { number }) if !self.ended => {
                sys::signal_group(self.program, number);
            }
            Ok(CallCommand::Signal { .. } | CallCommand::SignalGroup { .. }) => {}
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
