//! The outermost process of a session: receives the plan, starts init inside the boundary, watches both sides.
//!
//! It stays outside namespaces and Landlock, so nothing inside can signal or trace it. It ends the session when the
//! server is gone (its end of the socket closes, whatever killed it), when init is gone, or when it is told to. It is a
//! subreaper: without a PID namespace the remains of a session fall to it, and it kills them. Where the kernel has no
//! subreapers (gVisor), it finds them by their mark.

use super::awaited::InForce;
use super::landlock_rules::UNIX_SOCKETS_SINCE;
use super::mending::{Mending, placeholders_of};
use super::namespaces::{self, Attempt};
use super::placeholders::Placeholders;
use super::process_tree::{Mark, Tree};
use super::repair::{Doors, Verified};
use super::sys::{self, Forked, Reap, SingleThreaded};
use super::watch::Watch;
use super::wire::{InitReport, MAX_PACKET, MAX_REQUEST, SetUp};
use super::{gateway, init, packet, reporting, setup};
use crate::caches::Claim;
use crate::enforcement::{Enforcement, Namespace};
use crate::plan::Plan;
use crate::resolve::HostSockets;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::net::RecvFlags;
use rustix::pipe::PipeFlags;
use rustix::process::{DumpableBehavior, Pid};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// How long to wait between two passes over remnants that will not die at once.
const SWEEP_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// Longest reason told for a session that did not begin, in characters: what a packet takes in any case.
const MAX_REASON: usize = MAX_PACKET / 8;

/// Runs a session's own process, with the control socket as standard input.
pub(super) fn run_session_process() -> ! {
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
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    // From here on the server is told what failed.
    let Err(error) = guard(proof, &control) else { return Ok(()) };
    // A packet takes so much; nothing says more.
    let reason = error.to_string().chars().take(MAX_REASON).collect();
    // When the server is gone too, there is nobody to tell.
    let _ = packet::send(&control, &InitReport::Failed(reason), &[]);
    Ok(())
}

/// Guards a session from its plan to its end. An error means that it never began.
fn guard(proof: SingleThreaded, control: &OwnedFd) -> io::Result<()> {
    give_up_standard_input()?;
    // For people who look at lists of processes.
    let _ = rustix::thread::set_name(c"sandbox-guard");
    // A terminal's Ctrl-C is for the server, which ends the session when it is done with it.
    let _ = crate::sys::new_session();
    let myself = rustix::process::getpid();
    let adopts = rustix::process::set_child_subreaper(Some(myself)).is_ok();
    let mark = (!adopts).then(|| Mark::of_session(myself));
    let signals = sys::signal_descriptor(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP])?;
    let Received { plan, errands, group, watch } = receive_plan(control)?;
    let mut plan = Plan { brokered: plan.brokered && reporting::can_listen(proof), ..plan };
    if mark.is_some() && plan.mode.is_enforced() {
        return Err(io::Error::other(NO_SUBREAPERS));
    }
    let tree = Tree::new(myself, mark.clone());
    let lost_sockets = if plan.mode.is_enforced() { HostSockets::now()?.lost.len() } else { 0 };
    // Until the session's end. Without them tools find their caches read-only, which some can live with.
    let caches = plan.caches.as_ref().and_then(|caches| Claim::take(caches).ok());
    let caches = caches.as_ref();
    let mut started = start(&Request {
        proof,
        control,
        plan: &plan,
        group: group.as_ref(),
        watch: &watch,
        caches,
        mark: mark.as_ref(),
        lost_sockets,
    });
    if let Ok(running) = &mut started {
        // Only now: the maps of init are written through its `/proc` entry.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        let sides = Sides { control, errands: &errands, signals: &signals, session: &tree };
        keep(proof, &sides, &mut plan, running);
    }
    end_everything(&tree);
    started.map(drop)
}

/// Keeps the server's socket out of reach of what is started later, and leaves `/dev/null` in its place.
fn give_up_standard_input() -> io::Result<()> {
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    Ok(rustix::stdio::dup2_stdin(&null)?)
}

/// What a guard is given.
struct Received {
    plan: Plan,
    errands: OwnedFd,
    /// Where processes are put into the session's control group.
    group: Option<OwnedFd>,
    watch: Result<Rc<Watch>, String>,
}

