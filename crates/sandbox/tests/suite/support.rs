//! Starts sessions and shells for tests, and waits for things without sleeping for luck.

use crate::waiting::Waiting;
use sandbox::resolve::{HostFacts, resolve};
use sandbox::{
    Call, CallEvent, Directory, ExitStatus, Launcher, Layers, LiveProcesses, Mode, Namespace, Network, Plan,
    Restrictions, SandboxPolicy, Session, SpawnRequest,
};
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::io::{PipeReader, Read};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn launcher() -> Launcher {
    Launcher { program: env!("CARGO_BIN_EXE_sandbox-test-session").into(), ..Launcher::default() }
}

/// As [`launcher`], on a kernel that has no subreapers.
pub(crate) fn launcher_without_subreapers() -> Launcher {
    Launcher { arguments: vec!["without-subreapers".into()], ..launcher() }
}

/// Tries one system call and prints its outcome.
pub(crate) const TRY: &str = env!("CARGO_BIN_EXE_sandbox-test-try");

/// An unprivileged user who owns nothing: 65534, `nobody`.
const NOBODY: u32 = 65534;

/// As whom a session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    Nobody,
}

/// In which form a session is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Everything,
    Landlock,
    Namespaces,
    /// Where namespaces of one kind cannot be made.
    Missing(Namespace),
}

/// Tells whether this kernel is older than a version of Linux.
pub(crate) fn is_older_than(major: u32, minor: u32) -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_str().unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap()) < (major, minor)
}

/// Tells whether a test can run, and says why not; where `TESTS_MUST_SANDBOX=1`, only a missing root is an excuse, and a
/// kernel that cannot have the form.
pub(crate) fn can_sandbox(user: User, form: Form) -> bool {
    if user == User::Root && !rustix::process::geteuid().is_root() {
        tell!("skipped: the tests do not run as root");
        return false;
    }
    if matches!(form, Form::Landlock | Form::Missing(Namespace::Mount)) && is_older_than(6, 2) {
        tell!("skipped: Landlock alone does not do before Linux 6.2 (ABI 3): truncation is not judged");
        return false;
    }
    let mut plan = Plan::unenforced(Mode::ReadOnly, Network::Restricted);
    plan.writable.clear();
    plan.layers = form.layers();
    let Err(missing) = Session::start(&launcher_in(user, form), &plan) else { return true };
    assert!(std::env::var_os("TESTS_MUST_SANDBOX").is_none(), "cannot sandbox: {missing}");
    tell!("skipped: {missing}");
    false
}

impl Form {
    pub(crate) fn layers(self) -> Layers {
        match self {
            Form::Everything => Layers::RequireNamespaces,
            Form::Landlock => Layers::WithoutNamespaces,
            Form::Namespaces => Layers::WithoutLandlock,
            Form::Missing(_) => Layers::Best,
        }
    }
}

/// A launcher that runs the session as the given user. As root, `setpriv` changes to `nobody`; otherwise the tests' own user
/// is unprivileged already.
pub(crate) fn launcher_of(user: User) -> Launcher {
    let own = launcher();
    if user == User::Root || !rustix::process::geteuid().is_root() {
        return own;
    }
    let id = NOBODY.to_string();
    let mut arguments: Vec<OsString> =
        ["--reuid", &id, "--regid", &id, "--clear-groups", "--"].map(OsString::from).to_vec();
    arguments.push(own.program.into());
    Launcher { program: "/usr/bin/setpriv".into(), arguments, ..Launcher::default() }
}

/// As [`launcher_of`], on a machine as the form describes it.
pub(crate) fn launcher_in(user: User, form: Form) -> Launcher {
    match form {
        Form::Missing(kind) => launcher_without(user, &[kind]),
        Form::Everything | Form::Landlock | Form::Namespaces => launcher_of(user),
    }
}

/// As [`launcher_of`], in a user namespace around the session's, in which the limits for namespaces of these kinds are zero.
pub(crate) fn launcher_without(user: User, kinds: &[Namespace]) -> Launcher {
    let mut script: String = kinds
        .iter()
        .map(|kind| format!("echo 0 > /proc/sys/user/max_{}_namespaces && ", kind.name()))
        .collect();
    script.push_str("exec \"$@\"");
    let mut arguments: Vec<OsString> =
        ["--user", "--map-root-user", "sh", "-c", &script, "sh"].map(OsString::from).to_vec();
    if user == User::Nobody {
        // Another user again, with the limit of the namespace around it.
        arguments.extend(["unshare", "--user", "--map-user=65534", "--map-group=65534"].map(OsString::from));
    }
    arguments.push(launcher().program.into());
    Launcher { program: "/usr/bin/unshare".into(), arguments, ..Launcher::default() }
}

/// A workspace, a folder outside it, a home folder with secrets, and a process and servers that are not in the sandbox.
pub(crate) struct Place {
    base: tempfile::TempDir,
    pub(crate) workspace: PathBuf,
    pub(crate) outside: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) datagram_socket: PathBuf,
    pub(crate) abstract_name: String,
    pub(crate) tcp: String,
    pub(crate) disk: String,
    pub(crate) terminal: String,
    pub(crate) shared: PathBuf,
    pub(crate) outsider: i32,
    before: Vec<PathBuf>,
    process: Child,
    _pair: OwnedFd,
    _listeners: (UnixListener, UnixDatagram, UnixListener, TcpListener),
}

