//! Who is about to execute a program: the command's own shell, or something that it has started, and on whose behalf.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::visible::{shortened, visible};

/// Longest chain of parents that is followed.
const MOST_PARENTS: usize = 8;
/// How much of a parent's command line is shown, in characters, and read, in bytes.
const LONGEST_SHOWN: usize = 80;
const LONGEST_READ: usize = 400;
/// Bytes of an auxiliary vector; it has some twenty pairs of words.
const LONGEST_VECTOR: usize = 1024;

/// A program as it lies in memory. Forks are the same; whoever executes a program, even the same one, is another: the
/// vector holds addresses that the kernel draws by lot (getauxval(3), `AT_RANDOM`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image(Vec<u8>);

impl Image {
    pub(super) fn of(process: i32) -> Option<Image> {
        read(&format!("/proc/{process}/auxv"), LONGEST_VECTOR).filter(|read| !read.is_empty()).map(Image)
    }
}

/// The programs that have started it, the nearest first, up to the process `root`: each as a command line to be shown. The
/// call's own `shell` does not count, nor what it has forked.
pub(super) fn parents(process: i32, root: i32, shell: &Image) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut next = process;
    for _ in 0..4 * MOST_PARENTS {
        let is_shell = || Image::of(next).as_ref() == Some(shell);
        if next <= 1 || found.len() >= MOST_PARENTS || is_shell() {
            break;
        }
        let Some(shown) = command_line(next) else { break };
        // What was forked to execute another program is still its parent.
        if found.last() != Some(&shown) {
            found.push(shown);
        }
        // A shell becomes what it executes last.
        if next == root {
            break;
        }
        let Some(Stat { parent, .. }) = stat(next) else { break };
        next = parent;
    }
    found
}

/// The process that a thread is of.
pub(super) fn process_of(thread: i32) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// The name of the file that a thread's process executes.
pub(super) fn program_of(thread: i32) -> String {
    let file = std::fs::read_link(format!("/proc/{thread}/exe")).unwrap_or_default();
    file.file_name().map(|name| visible(name.as_encoded_bytes())).unwrap_or_default()
}

/// The parent of a process.
pub(super) fn parent_of(process: i32) -> Option<i32> {
    Some(stat(process)?.parent).filter(|parent| *parent > 0)
}

/// The number of a process in its own namespace.
pub(super) fn number_inside(process: i32) -> Option<u64> {
    field(&format!("/proc/{process}/status"), "NSpid:")?.split_ascii_whitespace().last()?.parse().ok()
}

/// Whether a number is that of a thread of this process for somebody inside, both as they are numbered there.
pub(super) fn is_thread(asker: i32, thread: u64, process: u64) -> bool {
    let thread = thread & u64::from(u32::MAX);
    let found = field(&format!("/proc/{asker}/root/proc/{thread}/status"), "NStgid:");
    found.and_then(|list| list.split_ascii_whitespace().last()?.parse().ok()) == Some(process)
}

/// Whether a descriptor of a process's is the end of a pipe that can only be written.
pub(super) fn can_only_be_written(thread: i32, descriptor: i32) -> bool {
    let is_pipe = std::fs::read_link(format!("/proc/{thread}/fd/{descriptor}"))
        .is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"pipe:"));
    let flags = field(&format!("/proc/{thread}/fdinfo/{descriptor}"), "flags:");
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    is_pipe && flags.is_some_and(|flags| flags & libc::O_ACCMODE == libc::O_WRONLY)
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
}

/// Whether something traces a thread.
pub(super) fn is_traced(thread: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let tracer = text.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

/// Whether a thread is in the middle of executing a program; `None` where it runs, which may be that (proc_pid_syscall(5)).
pub(super) fn is_executing(thread: i32) -> Option<bool> {
    let text = std::fs::read_to_string(format!("/proc/{thread}/syscall")).ok()?;
    let number: i64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some([libc::SYS_execve, libc::SYS_execveat].contains(&number))
}

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Its parent.
    pub(super) parent: i32,
    /// When it began, in ticks of the clock since the machine's start.
    pub(super) began: u64,
}

/// Reads it (proc_pid_stat(5): fields 4 and 22; the name in brackets may hold anything).
pub(super) fn stat(process: i32) -> Option<Stat> {
    let bytes = read(&format!("/proc/{process}/stat"), LONGEST_VECTOR)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
    Some(Stat { parent: fields.next()?.parse().ok()?, began: fields.nth(17)?.parse().ok()? })
}

/// The file that a process executes, and its arguments. What it is called is its own claim, and said only as that.
fn command_line(process: i32) -> Option<String> {
    let bytes = read(&format!("/proc/{process}/cmdline"), LONGEST_READ)?;
    let mut words = bytes.split(|byte| *byte == 0);
    let called = words.next().unwrap_or_default();
    let file = std::fs::read_link(format!("/proc/{process}/exe")).ok()?;
    let name = |path: &Path| path.file_name().map(OsStr::to_owned);
    let is_its_name = called.is_empty() || name(Path::new(OsStr::from_bytes(called))) == name(&file);
    let claim = (!is_its_name).then(|| format!("(as {})", shortened(&visible(called), LONGEST_SHOWN / 2)));
    let arguments = words.filter(|word| !word.is_empty()).map(visible);
    let shown: Vec<String> =
        std::iter::once(visible(file.as_os_str().as_bytes())).chain(claim).chain(arguments).collect();
    Some(shortened(&shown.join(" "), LONGEST_SHOWN))
}

/// One read: the kernel gives as much as there is.
fn read(path: &str, most: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; most];
    let length = File::open(path).ok()?.read(&mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_executed_the_same_program_is_another_image() {
        let sleep = || std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let mut both = [sleep(), sleep()];
        let [one, other] = both.each_ref().map(|child| Image::of(child.id().try_into().unwrap()).unwrap());
        assert_ne!(one, other);
        both.iter_mut().for_each(|child| {
            child.kill().unwrap();
            child.wait().unwrap();
        });
    }

    #[test]
    fn parents_are_told_from_the_nearest_to_the_root() {
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "sh -c 'echo $$; read -r line'; :"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(shell.stdout.as_mut().unwrap()), &mut said)
            .unwrap();
        let root = std::process::id().try_into().unwrap();
        let told = parents(said.trim().parse().unwrap(), root, &Image::of(root).unwrap());
        let real = std::fs::canonicalize("/bin/sh").unwrap();
        let called = if real.ends_with("sh") { "" } else { " (as sh)" };
        let expected = ["-c echo $$; read -r line", "-c sh -c 'echo $$; read -r line'; :"];
        assert_eq!(told, expected.map(|arguments| format!("{}{called} {arguments}", real.display())));
        assert_eq!(process_of(said.trim().parse().unwrap()), said.trim().parse().ok());
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }
}
