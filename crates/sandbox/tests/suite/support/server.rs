//! A server as a process of its own, which can be killed.

use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};

pub(crate) fn server() -> Helper {
    Helper(Command::new(env!("CARGO_BIN_EXE_sandbox-test-server")))
}

pub(crate) struct Helper(Command);

impl Helper {
    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.0.arg(argument);
        self
    }

    pub(crate) fn spawn_with_output(mut self) -> Running {
        let mut child = self.0.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        Running { child, stdout }
    }
}

pub(crate) struct Running {
    child: Child,
    stdout: ChildStdout,
}

impl Running {
    /// Reads one line of process numbers.
    pub(crate) fn read_pids(&mut self) -> Vec<i32> {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap().split_whitespace().map(|word| word.parse().unwrap()).collect()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