impl Place {
    /// Not in `/tmp`, which is writable inside.
    pub(crate) fn new(user: User) -> Self {
        let base = tempfile::tempdir_in("/var/tmp").unwrap();
        let root = base.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        for folder in ["ws/.git/objects", "ws/.git/refs", "ws/.vscode", "outside", "home/.ssh", "run"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for (file, text) in [
            ("ws/file", "inside"),
            ("ws/.git/HEAD", "ref: refs/heads/main\n"),
            ("ws/.git/config", ""),
            ("ws/.vscode/tasks.json", "{}"),
            ("outside/file", "outside"),
            ("home/notes", "notes"),
            ("home/.ssh/id_ed25519", "secret"),
            ("home/.netrc", "secret"),
        ] {
            fs::write(at(file), text).unwrap();
        }
        std::os::unix::fs::symlink(at("ws/file"), at("ws/inner-link")).unwrap();
        std::os::unix::fs::symlink(at("outside/file"), at("ws/outer-link")).unwrap();
        let abstract_name = format!("sandbox-test-{}", root.file_name().unwrap().display());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let listeners = (
            UnixListener::bind(at("run/daemon.sock")).unwrap(),
            UnixDatagram::bind(at("run/log.sock")).unwrap(),
            UnixListener::bind_addr(&address).unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        );
        let mut outsider = Command::new("sleep");
        outsider.arg("1000");
        if user == User::Nobody && rustix::process::geteuid().is_root() {
            // The same user as the command: only the sandbox is in the way.
            outsider.uid(NOBODY).gid(NOBODY);
            let owned = Command::new("chown").arg("-R").arg(format!("{NOBODY}:{NOBODY}")).arg(&root).status();
            assert!(owned.unwrap().success());
        }
        let process = outsider.spawn().unwrap();
        // A terminal of someone outside, and memory that programs outside share.
        let pair =
            rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&pair).unwrap();
        rustix::pty::unlockpt(&pair).unwrap();
        let terminal = rustix::pty::ptsname(&pair, Vec::new()).unwrap().into_string().unwrap();
        let shared = Path::new("/dev/shm").join(format!("sandbox-test-{}", process.id()));
        fs::write(&shared, "shared").unwrap();
        if user == User::Nobody && rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&shared, Some(NOBODY), None).unwrap();
            std::os::unix::fs::chown(&terminal, Some(NOBODY), None).unwrap();
        }
        let mut place = Place {
            workspace: at("ws"),
            outside: at("outside"),
            home: at("home"),
            socket: at("run/daemon.sock"),
            datagram_socket: at("run/log.sock"),
            abstract_name,
            tcp: listeners.3.local_addr().unwrap().to_string(),
            disk: ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/mem"]
                .into_iter()
                .find(|path| Path::new(path).exists())
                .unwrap_or("/dev/mem")
                .to_owned(),
            terminal,
            shared,
            outsider: i32::try_from(process.id()).unwrap(),
            before: Vec::new(),
            process,
            _pair: pair,
            base,
            _listeners: listeners,
        };
        place.before = place.names();
        place
    }

    pub(crate) fn plan(&self, mode: Mode, form: Form) -> Plan {
        let facts = HostFacts {
            workspace: vec![self.workspace.clone()],
            home: Some(self.home.clone()),
            ..HostFacts::default()
        };
        let mut plan = resolve(&SandboxPolicy::of_mode(mode), &Restrictions::default(), &facts).unwrap();
        plan.layers = form.layers();
        plan
    }

    /// Names at the top of the workspace and of its `.git`, where placeholders are made.
    fn names(&self) -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> = [self.workspace.clone(), self.workspace.join(".git")]
            .iter()
            .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
            .filter(|path| {
                path.file_name().is_some_and(|name| {
                    name.as_encoded_bytes()[0] == b'.' || path.parent() != Some(&self.workspace)
                })
            })
            .collect();
        names.sort();
        names
    }

    pub(crate) fn assert_nothing_left(&self) {
        let mut names = self.names();
        // What the allowed twins made.
        names.retain(|path| !path.ends_with("index.lock"));
        assert_eq!(names, self.before, "placeholders were left in {}", self.base.path().display());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        fs::remove_file(&self.shared).unwrap();
    }
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

/// Finds the processes that have an entry in their environment.
pub(crate) fn processes_with(entry: &str) -> Vec<i32> {
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|found| found == entry.as_bytes())
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|found| found.file_name().to_str()?.parse().ok()).filter(has).collect()
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
        Self::started(
            &launcher_without_subreapers(),
            &Plan::unenforced(Mode::DangerFullAccess, Network::Enabled),
        )
    }

    pub(crate) fn with_plan(plan: &Plan) -> Self {
        Self::started(&launcher(), plan)
    }

    pub(crate) fn for_user(user: User, plan: &Plan) -> Self {
        Self::started(&launcher_of(user), plan)
    }

    pub(crate) fn in_form(user: User, form: Form, plan: &Plan) -> Self {
        Self::started(&launcher_in(user, form), plan)
    }

    fn started(launcher: &Launcher, plan: &Plan) -> Self {
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
        // Not VmRSS: up to Linux 6.1, a thread adds what it faulted in to that after 64 faults only, each of up to 16 pages.
        // There it said 268 KiB at first and 2156 later, and this, which walks the page tables, 2156 both times.
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
                    CallEvent::Reports
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
