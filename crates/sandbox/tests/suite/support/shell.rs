//! Shells in a session, from their start to what they said.

use super::launchers::{Form, User, launcher, launcher_in, launcher_of, launcher_without_subreapers};
use super::processes::children;
use crate::waiting::Waiting;
use eventually::PATIENCE;
use sandbox::{
    Call, CallEvent, Directory, ExitStatus, Launcher, LiveProcesses, Mode, Network, Plan, Session,
    SpawnRequest,
};
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::io::{PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) struct Shell {
    pub(crate) session: Session,
    pub(crate) environment: Vec<OsString>,
    pub(crate) directory: PathBuf,
}

pub(crate) struct Done {
    pub(crate) status: ExitStatus,
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

    pub(crate) fn without_subreapers() -> Self {
        Self::with_launcher(
            &launcher_without_subreapers(),
            &Plan::unenforced(Mode::DangerFullAccess, Network::Enabled),
        )
    }

    pub(crate) fn with_plan(plan: &Plan) -> Self {
        Self::with_launcher(&launcher(), plan)
    }

    pub(crate) fn for_user(user: User, plan: &Plan) -> Self {
        Self::with_launcher(&launcher_of(user), plan)
    }

    pub(crate) fn in_form(user: User, form: Form, plan: &Plan) -> Self {
        Self::with_launcher(&launcher_in(user, form), plan)
    }

    pub(crate) fn with_launcher(launcher: &Launcher, plan: &Plan) -> Self {
        let session = Session::start(launcher, plan).unwrap();
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
        self.start_with(script, more_environment).finish()
    }

    pub(crate) fn run_passing(&self, script: &str, passed: &[(&dyn AsFd, i32)]) -> Done {
        self.begin(script, passed, &self.environment, None).finish()
    }

    pub(crate) fn start(&self, script: &str) -> Started {
        self.begin(script, &[], &self.environment, None)
    }

    /// Starts a script that goes on after `read -r line <&9` when the pipe is dropped. That its program runs has been
    /// told by then.
    pub(crate) fn start_waiting(&self, script: &str) -> (Started, PipeWriter) {
        let (waits, go) = std::io::pipe().unwrap();
        (self.begin(script, &[(&waits, 9)], &self.environment, None), go)
    }

    pub(crate) fn start_with(&self, script: &str, more_environment: &[String]) -> Started {
        let mut environment = self.environment.clone();
        environment.extend(more_environment.iter().map(OsString::from));
        self.begin(script, &[], &environment, None)
    }

    pub(crate) fn run_in(&self, folder: &impl AsFd, script: &str) -> Done {
        self.begin(script, &[], &self.environment, Some(folder.as_fd())).finish()
    }

    fn begin(
        &self,
        script: &str,
        passed: &[(&dyn AsFd, i32)],
        environment: &[OsString],
        folder: Option<BorrowedFd<'_>>,
    ) -> Started {
        let (reader, writer) = std::io::pipe().unwrap();
        let nothing = fs::File::open("/dev/null").unwrap();
        let own: [(&dyn AsFd, i32); 3] = [(&nothing, 0), (&writer, 1), (&writer, 2)];
        let descriptors = own.iter().chain(passed);
        let owned = |descriptor: BorrowedFd<'_>| descriptor.try_clone_to_owned().unwrap();
        let request = SpawnRequest {
            program: "/bin/sh".into(),
            arguments: ["sh", "-c", script].map(OsString::from).into(),
            environment: environment.to_vec(),
            directory: match folder {
                Some(folder) => Directory::Open(owned(folder)),
                None => Directory::Path(self.directory.clone()),
            },
            descriptors: descriptors.map(|(ours, number)| (owned(ours.as_fd()), *number)).collect(),
            inherited: sandbox::Inherited::default(),
            reported: false,
            reports_reading: false,
        };
        let call = self.session.spawn(request).unwrap();
        match call.event_within(PATIENCE) {
            Ok(Some(CallEvent::Started { pid })) => assert!(pid > 0),
            other => panic!("{other:?} for `{script}`; session alive: {}", self.session.is_alive()),
        }
        Started { call, reader: RefCell::new(reader), seen: RefCell::new(String::new()) }
    }