fn receive_plan(control: &OwnedFd) -> io::Result<Received> {
    let packet = packet::receive(control, RecvFlags::empty())?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let set_up = SetUp::decode(&packet.bytes)?;
    let mut descriptors = packet.descriptors.into_iter();
    let (Some(plan), Some(errands)) = (descriptors.next(), descriptors.next()) else {
        return Err(io::Error::other("the first message does not bring a plan and a socket"));
    };
    let group = if set_up.grouped { descriptors.next() } else { None };
    if set_up.grouped && group.is_none() {
        return Err(io::Error::other("the first message does not bring a control group"));
    }
    let watch =
        descriptors.next().zip(descriptors.next()).map(|(socket, bell)| Rc::new(Watch::new(socket, bell)));
    let watch = watch.ok_or(set_up.unwatched.unwrap_or_default());
    set_up.descriptor_limit.into_iter().for_each(crate::program::lower_descriptor_limit);
    rustix::fs::seek(&plan, rustix::fs::SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
    File::from(plan).take(limit).read_to_end(&mut bytes)?;
    let plan = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    Ok(Received { plan, errands, group, watch })
}

/// Why a session that could not notice what programs outside replace does not start.
const NOT_MENDED: &str = "protected and hidden files that a program outside replaces would lose their protection, because inotify is used up (sysctl fs.inotify.max_user_instances, fs.inotify.max_user_watches)";

/// Why a session does not start that would not have the bounds that it should.
const NOT_BOUNDED: &str = "its processes cannot be put into their control group";

/// Nothing hostile may be kept by a mark that it can take off.
const NO_SUBREAPERS: &str = "this kernel does not give orphans to a subreaper (prctl PR_SET_CHILD_SUBREAPER), so processes could outlive their call";

/// Said of a session that enforces nothing on such a kernel.
const NOT_ADOPTED: &str = "a process that leaves its parent and clears or hides its environment outlives its call, because this kernel has no subreapers";

/// Said of sockets that nothing can cover.
fn gap_of_lost_sockets(count: usize) -> Option<String> {
    let words = format!(
        "{count} Unix sockets of programs outside were bound by relative names, so where they are is not known and nothing covers them"
    );
    (count > 0).then_some(words)
}

/// What a session needs while it lives.
struct Running {
    init: Pid,
    /// Removed from the user's folders when the session ends.
    placeholders: Placeholders,
    /// For putting mounts back; none without mounts.
    mending: Option<Mending>,
}

/// What init is started from, in whichever form.
struct Request<'a> {
    proof: SingleThreaded,
    control: &'a OwnedFd,
    plan: &'a Plan,
    group: Option<&'a OwnedFd>,
    watch: &'a Result<Rc<Watch>, String>,
    caches: Option<&'a Claim>,
    mark: Option<&'a Mark>,
    /// How many sockets of the host there are whose files are not known.
    lost_sockets: usize,
}

