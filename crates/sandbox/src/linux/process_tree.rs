//! Finds all descendants of a process, and ends them.
//!
//! A supervisor is a subreaper: whatever a call starts stays below it, `setsid` and double forks included, because an
//! orphan's new parent is its nearest subreaper. So "no child left" means "no descendant left".

use super::sys;
use crate::wire::{LiveProcess, LiveProcesses};
use std::collections::HashSet;
use std::fs;
use std::io::Read;

/// Above what a session's process limit lets exist; bounds memory, not correctness (the killer loops).
const MAX_TREE: usize = 65_536;
/// Freezing gives up after this many passes and kills what it has; the caller comes back until nothing is left.
const MAX_PASSES: usize = 32;
/// Enough of a command line to recognise a program.
const COMMAND_LINE_BYTES: u64 = 256;

/// Returns the numbers of all descendants of `root`, without `root`, parents before children.
pub(super) fn descendants(root: i32) -> Vec<i32> {
    walk(root, &mut |_| {})
}

/// Tells which descendants of `root` are alive; those that ended and were not waited for do not count.
pub(super) fn live(root: i32) -> LiveProcesses {
    let pids: Vec<i32> = descendants(root).into_iter().filter(|pid| is_alive(*pid)).collect();
    let listed = pids
        .iter()
        .take(128)
        .map(|pid| LiveProcess { pid: *pid, command_line: command_line(*pid) })
        .collect();
    LiveProcesses { total: pids.len(), listed }
}

/// Asks every descendant of `root` to end: SIGTERM, and SIGCONT so that stopped ones hear it.
pub(super) fn terminate(root: i32) {
    for pid in descendants(root) {
        sys::signal_process(pid, libc::SIGTERM);
        sys::signal_process(pid, libc::SIGCONT);
    }
}

/// Kills every descendant of `root`, except those in `spared` (and what is below them).
///
/// A tree that forks while it is being killed is frozen first: a process with a pending SIGSTOP cannot finish a fork
/// (`copy_process` gives up when a signal is pending), and while it is stopped its list of children stands still.
/// Passes go on until one finds nobody new. The killing itself walks afresh, so that each number is used at once after it was
/// read: one that was kept since the first pass may belong to another process by now.
pub(super) fn kill_all(root: i32, spared: &[i32]) {
    let mut frozen = HashSet::new();
    for _ in 0..MAX_PASSES {
        let before = frozen.len();
        walk_sparing(root, spared, &mut |pid| {
            if frozen.insert(pid) {
                sys::signal_process(pid, libc::SIGSTOP);
            }
        });
        if frozen.len() == before {
            break;
        }
    }
    // Bottom-up: while a parent is stopped, the numbers of its dead children stay taken.
    for pid in walk_sparing(root, spared, &mut |_| {}).into_iter().rev() {
        sys::signal_process(pid, libc::SIGKILL);
    }
}

fn walk(root: i32, visit: &mut dyn FnMut(i32)) -> Vec<i32> {
    walk_sparing(root, &[], visit)
}

/// Visits top-down; `visit` is called with a process *before* its children are read.
fn walk_sparing(root: i32, spared: &[i32], visit: &mut dyn FnMut(i32)) -> Vec<i32> {
    let mut found = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut next = children(root);
    while let Some(pid) = next.pop() {
        if found.len() >= MAX_TREE || spared.contains(&pid) || !seen.insert(pid) {
            continue;
        }
        visit(pid);
        found.push(pid);
        next.extend(children(pid));
    }
    found
}

/// Returns the direct children of a process, of all its threads; none when it is gone.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(text) => {
                found.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<i32>().ok()))
            }
            // A kernel without CONFIG_PROC_CHILDREN has no such file for a thread that is there.
            Err(_) if thread.path().join("stat").exists() => return children_by_scan(pid),
            Err(_) => {}
        }
    }
    found
}

fn children_by_scan(parent: i32) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| status(*pid).is_some_and(|(_, of)| of == parent))
        .collect()
}

fn is_alive(pid: i32) -> bool {
    status(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// Returns the state letter and the parent of a process (proc_pid_stat(5); the name in brackets may hold anything).
fn status(pid: i32) -> Option<(char, i32)> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn command_line(pid: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(format!("/proc/{pid}/cmdline")) {
        // A process that goes away meanwhile has no command line to tell.
        let _ = file.take(COMMAND_LINE_BYTES).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// The tree hangs below a process of its own: the kernel's list of children may leave some out while others of a
    /// process with many threads, such as a test's, come and go (proc(5), `/proc/PID/task/TID/children`).
    #[test]
    fn a_grandchild_is_found_alive_with_its_command_line_and_no_longer_after_its_end() {
        let script = "sleep 1000 & read -r line; kill $!; wait; echo over; read -r line";
        let mut shell = std::process::Command::new("sh")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let root = i32::try_from(shell.id()).unwrap();
        let shown = || live(root).listed.iter().map(LiveProcess::display).collect::<Vec<_>>();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while shown() != ["sleep 1000"] {
            assert!(std::time::Instant::now() < deadline, "{:?}", shown());
            std::thread::yield_now();
        }
        let mut said = [0; 5];
        shell.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
        shell.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(shown(), [""; 0]);
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
}
