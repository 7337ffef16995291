//! `getent` as a child: what the machine's own C library says of a user.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

const PROGRAMS: [&str; 2] = ["/usr/bin/getent", "/bin/getent"];

/// How long a directory service may take; the server does not start before.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The entry of one user is some hundred bytes.
const MAX_ANSWER: usize = 64 << 10;

/// Asks for one user's entry; nothing, if there is no `getent`, or it does not know the user, or takes too
/// long.
pub(crate) fn passwd(user: u32) -> Vec<u8> {
    PROGRAMS
        .iter()
        .find_map(|program| {
            let mut command = Command::new(program);
            command.arg("passwd").arg(user.to_string()).env_clear();
            answer(command, ANSWER_TIMEOUT)
        })
        .unwrap_or_default()
}

/// What a program prints until it closes its output or its time is up; `None` if it cannot be started. The
/// program has ended then.
fn answer(mut command: Command, patience: Duration) -> Option<Vec<u8>> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let answer = child.stdout.take().map(|output| read(output, Instant::now() + patience));
    // It has nothing more to do: either it said all, or it took too long.
    let _ = child.kill();
    let _ = child.wait();
    answer
}

fn read(mut output: impl Read + AsFd, deadline: Instant) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while answer.len() < MAX_ANSWER && is_readable(&output, deadline) {
        match output.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
        }
    }
    answer
}

fn is_readable(output: &impl AsFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(left) = Timespec::try_from(left) else { return false };
        match poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let ten_seconds = Duration::from_secs(10);
        assert_eq!(answer(shell("echo one; echo two"), ten_seconds).as_deref(), Some(&b"one\ntwo\n"[..]));
        assert_eq!(answer(shell("exit 2"), ten_seconds).as_deref(), Some(&b""[..]));
        assert_eq!(answer(Command::new("/nonexistent/getent"), ten_seconds), None);
    }

    #[test]
    fn nobody_waits_for_a_program_that_does_not_answer() {
        let begin = Instant::now();
        let said = answer(shell("echo begun; exec sleep 300"), Duration::from_millis(200));
        assert!(begin.elapsed() < Duration::from_secs(100));
        assert_eq!(said.as_deref(), Some(&b"begun\n"[..]));
    }

    #[test]
    fn an_endless_answer_is_cut() {
        let said = answer(shell("exec cat /dev/zero"), Duration::from_secs(60)).unwrap();
        assert!((MAX_ANSWER..MAX_ANSWER + 4096).contains(&said.len()), "{}", said.len());
    }
}
