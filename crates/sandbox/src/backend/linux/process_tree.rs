//! Finds all descendants of a process, and ends them.
//!
//! A supervisor is a subreaper: whatever a call starts stays below it, `setsid` and double forks included, because an
//! orphan's new parent is its nearest subreaper. So "no child left" means "no descendant left". Where the kernel has no
//! subreapers (gVisor), orphans are found by a variable in their environment: see [`Mark`].

use super::sys;
use crate::event::{LiveProcess, LiveProcesses, MAX_COMMAND_LINE, MAX_LISTED};
use rustix::process::Pid;
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// Above what a session's process limit lets exist; bounds memory, not correctness (the killer loops).
const MAX_TREE: usize = 65_536;
/// Freezing gives up after this many passes and kills what it has; the caller comes back until nothing is left.
const MAX_PASSES: usize = 32;
/// The kernel's limit on arguments and environment together (execve(2)) is at least this.
const ENVIRONMENT_BYTES: usize = 2 << 20;
/// Looks at a process whose environment is empty: while it executes a program, it has none yet (proc_pid_environ(5)).
/// One without a command line, too, surely does so, and is waited for.
const EXEC_ATTEMPTS: u32 = 10;
const EXEC_PAUSE: Duration = Duration::from_millis(1);
const EXEC_TIMEOUT: Duration = Duration::from_secs(1);

/// An entry in the environment of all that a session, or one call of it, starts, where the kernel has no subreapers.
/// Only a process that has lost its parent *and* clears or hides its environment is not found by it.
#[derive(Clone, Debug)]
pub(super) struct Mark(String);

impl Mark {
    /// Returns what the entries of every call of a session begin with.
    pub(super) fn of_session(guard: Pid) -> Mark {
        Mark(format!("SANDBOX_CALL={}.", guard.as_raw_nonzero()))
    }

    /// Returns the entry of one call of this session.
    pub(super) fn of_call(&self, call: u64) -> Mark {
        Mark(format!("{}{call}.", self.0))
    }

    /// Returns the entry, for the environment of the call's program.
    pub(super) fn entry(&self) -> &str {
        &self.0
    }

    /// Looks at a process's environment, with one read: between two of them it may have executed a program. None while
    /// it has no environment.
    fn is_carried_by(&self, pid: i32, buffer: &mut [u8]) -> io::Result<Option<bool>> {
        let environment = fs::File::open(format!("/proc/{pid}/environ"));
        Ok(match if_seen(environment.and_then(|mut file| file.read(buffer)))? {
            Some(0) if has_program(pid) => None,
            Some(length) => Some(self.is_in(buffer.get(..length).unwrap_or_default())),
            None => Some(false),
        })
    }

    fn is_in(&self, environment: &[u8]) -> bool {
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(self.0.as_bytes()))
    }

    /// Finds every process that carries it.
    fn carriers(&self) -> io::Result<Vec<i32>> {
        self.carriers_among(all_processes()?)
    }

    fn carriers_among(&self, pids: Vec<i32>) -> io::Result<Vec<i32>> {
        let mut buffer = vec![0; ENVIRONMENT_BYTES];
        let mut found = Vec::new();
        let mut unclear: Vec<(i32, u32)> = pids.into_iter().map(|pid| (pid, EXEC_ATTEMPTS)).collect();
        let deadline = Instant::now() + EXEC_TIMEOUT;
        loop {
            for (pid, attempts) in std::mem::take(&mut unclear) {
                match self.is_carried_by(pid, &mut buffer)? {
                    Some(carried) => found.extend(carried.then_some(pid)),
                    None if command_line(pid).is_empty() => unclear.push((pid, attempts)),
                    None if attempts > 1 => unclear.push((pid, attempts - 1)),
                    None => {}
                }
            }
            if unclear.is_empty() || Instant::now() >= deadline {
                return Ok(found);
            }
            std::thread::sleep(EXEC_PAUSE);
        }
    }
}

/// A process and everything that it has started, directly or not.
///
/// Whoever cannot look is told so and must end: a command may have seen to that, and what is not seen is not ended
/// either.
#[derive(Debug)]
pub(super) struct Tree {
    root: i32,
    /// Finds those that the kernel has given to others when their parents ended.
    mark: Option<Mark>,
}