    pub(crate) fn start_program(&self, program: &str, directory: &str) -> Call {
        let request = SpawnRequest {
            program: program.into(),
            arguments: vec!["x".into()],
            environment: Vec::new(),
            directory: Directory::Path(directory.into()),
            descriptors: Vec::new(),
            inherited: sandbox::Inherited::default(),
            reported: false,
            reports_reading: false,
        };
        self.session.spawn(request).unwrap()
    }

    fn init(&self) -> i32 {
        let children = children(i32::try_from(self.session.guard_pid().unwrap()).unwrap());
        assert_eq!(children.len(), 1, "a guard has one child: {children:?}");
        children[0]
    }

    /// Counts the processes of the session below its guard.
    pub(crate) fn descendants(&self) -> usize {
        let mut found = 0;
        let mut next = children(i32::try_from(self.session.guard_pid().unwrap()).unwrap());
        while let Some(pid) = next.pop() {
            found += 1;
            next.extend(children(pid));
        }
        found
    }

    pub(crate) fn init_state(&self) -> InitState {
        let init = self.init();
        // Only root may look into a process that is not dumpable.
        let descriptors = std::fs::read_dir(format!("/proc/{init}/fd")).map_or(0, Iterator::count);
        // Not VmRSS: up to Linux 6.1, a thread adds what it faulted in to that after 64 faults only, each of up to 16
        // pages. There it said 268 KiB at first and 2156 later, and this, which walks the page tables, 2156 both times.
        let rollup = std::fs::read_to_string(format!("/proc/{init}/smaps_rollup")).unwrap_or_default();
        let resident = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kibibytes: u64 =
            resident.map_or(0, |line| line.split_whitespace().next().unwrap().parse().unwrap());
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
        self.call.ask_alive().unwrap();
        loop {
            match self.call.event_within(PATIENCE).unwrap() {
                Some(CallEvent::Alive(processes)) => return processes,
                Some(CallEvent::Gone) => return LiveProcesses::default(),
                Some(
                    CallEvent::Accepted
                    | CallEvent::Reports
                    | CallEvent::Started { .. }
                    | CallEvent::NotStarted { .. }
                    | CallEvent::Ended { .. },
                ) => {}
                None => panic!("the supervisor does not answer in time"),
            }
        }
    }

    /// Ends the whole call and waits until nothing is left. Returns the events on the way.
    pub(crate) fn end_and_wait(&self, grace: Duration) -> Vec<CallEvent> {
        self.call.ask_end(grace).unwrap();
        let mut events = Vec::new();
        while events.last() != Some(&CallEvent::Gone) {
            match self.call.event_within(PATIENCE).unwrap() {
                Some(event) => events.push(event),
                None => panic!("the call did not end in time: {events:?}"),
            }
        }
        events
    }

    pub(crate) fn until_ended(&self) -> ExitStatus {
        loop {
            match self.call.event_within(PATIENCE).unwrap() {
                Some(CallEvent::Ended { status, .. }) => return status,
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

    /// Reads one line, whatever it says.
    pub(crate) fn read_any_line(&self) -> String {
        let mut byte = [0];
        let mut line = String::new();
        while self.reader.borrow_mut().read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(char::from(byte[0]));
        }
        line
    }

    /// Reads output to its end, which comes when nobody holds the pipe any more.
    pub(crate) fn output(&self) -> String {
        self.reader.borrow_mut().read_to_string(&mut self.seen.borrow_mut()).unwrap();
        self.seen.borrow().clone()
    }

    pub(crate) fn finish(self) -> Done {
        let output = self.output();
        let status = self.until_ended();
        Done { status, output }
    }
}
