//! Starts sessions and shells for tests, and waits for things without sleeping for luck.

use sandbox::{
    Call, CallEvent, Ending, Launcher, LiveProcesses, Mode, Network, Plan, Session, SpawnRequest, Usage,
};
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn launcher() -> Launcher {
    Launcher { program: env!("CARGO_BIN_EXE_sandbox-test-session").into(), arguments: Vec::new() }
}

pub(crate) fn server() -> Helper {
    Helper(Command::new(env!("CARGO_BIN_EXE_sandbox-test-server")))
}

pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Tells whether a process exists and is no zombie.
pub(crate) fn process_exists(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
}

fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

pub(crate) struct Shell {
    pub(crate) session: Session,
    pub(crate) environment: Vec<OsString>,
    pub(crate) directory: PathBuf,
}

pub(crate) struct Done {
    pub(crate) ending: Ending,
    pub(crate) usage: Usage,
    pub(crate) output: String,
}

#[derive(Debug)]
pub(crate) struct InitState {
    pub(crate) descriptors: usize,
    pub(crate) resident: u64,
}

impl Shell {
    pub(crate) fn unenforced() -> Self {
        Self::with_plan(&Plan::unenforced(Mode::DangerFullAccess, Network::Enabled))
    }

    pub(crate) fn with_plan(plan: &Plan) -> Self {
        let session = Session::start(&launcher(), plan).unwrap();
        Shell {
            session,
            environment: ["PATH=/usr/bin:/bin", "GREETING=hello"].map(OsString::from).to_vec(),
            directory: "/".into(),
        }
    }

    /// Runs a script with output captured and waits for its shell, not for what it leaves behind.
    pub(crate) fn run(&self, script: &str) -> Done {
        self.run_passing(script, &[])
    }

    pub(crate) fn run_with(&self, script: &str, more_environment: &[String]) -> Done {
        let mut environment = self.environment.clone();
        environment.extend(more_environment.iter().map(OsString::from));
        self.begin(script, &[], &environment).finish()
    }

    pub(crate) fn run_passing(&self, script: &str, passed: &[(&dyn AsFd, i32)]) -> Done {
        self.begin(script, passed, &self.environment).finish()
    }

    pub(crate) fn start(&self, script: &str) -> Started {
        self.begin(script, &[], &self.environment)
    }

    fn begin(&self, script: &str, passed: &[(&dyn AsFd, i32)], environment: &[OsString]) -> Started {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut descriptors: Vec<(BorrowedFd<'_>, i32)> = vec![(writer.as_fd(), 1), (writer.as_fd(), 2)];
        descriptors.extend(passed.iter().map(|(descriptor, target)| (descriptor.as_fd(), *target)));
        let arguments = ["sh", "-c", script].map(OsString::from);
        let request = SpawnRequest {
            program: Path::new("/bin/sh"),
            arguments: &arguments,
            environment,
            directory: &self.directory,
            descriptors: &descriptors,
        };
        let call = self.session.spawn(&request).unwrap();
        match call.event_within(PATIENCE).unwrap() {
            Some(CallEvent::Started { pid }) => assert!(pid > 0),
            other => panic!("{other:?}"),
        }
        Started { call, reader: RefCell::new(reader), seen: RefCell::new(String::new()) }
    }

    pub(crate) fn start_program(&self, program: &str, directory: &str) -> Call {
        let request = SpawnRequest {
            program: Path::new(program),
            arguments: &["x".into()],
            environment: &[],
            directory: Path::new(directory),
            descriptors: &[],
        };
        self.session.spawn(&request).unwrap()
    }

    fn init(&self) -> i32 {
        let children = children(i32::try_from(self.session.guard_pid()).unwrap());
        assert_eq!(children.len(), 1, "a guard has one child: {children:?}");
        children[0]
    }

    /// Counts the processes of the session below its guard.
    pub(crate) fn descendants(&self) -> usize {
        let mut found = 0;
        let mut next = children(i32::try_from(self.session.guard_pid()).unwrap());
        while let Some(pid) = next.pop() {
            found += 1;
            next.extend(children(pid));
        }
        found
    }

    pub(crate) fn init_state(&self) -> InitState {
        let init = self.init();
        let status = std::fs::read_to_string(format!("/proc/{init}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        // Only root may count the descriptors of a process that is not dumpable.
        let descriptors = std::fs::read_dir(format!("/proc/{init}/fd")).map_or(0, Iterator::count);
        InitState { descriptors, resident: kibibytes * 1024 }
    }
}

pub(crate) struct Started {
    pub(crate) call: Call,
    reader: RefCell<PipeReader>,
    seen: RefCell<String>,
}

impl Started {
    pub(crate) fn alive(&self) -> LiveProcesses {
        self.call.alive_within(PATIENCE).unwrap()
    }

    pub(crate) fn until_ended(&self) -> (Ending, Usage) {
        loop {
            match self.call.event_within(PATIENCE).unwrap() {
                Some(CallEvent::Ended { ending, usage }) => return (ending, usage),
                Some(_) => {}
                None => panic!("the program did not end in time"),
            }
        }
    }

    /// Reads output until a line has come.
    pub(crate) fn read_line(&self, line: &str) {
        while !self.seen.borrow().lines().any(|seen| seen == line) {
            let mut bytes = [0; 4096];
            let count = self.reader.borrow_mut().read(&mut bytes).unwrap();
            assert!(count > 0, "output ended before {line:?}");
            self.seen.borrow_mut().push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// Reads output to its end, which comes when nobody holds the pipe any more.
    pub(crate) fn output(&self) -> String {
        self.reader.borrow_mut().read_to_string(&mut self.seen.borrow_mut()).unwrap();
        self.seen.borrow().clone()
    }

    pub(crate) fn finish(self) -> Done {
        let output = self.output();
        let (ending, usage) = self.until_ended();
        Done { ending, usage, output }
    }
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