/// Starts init in the best form that this machine allows; init reports to the server itself.
fn start(request: &Request<'_>) -> io::Result<Running> {
    let Request { proof, plan, .. } = *request;
    let wanted = namespaces::wanted(plan);
    let mut reasons: Vec<String> = Vec::new();
    let mut attempts = VecDeque::from([Attempt(wanted.clone())]);
    let mut tried = Vec::new();
    while let Some(attempt) = attempts.pop_front() {
        // Without mounts of its own a session cannot protect the names, and with a broker their folders are held: placeholders
        // would only litter.
        let names = if attempt.has(Namespace::Mount) { placeholders_of(plan) } else { Vec::new() };
        let placeholders = Placeholders::make(&names).map_err(io::Error::other)?;
        match start_as(request, &attempt, &reasons) {
            Ok((init, mending)) => return Ok(Running { init, placeholders, mending }),
            // Commands can use inotify up: that must not get them a weaker form.
            Err(Failed::Watching(error)) => return Err(io::Error::other(format!("{NOT_MENDED}: {error}"))),
            Err(Failed::Bounding(error)) => return Err(io::Error::other(format!("{NOT_BOUNDED}: {error}"))),
            Err(Failed::Attempt(error)) => {
                let reason = error.to_string();
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
        if tried.is_empty() && !wanted.is_empty() {
            attempts.extend(namespaces::attempts(plan, &namespaces::obtainable(proof, &wanted)));
        }
        tried.push(attempt);
        attempts.retain(|attempt| !tried.contains(attempt));
    }
    Err(io::Error::other(reasons.join("; ")))
}

/// Why init was not started.
enum Failed {
    /// Not in this form.
    Attempt(io::Error),
    /// In none, because it could not be watched over.
    Watching(io::Error),
    /// In none, because it could not be bounded.
    Bounding(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Attempt(error)
    }
}

/// Starts init in one form. An error means that nothing is left of the attempt.
fn start_as(
    request: &Request<'_>,
    attempt: &Attempt,
    reasons: &[String],
) -> Result<(Pid, Option<Mending>), Failed> {
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from);
    let ((may_begin, begin), (outcome, tell)) = (pipe()?, pipe()?);
    let forked = match attempt.flags() {
        0 => sys::fork(request.proof),
        flags => sys::fork_into_namespaces(request.proof, flags),
    };
    match forked.map_err(|error| io::Error::other(format!("could not make namespaces: {error}")))? {
        Forked::Child => {
            drop((begin, outcome));
            // The guard says when our users are mapped; silence means that it is gone.
            let mut order = [0_u8; 1];
            if !matches!(rustix::io::read(&may_begin, &mut order), Ok(1)) {
                sys::exit_now(71);
            }
            become_init(request, attempt, reasons, tell)
        }
        Forked::Parent(init) => {
            drop((may_begin, tell));
            let settled = settle(init, request, attempt, &begin, outcome);
            if settled.is_err() {
                sys::signal_process(init.as_raw_nonzero().get(), libc::SIGKILL);
                let _ = rustix::process::waitpid(Some(init), rustix::process::WaitOptions::empty());
            }
            settled.map(|mending| (init, mending))
        }
    }
}

/// The guard's side of an attempt: maps users, lets init begin, waits for its outcome.
fn settle(
    init: Pid,
    request: &Request<'_>,
    attempt: &Attempt,
    begin: &OwnedFd,
    outcome: OwnedFd,
) -> Result<Option<Mending>, Failed> {
    if attempt.has(Namespace::User) {
        namespaces::map_identities(init)
            .map_err(|error| io::Error::other(format!("could not map users into the namespace: {error}")))?;
    }
    // Before it has any children.
    if let Some(group) = request.group {
        let put = rustix::io::write(group, init.as_raw_nonzero().to_string().as_bytes());
        put.map_err(|error| Failed::Bounding(error.into()))?;
    }
    // Before init closes itself to looks, and before it mounts: what is replaced from now on is noticed.
    let mending = match Doors::open(init, attempt)? {
        None => None,
        Some(doors) => {
            let verified = Verified::open(init)?;
            let watch =
                request.watch.as_ref().map_err(|why| Failed::Watching(io::Error::other(why.clone())))?;
            let begun = Mending::begin(doors, Rc::clone(watch), verified, request.plan, attempt);
            Some(begun.map_err(Failed::Watching)?)
        }
    };
    rustix::io::write(begin, &[1]).map_err(io::Error::from)?;
    let mut told = Vec::new();
    File::from(outcome).take(4096).read_to_end(&mut told)?;
    match told.split_first() {
        Some((0, _)) => Ok(mending),
        Some((_, reason)) => Err(io::Error::other(String::from_utf8_lossy(reason).into_owned()).into()),
        None => Err(io::Error::other("the sandbox's init died while it was set up").into()),
    }
}

fn become_init(request: &Request<'_>, attempt: &Attempt, reasons: &[String], tell: OwnedFd) -> ! {
    let Request { proof, control, plan, caches, mark, .. } = *request;
    // Before the filter of system calls, and before anything hostile runs.
    let own_network = plan.mode.is_enforced() && attempt.has(Namespace::Network);
    let sock_diag = own_network.then(sys::open_sock_diag).transpose();
    let errands = attempt.has(Namespace::Mount);
    let open = |by_name| gateway::open(by_name, errands);
    let gateway = plan.by_name.as_ref().filter(|_| own_network).map(open).transpose();
    let is_proxied = plan.by_name.is_some() && plan.mode.is_enforced() && plan.brokered && !own_network;
    let proxy = is_proxied.then(|| gateway::open_proxy().ok()).flatten();
    let by_name = plan.by_name.clone().filter(|_| matches!(gateway, Ok(Some(_))));
    let plan = &Plan { by_name, ..plan.clone() };
    let prepared = setup::apply(plan, caches, attempt, proxy.as_ref().map(|(_, port)| *port))
        .map_err(io::Error::other)
        .and_then(|mut enforcement| {
            enforcement.by_name = plan.by_name.is_some();
            enforcement.no_gateway = gateway.as_ref().err().map(ToString::to_string);
            enforcement.fallbacks = reasons.to_vec();
            if mark.is_some() {
                enforcement.gaps.push(NOT_ADOPTED.to_owned());
            }
            if enforcement.landlock.is_none_or(|abi| abi < UNIX_SOCKETS_SINCE) {
                enforcement.gaps.extend(gap_of_lost_sockets(request.lost_sockets));
            }
            let session = InForce {
                landlock: enforcement.landlock,
                network: enforcement.has(Namespace::Network),
                uncounted: enforcement.brokered.then(|| setup::reach(plan, attempt, &enforcement)),
            };
            let terminals = own_terminals(plan, &enforcement);
            let has_proxy = enforcement.by_proxy.is_some();
            let report = InitReport::Ready { enforcement, terminals: terminals.is_some() };
            // Last: what fails after the report would be tried again in a weaker form, under the name of this one.
            let ends = (control.try_clone()?, sys::signal_descriptor(&[libc::SIGCHLD])?);
            let sock_diag = sock_diag?;
            let proxy = proxy.filter(|_| has_proxy);
            let (made, namespace) = gateway.ok().flatten().unzip();
            let made = made.or(proxy.map(|(gateway, _)| gateway));
            let gateway = namespace.iter().chain(made.iter().flat_map(gateway::sockets));
            let descriptors: Vec<BorrowedFd<'_>> =
                sock_diag.iter().chain(gateway).chain(&terminals).map(AsFd::as_fd).collect();
            packet::send(control, &report, &descriptors)?;
            Ok((ends, session))
        });
    match prepared {
        Ok(((own_control, signals), session)) => {
            let _ = rustix::io::write(&tell, &[0]);
            drop(tell);
            init::serve(proof, own_control, signals, mark, session)
        }
        Err(error) => {
            let mut outcome = vec![1];
            outcome.extend(error.to_string().bytes().take(4000));
            let _ = rustix::io::write(&tell, &outcome);
            sys::exit_now(71)
        }
    }
}

/// The place where the session's own terminals are made: programs inside find such a terminal by its name, one of the host's
/// not.
fn own_terminals(plan: &Plan, enforcement: &Enforcement) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let has_own = plan.mode.is_enforced() && enforcement.has(Namespace::Mount);
    has_own.then(|| rustix::fs::open("/dev/pts/ptmx", flags, Mode::empty()).ok()).flatten()
}

