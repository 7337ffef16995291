//! A user's world that is attacked: a workspace, what lies outside of it, a process and servers that are not in the
//! sandbox; and the server under test, with one client.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use end_to_end_tests::lines::Lines;
use end_to_end_tests::{World, binaries};
use serde_json::{Value, json};

/// An ordinary user who owns nothing else: 65534, `nobody`.
const NOBODY: u32 = 65534;

/// As whom the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    /// `nobody` when the tests run as root; else whoever runs them.
    Ordinary,
}

/// In which form the sandbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Namespaces, Landlock and seccomp.
    Namespaces,
    /// Landlock and seccomp.
    Landlock,
}

impl Form {
    fn word(self) -> &'static str {
        match self {
            Form::Namespaces => "require",
            Form::Landlock => "off",
        }
    }
}

/// Every combination that there can be.
pub(crate) const EVERY: [(User, Form); 4] = [
    (User::Root, Form::Namespaces),
    (User::Ordinary, Form::Namespaces),
    (User::Root, Form::Landlock),
    (User::Ordinary, Form::Landlock),
];

/// Enough for a command also on an emulated machine, where a start of Node.js takes ten seconds.
pub(crate) const EMULATED_MS: u64 = 120_000;

/// Tells whether this kernel is older than a version of Linux.
pub(crate) fn is_older_than(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a version");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) < (Some(major), Some(minor))
}

/// The world, before a server is started in it.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) outside: PathBuf,
    pub(crate) tcp: String,
    pub(crate) abstract_name: String,
    pub(crate) shared: PathBuf,
    pub(crate) outsider: Child,
    programs: PathBuf,
    change_user: bool,
    _reader: File,
    _listeners: (UnixListener, UnixDatagram, UnixListener, TcpListener),
}

