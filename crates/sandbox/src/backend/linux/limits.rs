//! What a session may use up: processes, open files, core dumps; and the capabilities that root keeps.

use crate::enforcement::ProcessLimit;
use crate::plan::Limits;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::fs;
use std::io;

/// Process numbers below this one are never given out again after the first round (pid(7): `RESERVED_PIDS`), so a limit
/// on numbers is a limit on processes only above it. Also the kernel's smallest `pid_max`.
const RESERVED_PIDS: u32 = 301;

/// What root keeps inside. With a read-only file system, Landlock and the filter of system calls none of it reaches
/// further than the writable roots; without it root could not use folders of other users, which is why servers run as
/// root at all.
const KEPT: &[(CapabilitySet, &str)] = &[
    (CapabilitySet::CHOWN, "build tools and package managers set owners in the workspace"),
    (CapabilitySet::DAC_OVERRIDE, "the workspace may belong to another user (containers)"),
    (CapabilitySet::FOWNER, "as above, for modes and times"),
    (CapabilitySet::FSETID, "as above, for set-group-id folders"),
    (CapabilitySet::KILL, "ending a process of the session that changed its user"),
    (CapabilitySet::SETGID, "`su`, `sudo -u`, package managers that drop to a user"),
    (CapabilitySet::SETUID, "as above"),
    (CapabilitySet::NET_BIND_SERVICE, "a test server on port 80 of the private loopback"),
];

/// Limits processes. Returns the mechanism that does, or none with the reason.
pub(super) fn limit_processes(
    limits: Limits,
    own_users: bool,
    own_processes: bool,
) -> Result<ProcessLimit, String> {
    let is_root = rustix::process::geteuid().is_root();
    // Counted per user namespace since Linux 5.14; without one, all processes of the user count, so they are added.
    let mut limited = Err("root is exempt from RLIMIT_NPROC".to_owned());
    if !is_root {
        let others = if own_users { 0 } else { processes_of_user() };
        let most = u64::from(limits.processes) + others;
        limited =
            set_limit(Resource::Nproc, most).map(|()| ProcessLimit::UserLimit).map_err(|e| e.to_string());
    }
    if own_processes && kernel_is_at_least(6, 14) {
        // Per PID namespace since Linux 6.14. Before that the file is the whole host's, and root could write it.
        let most = limits.processes.saturating_add(RESERVED_PIDS);
        match fs::write("/proc/sys/kernel/pid_max", most.to_string()) {
            Ok(()) => return Ok(ProcessLimit::PidMax),
            Err(error) => return limited.map_err(|reason| format!("{reason}; pid_max: {error}")),
        }
    }
    limited
}

/// Leaves most of the user's inotify instances to programs outside, and to sessions that are still to come: whoever notices what is
/// replaced outside needs one. Where the kernel does not count them by user namespace, the start of a session says so.
pub(super) fn limit_watches() {
    /// One part of so many is for a session.
    const SHARE: u64 = 4;
    for (all, own) in
        [("max_user_instances", "max_inotify_instances"), ("max_user_watches", "max_inotify_watches")]
    {
        let most = fs::read_to_string(format!("/proc/sys/fs/inotify/{all}")).ok();
        if let Some(most) = most.and_then(|most| most.trim().parse::<u64>().ok()) {
            let _ = fs::write(format!("/proc/sys/user/{own}"), (most / SHARE).max(1).to_string());
        }
    }
}

/// Compares with the running kernel's version, as `uname` tells it.
fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

/// No core dumps (they would hold the command's memory in a writable folder), and a bound on open files.
pub(super) fn limit_files(limits: Limits) -> io::Result<()> {
    // One byte is too small for a file, and tells the kernel not to start a program that takes dumps (`core_pattern`
    // with a pipe) either; zero would start it, outside and as root (core(5), and do_coredump in fs/coredump.c).
    // Where the maximum is zero already, it stays: whoever started the server has said so.
    set_limit(Resource::Core, 1)?;
    set_limit(Resource::Nofile, limits.open_files)
}

/// Says whether a crash inside starts a program outside all the same: see [`limit_files`].
pub(super) fn gap_of_core_dumps() -> Option<String> {
    let maximum = rustix::process::getrlimit(Resource::Core).maximum;
    let is_piped = fs::read("/proc/sys/kernel/core_pattern").is_ok_and(|pattern| pattern.starts_with(b"|"));
    (maximum == Some(0) && is_piped).then(|| {
        "crashes of commands start the system's handler of core dumps, because the server was started below `ulimit -c 0`, which does not stop a handler (`ulimit -c 1` does)"
            .to_owned()
    })
}

/// Sets both limits, never above the present maximum.
fn set_limit(resource: Resource, most: u64) -> io::Result<()> {
    let present = rustix::process::getrlimit(resource).maximum;
    let most = present.map_or(most, |present| present.min(most));
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

fn processes_of_user() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let me = rustix::process::geteuid().as_raw();
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let mine = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == me));
    // Threads count too.
    mine.map(|entry| fs::read_dir(entry.path().join("task")).map_or(1, |tasks| tasks.count() as u64)).sum()
}

/// Gives up the rights to see files past mounts, for good, also across `execve`: to open them by their handles, and, where the
/// mounts are the process's own, to change these.
pub(super) fn drop_rights_past_mounts(are_own: bool) -> io::Result<()> {
    let by_handle = CapabilitySet::DAC_READ_SEARCH;
    let dropped = if are_own { by_handle | CapabilitySet::SYS_ADMIN } else { by_handle };
    let present = rustix::thread::capabilities(None)?;
    if present.effective.contains(CapabilitySet::SETPCAP) {
        for capability in dropped.iter() {
            rustix::thread::remove_capability_from_bounding_set(capability)?;
        }
    }
    let kept = present.permitted - dropped;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Gives every capability up, except for root those of [`KEPT`]; for good, also across `execve`.
///
/// Where the processes of the host are in reach, the right to signal any of them goes, too.
pub(super) fn drop_capabilities(reaches_others: bool) -> io::Result<()> {
    let mut kept = CapabilitySet::empty();
    if rustix::process::geteuid().is_root() {
        kept = KEPT.iter().map(|(capability, _)| *capability).collect();
    }
    if reaches_others {
        kept.remove(CapabilitySet::KILL);
    }
    let present = rustix::thread::capabilities(None)?;
    // The bounding set first: changing it takes CAP_SETPCAP. Without that capability there is nothing to take away: a
    // process that has none gains none, because of no_new_privs.
    if present.effective.contains(CapabilitySet::SETPCAP) {
        for capability in (CapabilitySet::all() - kept).iter() {
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // A capability that this kernel does not have.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    match rustix::thread::clear_ambient_capability_set() {
        Ok(()) | Err(rustix::io::Errno::INVAL) => {}
        Err(errno) => return Err(errno.into()),
    }
    let kept = kept & present.permitted;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}
