//! Commands take nobody's place: sockets of programs outside, and the folders that lead to them, stay where they are.

use crate::support::{Form, Shell, TRY, User, can_sandbox, until};
use sandbox::resolve::{HostFacts, resolve};
use sandbox::{Network, Plan, Restrictions, SandboxPolicy, WorkspaceWrite};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const USERS: [User; 2] = [User::Root, User::Nobody];

/// A folder like `/tmp`, in which a program outside has a socket in a folder of its own.
struct Temporary {
    folder: tempfile::TempDir,
    _agent: Agent,
}

impl Temporary {
    fn new(user: User) -> Temporary {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::create_dir(folder.path().join("own")).unwrap();
        if user == User::Nobody && rustix::process::geteuid().is_root() {
            let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(folder.path()).status();
            assert!(owned.unwrap().success());
        }
        let agent = Agent::start(user, &folder.path().canonicalize().unwrap(), "ssh-abc");
        Temporary { folder, _agent: agent }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn plan(&self, network: Network) -> Plan {
        let policy = SandboxPolicy::WorkspaceWrite(WorkspaceWrite {
            writable_roots: vec![self.root()],
            network,
            exclude_slash_tmp: true,
            ..WorkspaceWrite::default()
        });
        let facts = HostFacts { tmux_folder: Some(self.root()), ..HostFacts::default() };
        let mut plan = resolve(&policy, &Restrictions::default(), &facts).unwrap();
        plan.layers = Form::Everything.layers();
        plan
    }
}

/// Somebody's agent: its folder, and its socket in there.
struct Agent(Child);

impl Agent {
    fn start(user: User, temporary: &Path, name: &str) -> Agent {
        let script = "import os, socket, sys; os.mkdir(sys.argv[1], 0o700); s = socket.socket(socket.AF_UNIX); \
                      s.bind(sys.argv[1] + '/agent.1'); s.listen(); print('listens', flush=True); sys.stdin.read()";
        let mut program = Command::new("python3");
        program.args(["-c", script]).arg(temporary.join(name)).stdin(Stdio::piped()).stdout(Stdio::piped());
        if user == User::Nobody && rustix::process::geteuid().is_root() {
            program.uid(65534).gid(65534);
        }
        let mut started = program.spawn().unwrap();
        let mut said = [0; 8];
        started.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        Agent(started)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn sandboxed(user: User) -> bool {
    can_sandbox(user, Form::Everything)
}

#[test]
fn a_folder_with_somebodys_socket_stays_where_it_is() {
    for user in USERS.into_iter().filter(|user| sandboxed(*user)) {
        let temporary = Temporary::new(user);
        let root = temporary.root();
        let shell = Shell::for_user(user, &temporary.plan(Network::Restricted));
        let run = |words: &str| {
            let [verb, rest @ ..] = &words.split(' ').collect::<Vec<_>>()[..] else { panic!("words") };
            let paths: Vec<String> = rest.iter().map(|name| format!("{}/{name}", root.display())).collect();
            shell.run(&format!("{TRY} {verb} {}", paths.join(" "))).output
        };
        assert_eq!(run("rename own own2"), "ok\n", "{user:?}");
        assert_eq!(run("rename ssh-abc gone"), "EBUSY\n", "{user:?}");
    }
}

#[test]
fn the_names_that_others_look_for_are_held() {
    for user in USERS.into_iter().filter(|user| sandboxed(*user)) {
        let temporary = Temporary::new(user);
        let plan = temporary.plan(Network::Restricted);
        let held = plan.socket_folders.iter().find(|held| held.path.starts_with(temporary.root()));
        let held = held.unwrap().path.clone();
        {
            let shell = Shell::for_user(user, &plan);
            assert_eq!(fs::metadata(&held).unwrap().permissions().mode() & 0o7777, 0o700);
            let bind = format!("{TRY} listen {}/default", held.display());
            assert!(["EROFS\n", "EACCES\n"].contains(&&*shell.run(&bind).output), "{user:?}");
            let moved = format!("{TRY} rename {} {}/x", held.display(), temporary.root().display());
            assert_eq!(shell.run(&moved).output, "EBUSY\n", "{user:?}");
        }
        until("the name is given back", || !held.exists());
    }
}

#[test]
fn a_socket_that_comes_later_is_pinned_too() {
    for (user, network) in [
        (User::Root, Network::Restricted),
        (User::Nobody, Network::Restricted),
        (User::Nobody, Network::Enabled),
    ] {
        if !sandboxed(user) {
            continue;
        }
        let temporary = Temporary::new(user);
        let root = temporary.root();
        let shell = Shell::for_user(user, &temporary.plan(network));
        // A command's own are its own.
        let own = format!(
            "cd {0} && mkdir mine && {{ {TRY} listen mine/sock; }} && mv mine mine2 && rm -r mine2 && echo gone",
            root.display()
        );
        assert_eq!(shell.run(&own).output, "ok\ngone\n", "{user:?} {network:?}");
        let _later = Agent::start(user, &root, "ssh-later");
        let mounted = "grep -c ssh-later/agent.1 /proc/self/mountinfo";
        until("it is covered", || shell.run(mounted).output == "1\n");
        let moved = format!("{TRY} rename {0}/ssh-later {0}/gone", root.display());
        assert_eq!(shell.run(&moved).output, "EBUSY\n", "{user:?} {network:?}");
    }
}
