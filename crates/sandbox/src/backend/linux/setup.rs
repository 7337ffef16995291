//! Brings a plan into force in the process that becomes the session's init: a flat list of steps, each with its reason.
//!
//! Either every step succeeds and what is in force is returned, or the session does not start in this form. `guard` tries
//! the forms in order; here nothing is skipped.

use super::landlock_rules::{self, LandlockError, OwnNamespaces};
use super::laying::MountError;
use super::limits;
use super::mounts;
use super::namespaces::{self, Attempt};
use super::seccomp::{self, Reach, SeccompError, Sockets};
use super::sys;
use crate::caches::Claim;
use crate::enforcement::{Enforcement, Namespace};
use crate::plan::{Layers, Plan};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::SecureComputingMode;
use std::io;
use std::path::{Path, PathBuf};

/// Says which step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("could not tie the session to its guard: {0}")]
    TieToGuard(#[source] io::Error),
    #[error("could not bring the loopback interface up: {0}")]
    Loopback(#[source] io::Error),
    #[error(transparent)]
    Mounts(#[from] MountError),
    #[error("could not limit open files and core dumps: {0}")]
    LimitFiles(#[source] io::Error),
    #[error("could not give up capabilities: {0}")]
    Capabilities(#[source] io::Error),
    #[error("could not set no_new_privs: {0}")]
    NoNewPrivileges(#[source] io::Error),
    #[error(transparent)]
    Landlock(#[from] LandlockError),
    #[error(
        "this kernel has no Landlock (or one older than ABI {least}), and there are no namespaces: nothing can keep commands from writing files. Linux 5.12 is needed with namespaces, 6.2 with Landlock alone; this is {release}",
        least = landlock_rules::LEAST_ALONE,
        release = rustix::system::uname().release().to_string_lossy()
    )]
    NothingProtectsFiles,
    #[error("only Landlock can restrict what is readable, and this kernel has none")]
    NothingRestrictsReading,
    #[error(
        "without Landlock, a user namespace or a PID namespace, the files of the host can be reached through its processes"
    )]
    NothingKeepsProcessesApart,
    #[error("only Landlock can say which files are executed, and this kernel has none")]
    NothingLimitsExecution,
    #[error("without a mount namespace, nothing can keep files that commands may write from being executed")]
    NothingForbidsExecution,
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
    #[error("the layers were applied, but {0} is not in force")]
    NotInForce(&'static str),
}

/// Applies the plan to this process and returns what is in force.
pub(super) fn apply(
    plan: &Plan,
    caches: Option<&Claim>,
    attempt: &Attempt,
    proxy: Option<u16>,
) -> Result<Enforcement, SetupError> {
    // Nothing inside may look into init; set here and not in the guard, whose `/proc` entry must stay writable for maps.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(io_error(SetupError::TieToGuard))?;
    // The guard's death, however sudden, is init's, and init's is everybody's.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io_error(SetupError::TieToGuard))?;
    let mut enforcement = Enforcement::none(plan.mode);
    enforcement.namespaces.clone_from(&attempt.0);
    enforcement.missing = namespaces::wanted(plan).into_iter().filter(|kind| !attempt.has(*kind)).collect();
    if plan.execution.needs_mounts() && !attempt.has(Namespace::Mount) {
        return Err(SetupError::NothingForbidsExecution);
    }
    if !plan.mode.is_enforced() {
        if plan.execution.needs_mounts() {
            enforcement.landlock = limit_execution(plan, attempt)?;
        }
        return Ok(enforcement);
    }
    // Before /proc/sys becomes read-only.
    match limits::limit_processes(plan.limits, attempt.has(Namespace::User), attempt.has(Namespace::Pid)) {
        Ok(mechanism) => enforcement.process_limit = Some(mechanism),
        Err(reason) => enforcement.gaps.push(format!("the number of processes is not limited ({reason})")),
    }
    if attempt.has(Namespace::User) {
        limits::limit_watches();
    }
    limits::limit_files(plan.limits).map_err(SetupError::LimitFiles)?;
    // A private network of loopback alone, so that servers and tests can talk to themselves.
    if attempt.has(Namespace::Network) {
        sys::bring_loopback_up().map_err(SetupError::Loopback)?;
    }
    if attempt.has(Namespace::Mount) {
        let with_layers = mounts::build(plan, caches, attempt.has(Namespace::Pid))?;
        enforcement.caches = caches.map(|_| with_layers);
    } else {
        enforcement.caches = caches.map(|_| Vec::new());
    }
    enforcement.brokered = plan.brokered;
    let reaches_others = !attempt.has(Namespace::User) && !attempt.has(Namespace::Pid);
    limits::drop_capabilities(reaches_others).map_err(SetupError::Capabilities)?;
    // No program gains rights by being executed; Landlock and seccomp demand it of everyone but root.
    rustix::thread::set_no_new_privs(true).map_err(io_error(SetupError::NoNewPrivileges))?;
    let mut cached = enforcement.caches.clone().unwrap_or_default();
    cached.extend(caches.map(|caches| caches.own.clone()));
    apply_landlock(plan, &cached, attempt, &mut enforcement)?;
    // Landlock forbids all TCP: who connects to the proxy is who answers, outside.
    let is_held = enforcement.landlock.is_some_and(|abi| abi >= landlock_rules::TCP_SINCE);
    enforcement.by_proxy = proxy.filter(|_| is_held && enforcement.brokered);
    seccomp::apply(reach(plan, attempt, &enforcement))?;
    enforcement.seccomp = true;
    verify(plan)?;
    enforcement.gaps.extend(gaps(plan, attempt, &enforcement));
    Ok(enforcement)
}

/// All that is enforced where a program has the user's rights, but executes nothing that commands can write. Returns the
/// Landlock ABI in force.
fn limit_execution(plan: &Plan, attempt: &Attempt) -> Result<Option<u32>, SetupError> {
    mounts::build_outside(plan)?;
    // What gains rights by being executed would take the mounts off.
    rustix::thread::set_no_new_privs(true).map_err(io_error(SetupError::NoNewPrivileges))?;
    limits::drop_rights_past_mounts(attempt.has(Namespace::User)).map_err(SetupError::Capabilities)?;
    Ok(landlock_rules::forbid_mounting()?)
}

fn apply_landlock(
    plan: &Plan,
    caches: &[PathBuf],
    attempt: &Attempt,
    enforcement: &mut Enforcement,
) -> Result<(), SetupError> {
    let own =
        OwnNamespaces { mounts: attempt.has(Namespace::Mount), network: attempt.has(Namespace::Network) };
    if plan.layers != Layers::WithoutLandlock {
        enforcement.landlock = landlock_rules::restrict(plan, caches, &own)?;
    }
    let abi = enforcement.landlock.unwrap_or(0);
    if abi < landlock_rules::LEAST_ALONE && !own.mounts {
        return Err(SetupError::NothingProtectsFiles);
    }
    if abi == 0 && plan.only_readable.is_some() {
        return Err(SetupError::NothingRestrictsReading);
    }
    if abi == 0 && plan.execution.only.is_some() {
        return Err(SetupError::NothingLimitsExecution);
    }
    // /proc/PID/root of a process outside leads to the host's mounts, on which nothing is read-only or hidden. Landlock forbids it,
    // and so does a user namespace (`ptrace_may_access` in kernel/ptrace.c); without processes from outside there is none.
    if abi == 0 && !attempt.has(Namespace::User) && !attempt.has(Namespace::Pid) {
        return Err(SetupError::NothingKeepsProcessesApart);
    }
    Ok(())
}

/// What the filter of system calls depends on. Where names are brokered, the server answers for what is refused, too.
pub(super) fn reach(plan: &Plan, attempt: &Attempt, enforcement: &Enforcement) -> Reach {
    Reach {
        sockets: sockets(plan, attempt, enforcement),
        own_ipc: attempt.has(Namespace::Ipc),
        debug: plan.debug,
        counts: enforcement.brokered,
    }
}

/// Chooses the sockets: IP ones are harmless on a private loopback, and right where the network is allowed. Without either,
/// Unix sockets of the host must be out of reach some other way, or none can be connected.
fn sockets(plan: &Plan, attempt: &Attempt, enforcement: &Enforcement) -> Sockets {
    if plan.network.is_enabled() {
        return Sockets::WithIp;
    }
    match (enforcement.keeps_unix_sockets_away(), attempt.has(Namespace::Network)) {
        (true, true) => Sockets::WithIp,
        (true, false) if enforcement.by_proxy.is_some() => Sockets::TcpAndUnix,
        (true, false) => Sockets::NoIp,
        (false, true) => Sockets::IpAndPairs,
        (false, false) if enforcement.by_proxy.is_some() => Sockets::TcpAndPairs,
        (false, false) => Sockets::OnlyPairs,
    }
}

/// Looks once more, from inside, at what must be in force by now.
fn verify(plan: &Plan) -> Result<(), SetupError> {
    if rustix::thread::no_new_privs() != Ok(true) {
        return Err(SetupError::NotInForce("no_new_privs"));
    }
    if rustix::thread::secure_computing_mode() != Ok(SecureComputingMode::Filter) {
        return Err(SetupError::NotInForce("the filter of system calls"));
    }
    // A file without a name leaves no trace when it can be made after all.
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let root_is_writable = plan.writable.iter().any(|root| root == Path::new("/"));
    if !root_is_writable && rustix::fs::open("/", flags, Mode::RUSR).is_ok() {
        return Err(SetupError::NotInForce("write protection"));
    }
    Ok(())
}

/// Lists what the policy wants and these layers cannot do.
fn gaps(plan: &Plan, attempt: &Attempt, enforcement: &Enforcement) -> Vec<String> {
    let abi = enforcement.landlock.unwrap_or(0);
    let sockets = sockets(plan, attempt, enforcement);
    let pairs_only = matches!(sockets, Sockets::OnlyPairs | Sockets::TcpAndPairs);
    let mut gaps = Vec::new();
    if enforcement.by_proxy.is_some() {
        gaps.push("hosts are reached through a proxy alone (HTTP_PROXY, HTTPS_PROXY), because there is no network namespace: programs that know of no proxy reach none, and servers cannot listen on TCP ports".to_owned());
    }
    if !attempt.has(Namespace::Mount) {
        let inside_roots =
            |path: &&std::path::PathBuf| plan.writable.iter().any(|root| path.starts_with(root));
        let reserved = plan.reserved.iter().map(|reserved| &reserved.path);
        let unprotected = plan.read_only.iter().chain(reserved).filter(inside_roots).count();
        if unprotected > 0 {
            let how = if plan.brokered {
                "are held by a look at each call that would change them, which a program can outrun that exchanges what a path leads to"
            } else {
                "can be written"
            };
            gaps.push(format!(
                "{unprotected} protected places inside writable folders (.git/hooks and the like) {how}, because there is no mount namespace"
            ));
        }
        if !plan.writable.is_empty() {
            gaps.push("sockets of programs outside that lie in writable folders such as /tmp can be moved away and their names taken, because there is no mount namespace".to_owned());
        }
        // Landlock grants whole hierarchies, so it cannot take a place out of a writable folder, nor out of /proc.
        let unhidden = |path: &&std::path::PathBuf| {
            inside_roots(path) || path.starts_with("/proc") && std::fs::File::open(path).is_ok()
        };
        let unhidden = plan.hidden.iter().chain(&plan.emptied).filter(unhidden).count();
        if unhidden > 0 {
            gaps.push(format!("{unhidden} hidden places inside writable folders or /proc can be read, because there is no mount namespace"));
        }
        gaps.push("modes, owners, times and attributes of the user's own files can be changed everywhere, because there is no mount namespace".to_owned());
        if plan.network.is_enabled() && abi < landlock_rules::UNIX_SOCKETS_SINCE {
            gaps.push(
                "Unix sockets of the host can be reached, because there is no mount namespace".to_owned(),
            );
        }
    } else if abi < landlock_rules::UNIX_SOCKETS_SINCE && !pairs_only {
        gaps.push("Unix sockets that programs outside open from now on can be reached where nothing covers them, because this kernel's Landlock does not judge sockets".to_owned());
    }
    gaps.extend(limits::gap_of_core_dumps());
    if abi == 0 {
        gaps.push("named pipes outside can be written, because there is no Landlock".to_owned());
    }
    if !attempt.has(Namespace::Pid) {
        gaps.push(
            "command lines of other processes can be seen, because there is no PID namespace".to_owned(),
        );
        gaps.push(
            "priorities and processors of the user's other processes can be changed, because there is no PID namespace"
                .to_owned(),
        );
        if abi < landlock_rules::SCOPE_SINCE {
            gaps.push("other processes of the user can be signalled".to_owned());
        }
    }
    if !attempt.has(Namespace::Network) && abi < landlock_rules::SCOPE_SINCE && !pairs_only {
        gaps.push("abstract Unix sockets of the host can be reached".to_owned());
    }
    gaps
}

fn io_error(step: impl Fn(io::Error) -> SetupError) -> impl Fn(rustix::io::Errno) -> SetupError {
    move |errno| step(errno.into())
}
