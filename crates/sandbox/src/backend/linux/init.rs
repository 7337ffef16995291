//! A session's init: PID 1 of its namespaces, forks a supervisor per call, reaps, and kills what has no supervisor.
//!
//! It stays small (no runtime, one thread), because every call forks it, mostly before it is known what the call is. Its children are supervisors and nothing else:
//! any other child is the remnant of a call whose supervisor was killed, and is killed.

use super::awaited::{Call, InForce};
use super::gateway;
use super::packet::{self, Packet};
use super::process_tree::{self, Mark, Tree};
use super::supervisor;
use super::sys::{self, Forked, Reap, SingleThreaded};
use super::wire::{self, InitCommand};
use crate::event::{CallEvent, ExitStatus, StartStep};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;
use rustix::process::Pid;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// How long to wait between two passes over remnants that will not die at once.
const SWEEP_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// Serves until the server is gone, then exits (and, as PID 1, takes everything along). Also when it
/// cannot look after its processes any more: the guard then kills them. The session has a mark where the kernel has no
/// subreapers.
pub(super) fn serve(
    proof: SingleThreaded,
    control: OwnedFd,
    signals: OwnedFd,
    mark: Option<&Mark>,
    session: InForce,
) -> ! {
    match serve_calls(proof, control, signals, mark, session) {
        Ok(()) => sys::exit_now(0),
        Err(_) => sys::exit_now(71),
    }
}

fn serve_calls(
    proof: SingleThreaded,
    control: OwnedFd,
    signals: OwnedFd,
    mark: Option<&Mark>,
    session: InForce,
) -> io::Result<()> {
    let myself = rustix::process::getpid();
    // For people who look at lists of processes.
    let _ = rustix::thread::set_name(c"sandbox-init");
    // Without a PID namespace we are not PID 1, and the orphans of a killed supervisor come to us all the same. A
    // kernel that refuses sends them to the guard, which is one too.
    let _ = rustix::process::set_child_subreaper(Some(myself));
    sys::default_signals();
    let mut supervisors: HashMap<i32, u64> = HashMap::new();
    // What calls have left whose supervisors did not end in order.
    let mut remnants: Vec<Tree> = Vec::new();
    loop {
        let mut polled = [PollFd::new(&control, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        packet::wait_any(&mut polled, (!remnants.is_empty()).then_some(&SWEEP_INTERVAL))?;
        let commanded = !polled[0].revents().is_empty();
        sys::drain_signals(signals.as_fd());
        let of_call = |call: Option<u64>| call.and_then(|call| Some(mark?.of_call(call)));
        remnants.extend(reap(&mut supervisors).into_iter().map(|call| Tree::new(myself, of_call(call))));
        if !remnants.is_empty() {
            let spared: Vec<i32> = supervisors.keys().copied().collect();
            for tree in &remnants {
                tree.kill(&spared)?;
            }
            let some_are_left = has_other_children(myself, &supervisors)?;
            let mut left = Vec::new();
            for tree in remnants {
                if some_are_left || tree.has_orphans()? {
                    left.push(tree);
                }
            }
            remnants = left;
        }
        if !commanded {
            continue;
        }
        let packet = match packet::receive(&control, RecvFlags::DONTWAIT) {
            Ok(Some(packet)) => packet,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            // The server is gone, or its socket is of no more use.
            Ok(None) | Err(_) => return Ok(()),
        };
        let Packet { bytes, descriptors } = packet;
        match wire::decode(&bytes) {
            Ok(InitCommand::Prepare { call, reported }) => {
                let Some(socket) = descriptors.into_iter().next() else { continue };
                match sys::fork(proof) {
                    Ok(Forked::Child) => {
                        drop((control, signals, supervisors));
                        let mark = of_call(Some(call));
                        supervisor::run(proof, Call { socket, init: myself, mark, reported, session })
                    }
                    Ok(Forked::Parent(pid)) => {
                        supervisors.insert(pid.as_raw_nonzero().get(), call);
                    }
                    Err(error) => refuse(&socket, &error),
                }
            }
            Ok(InitCommand::Destroy { call }) => {
                for (pid, _) in supervisors.iter().filter(|(_, of)| **of == call) {
                    sys::signal_process(*pid, libc::SIGKILL);
                }
            }
            Ok(InitCommand::Sockets { count }) => {
                // Who asks sees that nothing comes.
                let _ = descriptors.first().map(|socket| gateway::send_sockets(socket, count));
            }
            // The server sends nothing else; nothing here depends on it.
            Err(_) => {}
        }
    }
}

/// Waits for all children that have ended. Returns those that were no orderly supervisors, so that remnants may exist:
/// each as the call that it supervised, if it did.
fn reap(supervisors: &mut HashMap<i32, u64>) -> Vec<Option<u64>> {
    let mut disorder = Vec::new();
    while let Ok(Reap::One(child)) = sys::reap_any() {
        let supervised = supervisors.remove(&child.pid);
        if supervised.is_none() || child.status != ExitStatus::Exited(0) {
            disorder.push(supervised);
        }
    }
    disorder
}

fn has_other_children(myself: Pid, supervisors: &HashMap<i32, u64>) -> io::Result<bool> {
    let children = process_tree::children(myself.as_raw_nonzero().get())?;
    Ok(children.iter().any(|pid| !supervisors.contains_key(pid)))
}

/// Says that no process could be made for the call (the session's process limit).
fn refuse(socket: &OwnedFd, error: &io::Error) {
    let errno = error.raw_os_error().unwrap_or(libc::EAGAIN);
    let event = CallEvent::NotStarted { step: StartStep::ForkSupervisor, errno };
    // A server that is gone needs no answer.
    let _ = packet::send(socket, &event, &[]);
}
