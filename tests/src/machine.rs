//! What the machine has for a test, and whoever has started the tests lets it have; what is skipped without is said.

#![expect(clippy::print_stderr, reason = "who reads a test's output is to see what was skipped")]

pub use rustix::process::Resource;

/// Open files of a server with a flood of programs.
pub const FLOOD_FILES: u64 = 2000;

/// Tells whether what a test needs is here. Where `TESTS_MUST_SANDBOX` is set, it must be.
///
/// # Panics
///
/// When it is not, and must be.
#[must_use]
pub fn is_here(what: &str, test: Result<(), String>) -> bool {
    let Err(why) = test else { return true };
    assert!(std::env::var_os("TESTS_MUST_SANDBOX").is_none(), "{what}: {why}");
    eprintln!("skipped: {what}: {why}");
    false
}

/// Tells whether a program is on this machine that a test tries out where it is.
#[must_use]
pub fn is_installed(program: &str) -> bool {
    let is_there = ["/usr/bin", "/usr/local/bin", "/usr/local/go/bin"]
        .iter()
        .any(|folder| std::path::Path::new(folder).join(program).exists());
    if !is_there {
        eprintln!("skipped: there is no {program} here");
    }
    is_there
}

/// Says why a test is skipped.
pub fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// Tells whether the hard limit of a resource lets a server have as much as a test needs.
#[must_use]
pub fn is_allowed(resource: Resource, least: u64) -> bool {
    let is_enough = rustix::process::getrlimit(resource).maximum.is_none_or(|maximum| maximum >= least);
    if !is_enough {
        eprintln!("skipped: the hard limit {resource:?} is below {least}");
    }
    is_enough
}

/// The most memory that a process has had, in KiB (proc(5), `VmHWM`).
///
/// # Panics
///
/// When there is no such process.
#[must_use]
pub fn most_memory(pid: u32) -> u64 {
    kibibytes(pid, "VmHWM:")
}

/// The memory of its own that a process has, in KiB (proc(5), `RssAnon`).
///
/// # Panics
///
/// When there is no such process.
#[must_use]
pub fn own_memory(pid: u32) -> u64 {
    kibibytes(pid, "RssAnon:")
}

fn kibibytes(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("proc(5)");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