impl Tree {
    /// The tree below a process; the mark is needed where that process could not become a subreaper.
    pub(super) fn new(root: Pid, mark: Option<Mark>) -> Tree {
        Tree { root: root.as_raw_nonzero().get(), mark }
    }

    /// Tells which processes of it are alive; those that ended and were not waited for do not count.
    pub(super) fn live(&self) -> io::Result<LiveProcesses> {
        let pids = alive(self.walk(&[], &mut |_| {})?)?;
        let listed = pids
            .iter()
            .take(MAX_LISTED)
            .map(|pid| LiveProcess { pid: *pid, command_line: command_line(*pid) })
            .collect();
        Ok(LiveProcesses { total: pids.len(), listed })
    }

    /// Lists the sockets that its processes hold open, by their own numbers (proc_pid_fd(5)).
    pub(super) fn sockets(&self) -> io::Result<HashSet<u64>> {
        let mut held = HashSet::new();
        for pid in self.walk(&[], &mut |_| {})? {
            let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let links = open
                .filter_map(|entry| fs::read_link(entry.path()).ok()?.into_os_string().into_string().ok());
            held.extend(
                links
                    .filter_map(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()),
            );
        }
        Ok(held)
    }

    /// Tells whether something of it is alive that is no child of its root any more, and that nobody tells the root
    /// about.
    pub(super) fn has_orphans(&self) -> io::Result<bool> {
        let Some(mark) = &self.mark else { return Ok(false) };
        Ok(!alive(mark.carriers()?)?.is_empty())
    }

    /// Asks every process of it to end: SIGTERM, and SIGCONT so that stopped ones hear it.
    pub(super) fn terminate(&self) -> io::Result<()> {
        for pid in self.walk(&[], &mut |_| {})? {
            sys::signal_process(pid, libc::SIGTERM);
            sys::signal_process(pid, libc::SIGCONT);
        }
        Ok(())
    }

    /// Kills every process of it, except those in `spared` (and what is below them).
    ///
    /// A tree that forks while it is being killed is frozen first: a process with a pending SIGSTOP cannot finish a
    /// fork (`copy_process` gives up when a signal is pending), and while it is stopped its list of children stands
    /// still. Passes go on until one finds nobody new. The killing itself walks afresh, so that each number is used at
    /// once after it was read: one that was kept since the first pass may belong to another process by now.
    pub(super) fn kill(&self, spared: &[i32]) -> io::Result<()> {
        let mut frozen = HashSet::new();
        for _ in 0..MAX_PASSES {
            let before = frozen.len();
            self.walk(spared, &mut |pid| {
                if frozen.insert(pid) {
                    sys::signal_process(pid, libc::SIGSTOP);
                }
            })?;
            if frozen.len() == before {
                break;
            }
        }
        // Bottom-up: while a parent is stopped, the numbers of its dead children stay taken.
        for pid in self.walk(spared, &mut |_| {})?.into_iter().rev() {
            sys::signal_process(pid, libc::SIGKILL);
        }
        Ok(())
    }

    /// Visits top-down; `visit` is called with a process *before* its children are read.
    fn walk(&self, spared: &[i32], visit: &mut dyn FnMut(i32)) -> io::Result<Vec<i32>> {
        let mut found = Vec::new();
        let mut seen = HashSet::from([self.root]);
        // Those first that still have their parents, and so their place in the order.
        let mut next = self.mark.as_ref().map_or_else(|| Ok(Vec::new()), Mark::carriers)?;
        next.extend(children(self.root)?);
        while let Some(pid) = next.pop() {
            if found.len() >= MAX_TREE || spared.contains(&pid) || !seen.insert(pid) {
                continue;
            }
            visit(pid);
            found.push(pid);
            next.extend(children(pid)?);
        }
        Ok(found)
    }
}