impl Place {
    /// Makes the world of this user; none when it cannot be, with the reason told.
    pub(crate) fn of(user: User, form: Form, rules: &str) -> Option<Place> {
        let is_root = nix::unistd::geteuid().is_root();
        if user == User::Root && !is_root {
            tell!("skipped as root: the tests do not run as root");
            return None;
        }
        if form == Form::Landlock && is_older_than(6, 2) {
            tell!("skipped: Landlock alone does not do before Linux 6.2 (ABI 3)");
            return None;
        }
        let configuration = format!("[shell_tool]\nnamespaces = \"{}\"\n", form.word());
        let world = World::below(&short_folder(), rules).configured(&configuration);
        let at = |name: &str| world.home().join(name);
        for folder in ["work/.git/objects", "work/.git/refs", "work/.vscode", "outside", ".ssh", "run", "bin"]
        {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        for (file, text) in [
            ("work/file", "inside"),
            ("work/.git/HEAD", "ref: refs/heads/main\n"),
            ("work/.git/config", ""),
            ("work/.vscode/tasks.json", "{}"),
            ("outside/file", "outside"),
            ("notes", "notes"),
            (".ssh/id_ed25519", "secret"),
            (".netrc", "secret"),
        ] {
            fs::write(at(file), text).expect("a file");
        }
        std::os::unix::fs::symlink(at("work/file"), at("work/inner-link")).expect("a link");
        std::os::unix::fs::symlink(at("outside/file"), at("work/outer-link")).expect("a link");
        let programs = copied_programs(&world);
        let abstract_name = format!("escape-test-{}", world.home().file_name().expect("a name").display());
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("a name");
        let listeners = (
            UnixListener::bind(at("run/daemon.sock")).expect("a socket"),
            UnixDatagram::bind(at("run/log.sock")).expect("a socket"),
            UnixListener::bind_addr(&address).expect("a socket"),
            TcpListener::bind("127.0.0.1:0").expect("a port"),
        );
        let change_user = user == User::Ordinary && is_root;
        let mut outsider = Command::new("sleep");
        outsider.arg("1000");
        if change_user {
            outsider.uid(NOBODY).gid(NOBODY);
        }
        let outsider = outsider.spawn().expect("sleep starts");
        let shared = Path::new("/dev/shm").join(format!("escape-test-{}", outsider.id()));
        fs::write(&shared, "shared").expect("shared memory");
        let pipe = at("outside/pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        // With a reader, so that opening it for writing does not wait.
        let reader = File::options().read(true).write(true).open(&pipe).expect("its reader");
        if change_user {
            // The same user as the command: only the sandbox is in the way.
            let owner = format!("{NOBODY}:{NOBODY}");
            let owned = Command::new("chown").arg("-hR").arg(owner).arg(world.home()).arg(&shared).status();
            assert!(owned.expect("chown starts").success());
        }
        Some(Place {
            outside: at("outside"),
            tcp: listeners.3.local_addr().expect("an address").to_string(),
            abstract_name,
            shared,
            outsider,
            programs,
            change_user,
            world,
            _reader: reader,
            _listeners: listeners,
        })
    }

    /// The number of the user, where it is not who runs the tests.
    pub(crate) fn owner(&self) -> Option<u32> {
        self.change_user.then_some(NOBODY)
    }

    /// The program that tries one thing.
    pub(crate) fn helper(&self) -> PathBuf {
        self.programs.join("escape-try")
    }

    /// The shipped program.
    pub(crate) fn server_program(&self) -> PathBuf {
        self.programs.join("exec-server")
    }

    /// The user's folder with the rules.
    pub(crate) fn codex_home(&self) -> PathBuf {
        self.world.codex_home()
    }

    /// A program that becomes the server, as the user.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        self.world.surround(&mut command);
        if self.change_user {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Starts the server with these arguments.
    pub(crate) fn start(&self, arguments: &[&str]) -> Attacked {
        let mut command = self.command(&self.server_program());
        command.args(arguments);
        self.start_command(command)
    }

    /// Starts what becomes the server.
    pub(crate) fn start_command(&self, mut command: Command) -> Attacked {
        let log = self.world.home().join("log");
        command.env("RUST_LOG", "shell_engine=info").stderr(File::create(&log).expect("a log"));
        let mut server = Lines::start_command(command);
        server.initialize();
        Attacked { server, workdir: self.world.workdir(), log }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.outsider.kill();
        let _ = self.outsider.wait();
        let _ = fs::remove_file(&self.shared);
    }
}

/// The folder for temporary files, or `/tmp` where that is so deep that an address has no room for its sockets (107
/// bytes, unix(7)).
fn short_folder() -> PathBuf {
    let folder = std::env::temp_dir();
    if folder.as_os_str().len() <= 40 { folder } else { PathBuf::from("/tmp") }
}

/// The programs, where every user can execute them, and none of the tests' own files lies.
///
/// Another process copies them: a server that is started meanwhile would inherit our open file, and a file that is open
/// for writing cannot be executed.
fn copied_programs(world: &World) -> PathBuf {
    let folder = world.home().join("bin");
    let shipped = ["exec-server", "execve-wrapper", "bash"].map(|name| binaries().join(name));
    let copied = Command::new("cp").args(shipped).arg(env!("CARGO_BIN_EXE_escape-try")).arg(&folder).status();
    assert!(copied.expect("cp starts").success());
    folder
}

/// A running server.
pub(crate) struct Attacked {
    pub(crate) server: Lines,
    pub(crate) workdir: PathBuf,
    log: PathBuf,
}

impl Attacked {
    /// Calls `shell`, and returns the result: its JSON, or the words of its failure.
    pub(crate) fn call(&mut self, arguments: Value) -> Result<Value, String> {
        let answer = self.server.request("tools/call", json!({"name": "shell", "arguments": arguments}));
        let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        match serde_json::from_str(&text) {
            Ok(json) if answer["result"]["isError"] != json!(true) => Ok(json),
            Ok(_) | Err(_) => Err(if text.is_empty() { answer.to_string() } else { text }),
        }
    }

    /// Calls `shell` with a command, in the workspace.
    pub(crate) fn run(&mut self, command: &str) -> Result<Value, String> {
        let arguments =
            json!({"command": command, "workdir": self.workdir, "login": false, "timeout_ms": EMULATED_MS});
        self.call(arguments)
    }

    /// What the server has logged so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// Whether the sandbox can be had here. Where `TESTS_MUST_SANDBOX=1`, it must.
    pub(crate) fn is_possible(&mut self) -> bool {
        let Err(why) = self.run("true") else { return true };
        assert!(std::env::var_os("TESTS_MUST_SANDBOX").is_none(), "cannot sandbox: {why}");
        tell!("skipped: {why}");
        false
    }
}
