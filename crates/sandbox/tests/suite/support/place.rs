//! What a session stands between: a workspace, and what lies around it.

use super::launchers::{Form, NOBODY, User};
use sandbox::resolve::{HostFacts, resolve};
use sandbox::{Mode, Plan, Restrictions, SandboxPolicy};
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

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