/// Who may want something of the guard, and what it keeps.
struct Sides<'a> {
    control: &'a OwnedFd,
    errands: &'a OwnedFd,
    signals: &'a OwnedFd,
    session: &'a Tree,
}

/// Returns when the session must end.
fn keep(proof: SingleThreaded, sides: &Sides<'_>, plan: &mut Plan, running: &mut Running) {
    let Sides { control, errands, signals, session } = *sides;
    loop {
        let mut polled = vec![
            PollFd::new(control, PollFlags::empty()),
            PollFd::new(signals, PollFlags::IN),
            PollFd::new(errands, PollFlags::IN),
        ];
        polled.extend(running.mending.iter().map(|mending| PollFd::new(mending.bell(), PollFlags::IN)));
        if packet::wait_any(&mut polled, None).is_err() {
            break;
        }
        let server_gone = polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR);
        let told = sys::drain_signals(signals.as_fd());
        let child = u32::try_from(libc::SIGCHLD).unwrap_or(0);
        if server_gone || told.iter().any(|signal| *signal != child) || has_ended(running.init) {
            break;
        }
        let asked = polled[2].revents().contains(PollFlags::IN);
        let rung = polled.get(3).is_some_and(|bell| !bell.revents().is_empty());
        let Some(mending) = &mut running.mending else { continue };
        // What was replaced before something was asked for is noticed with it.
        if (asked || rung) && mending.notice(proof, session, plan, &mut running.placeholders).is_err() {
            break;
        }
        if asked {
            mending.run_errand(proof, errands, plan);
        }
    }
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
fn end_everything(tree: &Tree) {
    loop {
        // Whether something is left is told by its end, not by a look that may fail.
        let _ = tree.kill(&[]);
        match sys::reap_any() {
            // All that have ended, before the next walk through all processes.
            Ok(Reap::One(_)) => while let Ok(Reap::One(_)) = sys::reap_any() {},
            Ok(Reap::NoChildren) if !tree.has_orphans().unwrap_or(true) => return,
            Ok(Reap::NoneEnded | Reap::NoChildren) => {
                let _ = rustix::event::poll(&mut [], Some(&SWEEP_INTERVAL));
            }
            Err(_) => return,
        }
    }
}

/// Standard error is the server's log; a guard that cannot even read its plan has no better place.
fn tell_nobody(error: &io::Error) {
    let text = format!("sandbox guard: {error}\n");
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
}
