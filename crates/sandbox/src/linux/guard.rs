//! The outermost process of a session: receives the plan, starts init inside the boundary, watches both sides.
//!
//! It stays outside namespaces and Landlock, so nothing inside can signal or trace it. It ends the session when the
//! server is gone (its end of the socket closes, whatever killed it), when init is gone, or when it is told to. It is a
//! subreaper: without a PID namespace the remains of a session fall to it, and it kills them.

use super::sys::{self, Forked, Reap, SingleThreaded};
use super::{init, packet, process_tree, setup};
use crate::plan::Plan;
use crate::wire::{InitCommand, InitReport, MAX_REQUEST};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;
use rustix::process::{DumpableBehavior, Pid, Signal};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

/// How long to wait between two passes over remnants that will not die at once.
const SWEEP_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// Runs a session's own process. The launcher's program calls this first thing: before threads, before an async
/// runtime, with the control socket as standard input.
pub fn run_session_process() -> ! {
    let code = match begin() {
        Ok(()) => 0,
        Err(error) => {
            tell_nobody(&error);
            70
        }
    };
    sys::exit_now(code)
}

fn begin() -> io::Result<()> {
    let proof = SingleThreaded::check()?;
    // Nothing of the server's may stay open in here.
    sys::close_inherited(proof)?;
    let control = take_standard_input()?;
    // A terminal's Ctrl-C is for the server, which ends the session when it is done with it.
    let _ = rustix::process::setsid();
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let signals = sys::signal_descriptor(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP])?;
    let outcome = receive_plan(&control).and_then(|plan| start(proof, &control, &plan));
    match outcome {
        Ok(init) => {
            watch(&control, &signals, init);
            Ok(())
        }
        Err(error) => {
            let reason = error.to_string();
            // When the server is gone too, there is nobody to tell.
            let _ = packet::send(&control, &InitReport::Failed { reason }.encode(), &[]);
            end_everything();
            Ok(())
        }
    }
}

/// Keeps the socket out of reach of what is started later, and leaves `/dev/null` in its place.
fn take_standard_input() -> io::Result<OwnedFd> {
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(control)
}

fn receive_plan(control: &OwnedFd) -> io::Result<Plan> {
    let packet = packet::receive(control, RecvFlags::empty())?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let command = InitCommand::decode(&packet.bytes).map_err(io::Error::other)?;
    let (InitCommand::SetUp, [plan]) = (command, packet.descriptors.as_slice()) else {
        return Err(io::Error::other("the first message is not a plan"));
    };
    rustix::fs::seek(plan, rustix::fs::SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
    File::from(plan.try_clone()?).take(limit).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}

/// Starts init; it reports to the server itself.
fn start(proof: SingleThreaded, control: &OwnedFd, plan: &Plan) -> io::Result<Pid> {
    match sys::fork(proof)? {
        Forked::Parent(init) => Ok(init),
        Forked::Child => become_init(proof, control, plan),
    }
}

fn become_init(proof: SingleThreaded, control: &OwnedFd, plan: &Plan) -> ! {
    let report = match setup::apply(plan) {
        Ok(enforcement) => match serde_json::to_string(&enforcement) {
            Ok(enforcement) => InitReport::Ready { enforcement },
            Err(error) => InitReport::Failed { reason: error.to_string() },
        },
        Err(error) => InitReport::Failed { reason: error.to_string() },
    };
    let sent = packet::send(control, &report.encode(), &[]);
    let (InitReport::Ready { .. }, Ok(())) = (report, sent) else { sys::exit_now(71) };
    let prepared =
        control.try_clone().and_then(|control| Ok((control, sys::signal_descriptor(&[libc::SIGCHLD])?)));
    match prepared {
        Ok((control, signals)) => init::serve(proof, control, signals),
        Err(_) => sys::exit_now(72),
    }
}

/// Returns when the session must end.
fn watch(control: &OwnedFd, signals: &OwnedFd, init: Pid) {
    loop {
        let mut polled = [PollFd::new(control, PollFlags::empty()), PollFd::new(signals, PollFlags::IN)];
        // An interrupted wait only means another turn.
        let _ = rustix::event::poll(&mut polled, None);
        let server_gone = polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR);
        let told = sys::drain_signals(signals.as_fd());
        let child = u32::try_from(libc::SIGCHLD).unwrap_or(0);
        if server_gone || told.iter().any(|signal| *signal != child) || has_ended(init) {
            break;
        }
    }
    end_everything();
}

/// Waits for all children that have ended; true when init is one of them.
fn has_ended(init: Pid) -> bool {
    loop {
        match sys::reap_any() {
            Ok(Reap::One(child)) if child.pid != init.as_raw_nonzero().get() => {}
            Ok(Reap::One(_) | Reap::NoChildren) | Err(_) => return true,
            Ok(Reap::NoneEnded) => return false,
        }
    }
}

/// Kills init and whatever falls to us, until nothing is left.
fn end_everything() {
    let myself = rustix::process::getpid().as_raw_nonzero().get();
    loop {
        process_tree::kill_all(myself, &[]);
        match sys::reap_any() {
            Ok(Reap::One(_)) => {}
            Ok(Reap::NoneEnded) => {
                let _ = rustix::event::poll(&mut [], Some(&SWEEP_INTERVAL));
            }
            Ok(Reap::NoChildren) | Err(_) => return,
        }
    }
}

/// Standard error is the server's log; a guard that cannot even read its plan has no better place.
fn tell_nobody(error: &io::Error) {
    let text = format!("sandbox guard: {error}\n");
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
}

/// Ties init's life to the guard's, also against a guard that is already gone.
pub(super) fn die_with_guard() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}