/// Returns the direct children of a process, of all its threads; none when it is gone.
pub(super) fn children(pid: i32) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    let Some(threads) = if_seen(fs::read_dir(format!("/proc/{pid}/task")))? else { return Ok(found) };
    for thread in threads {
        let Some(thread) = if_seen(thread)? else { continue };
        match if_seen(fs::read_to_string(thread.path().join("children")))? {
            Some(text) => {
                found.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<i32>().ok()))
            }
            // A kernel without CONFIG_PROC_CHILDREN has no such file for a thread that is there.
            None if thread.path().join("stat").exists() => return children_by_scan(pid),
            None => {}
        }
    }
    Ok(found)
}

fn children_by_scan(parent: i32) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for pid in all_processes()? {
        found.extend(status(pid)?.filter(|(_, of)| *of == parent).map(|_| pid));
    }
    Ok(found)
}

fn all_processes() -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        found.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(found)
}

/// What is told of a process; none where it is gone, or hidden from us as those of other users may be.
fn if_seen<T>(told: io::Result<T>) -> io::Result<Option<T>> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn alive(mut pids: Vec<i32>) -> io::Result<Vec<i32>> {
    let mut failed = Ok(());
    pids.retain(|pid| match status(*pid) {
        Ok(status) => status.is_some_and(|(state, _)| !matches!(state, 'Z' | 'X')),
        Err(error) => {
            failed = Err(error);
            false
        }
    });
    failed.map(|()| pids)
}

/// Tells whether a process is neither one of the kernel's own nor over.
fn has_program(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

/// Returns the state letter and the parent of a process (proc_pid_stat(5); the name in brackets may hold anything).
fn status(pid: i32) -> io::Result<Option<(char, i32)>> {
    let parse = |bytes: Vec<u8>| {
        let text = String::from_utf8_lossy(&bytes);
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
    };
    Ok(if_seen(fs::read(format!("/proc/{pid}/stat")))?.and_then(parse))
}

fn command_line(pid: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(format!("/proc/{pid}/cmdline")) {
        // A process that goes away meanwhile has no command line to tell.
        let _ = file.take(MAX_COMMAND_LINE as u64).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use eventually::until;
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
        let root = Pid::from_raw(i32::try_from(shell.id()).unwrap()).unwrap();
        let shown = || {
            Tree::new(root, None).live().unwrap().listed.iter().map(LiveProcess::display).collect::<Vec<_>>()
        };
        until("the grandchild is shown", || shown() == ["sleep 1000"]);
        let mut said = [0; 5];
        shell.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
        shell.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(shown(), [""; 0]);
        shell.kill().unwrap();
        shell.wait().unwrap();
    }

    #[test]
    fn an_orphan_that_executes_programs_all_the_time_is_found_each_time() {
        let mark = Mark::of_session(rustix::process::getpid()).of_call(13);
        let (name, value) = mark.entry().split_once('=').unwrap();
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "exec sh \"$0\"").unwrap();
        let mut shell = std::process::Command::new("sh").arg(&script).env(name, value).spawn().unwrap();
        let pid = i32::try_from(shell.id()).unwrap();
        let missed = (0..20_000).filter(|_| mark.carriers_among(vec![pid]).unwrap() != [pid]).count();
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert_eq!(missed, 0);
    }

    /// What a subreaper would get goes to somebody else here, because no process of a test is one.
    #[test]
    fn an_orphan_is_found_and_killed_by_its_mark() {
        let mark = Mark::of_session(rustix::process::getpid());
        let other = mark.of_call(1);
        let mark = mark.of_call(12);
        let (name, value) = mark.entry().split_once('=').unwrap();
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "setsid sleep 1000 > /dev/null & echo $!"])
            .env(name, value)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let root = Pid::from_raw(i32::try_from(shell.id()).unwrap()).unwrap();
        let mut said = String::new();
        shell.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        shell.wait().unwrap();
        let tree = Tree::new(root, Some(mark));
        assert!(tree.has_orphans().unwrap());
        assert!(!Tree::new(root, Some(other)).has_orphans().unwrap());
        assert!(!Tree::new(root, None).has_orphans().unwrap());
        assert_eq!(
            tree.live().unwrap().listed.iter().map(|one| one.pid.to_string()).collect::<Vec<_>>(),
            [said.trim()]
        );
        tree.kill(&[]).unwrap();
        until("the orphan is gone", || !tree.has_orphans().unwrap());
    }
}
