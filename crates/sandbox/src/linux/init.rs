//! A session's init: PID 1 of its namespaces, forks a supervisor per call, reaps, and kills what has no supervisor.
//!
//! It stays small (no runtime, one thread), because every call forks it. Its children are supervisors and nothing else:
//! any other child is the remnant of a call whose supervisor was killed, and is killed.

use super::packet::{self, Packet};
use super::process_tree;
use super::supervisor::{self, Start};
use super::sys::{self, Forked, Reap, SingleThreaded};
use crate::wire::{CallEvent, Ending, InitCommand, StartStep};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;
use rustix::process::Pid;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// How long to wait between two passes over remnants that will not die at once.
const SWEEP_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// Serves spawn requests until the server is gone, then exits (and, as PID 1, takes everything along).
pub(super) fn serve(proof: SingleThreaded, control: OwnedFd, signals: OwnedFd) -> ! {
    let myself = rustix::process::getpid();
    // For people who look at lists of processes.
    let _ = rustix::thread::set_name(c"sandbox-init");
    // Without a PID namespace we are not PID 1, and the orphans of a killed supervisor come to us all the same. A kernel
    // that refuses sends them to the guard, which is one too.
    let _ = rustix::process::set_child_subreaper(Some(myself));
    // Nothing in a session changes them, so no call has to look.
    let ignored = sys::ignored_signals();
    let mut supervisors: HashMap<i32, u64> = HashMap::new();
    let mut remnants = false;
    loop {
        let mut polled = [PollFd::new(&control, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        // An interrupted wait only means another turn.
        let _ = rustix::event::poll(&mut polled, remnants.then_some(&SWEEP_INTERVAL));
        let commanded = !polled[0].revents().is_empty();
        sys::drain_signals(signals.as_fd());
        remnants |= reap(&mut supervisors);
        if remnants {
            let spared: Vec<i32> = supervisors.keys().copied().collect();
            process_tree::kill_all(myself.as_raw_nonzero().get(), &spared);
            remnants = has_other_children(myself, &supervisors);
        }
        if !commanded {
            continue;
        }
        let packet = match packet::receive(&control, RecvFlags::DONTWAIT) {
            Ok(Some(packet)) => packet,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            // The server is gone, or its socket is of no more use.
            Ok(None) | Err(_) => sys::exit_now(0),
        };
        let Packet { bytes, mut descriptors } = packet;
        match InitCommand::decode(&bytes) {
            Ok(InitCommand::Spawn { call }) if descriptors.len() >= 2 => {
                let rest = descriptors.split_off(2);
                let (Some(request), Some(socket)) = (descriptors.pop(), descriptors.pop()) else { continue };
                match sys::fork(proof) {
                    Ok(Forked::Child) => {
                        drop((control, signals, supervisors));
                        supervisor::run(
                            proof,
                            Start { socket, request, descriptors: rest, init: myself, ignored },
                        )
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
            // The server never sends these; nothing here depends on them.
            Ok(InitCommand::Spawn { .. } | InitCommand::SetUp) | Err(_) => {}
        }
    }
}

/// Waits for all children that have ended; true when one was not an orderly supervisor, so that remnants may exist.
fn reap(supervisors: &mut HashMap<i32, u64>) -> bool {
    let mut disorder = false;
    while let Ok(Reap::One(child)) = sys::reap_any() {
        let supervised = supervisors.remove(&child.pid).is_some();
        disorder |= !supervised || child.ending != Ending::Code(0);
    }
    disorder
}

fn has_other_children(myself: Pid, supervisors: &HashMap<i32, u64>) -> bool {
    process_tree::children(myself.as_raw_nonzero().get()).iter().any(|pid| !supervisors.contains_key(pid))
}

/// Says that no process could be made for the call (the session's process limit).
fn refuse(socket: &OwnedFd, error: &io::Error) {
    let errno = error.raw_os_error().unwrap_or(libc::EAGAIN);
    let event = CallEvent::NotStarted { step: StartStep::ForkSupervisor, errno };
    // A server that is gone needs no answer.
    let _ = packet::send(socket, &event.encode(), &[]);
}
