//! Servers inside behind the kernel's door, and their clients, which connect to Unix sockets: a session bus, agents for keys,
//! a database.

use std::process::Command;
use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::machine::is_installed;

const DOOR: &[&str] = &["--door", "kernel"];

/// Programs that it takes, a script, and what it prints last.
const SERVERS: &[(&[&str], &str, &str)] = &[
    (
        &["dbus-run-session", "gdbus"],
        "dbus-run-session -- gdbus call --session --dest org.freedesktop.DBus --object-path / \
         --method org.freedesktop.DBus.GetNameOwner org.freedesktop.DBus",
        "('org.freedesktop.DBus',)",
    ),
    (
        &["ssh-agent", "ssh-keygen"],
        "eval $(ssh-agent -a $PWD/agent) > /dev/null; ssh-keygen -q -t ed25519 -N '' -C mine -f key; ssh-add -q key; \
         ssh-add -l | cut -d' ' -f3; ssh-agent -k > /dev/null",
        "mine",
    ),
    (
        &["gpg", "gpg-agent"],
        "mkdir -m 700 gpg; export GNUPGHOME=$PWD/gpg; gpg --batch -q --passphrase '' --quick-gen-key me default default never; \
         echo signed | gpg --batch -q -s | gpg --batch -q -d; gpgconf --kill all",
        "signed",
    ),
];

#[tokio::test]
async fn servers_inside_are_reached_by_their_clients() {
    let world = World::with_rules("");
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    for (needs, script, says) in SERVERS.iter().filter(|(needs, ..)| needs.iter().all(|it| is_installed(it)))
    {
        let outcome = client.run_within(&format!("{script} 2> errors; wait"), Duration::from_secs(60)).await;
        assert!(outcome.ran().1.lines().any(|line| line == *says), "{needs:?}: {outcome:?}");
    }
}

/// The server of a world as an ordinary user, whoever runs the tests: some servers refuse to run as root.
fn as_ordinary_user(world: &World) -> Command {
    if !rustix::process::getuid().is_root() {
        return world.server(DOOR);
    }
    let programs = world.home().join("programs");
    std::fs::create_dir(&programs).expect("a folder");
    for name in ["exec-server", "execve-wrapper", "bash"] {
        std::fs::copy(end_to_end_tests::binaries().join(name), programs.join(name)).expect("copied");
    }
    let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(world.home()).status();
    assert!(owned.expect("chown").success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(programs.join("exec-server"));
    world.surround(&mut command);
    command.args(DOOR);
    command
}

#[tokio::test]
async fn a_database_inside_knows_its_clients_user() {
    if !["initdb", "pg_ctl", "psql"].iter().all(|program| is_installed(program)) {
        return;
    }
    let world = World::with_rules("");
    let client = Client::start_command(&world, &Person::absent(), as_ordinary_user(&world)).await;
    let script = "mkdir run; initdb -D db -A peer > log; pg_ctl -D db -o \"-k $PWD/run -c listen_addresses=''\" -w -l log start >> log; \
                  psql -h $PWD/run postgres -Atc 'select current_user = session_user, 6 * 7'; pg_ctl -D db -m fast stop >> log; tail -3 log >&2";
    let outcome = client.run_within(script, Duration::from_secs(90)).await;
    assert!(outcome.ran().1.contains("t|42\n"), "{outcome:?}");
}

#[tokio::test]
async fn a_server_inside_sees_the_user_who_has_come_but_no_process() {
    let world = World::with_rules("");
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let script = r#"python3 -c '
import os, socket, struct
seen = lambda of: struct.unpack("3i", of.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
server, one = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
server.bind("socket"); server.listen(); one.connect("socket")
print(seen(server.accept()[0]) == (0, os.getuid(), os.getgid()), seen(one) == (os.getpid(), os.getuid(), os.getgid()))
'"#;
    let outcome = client.run(script).await;
    assert_eq!(outcome.ran(), (0, "True True\n"), "{outcome:?}");
    if !rustix::process::getuid().is_root() {
        return;
    }
    // Root may become others, and they come as who they are.
    let script = r#"python3 -c '
import os, socket, struct
os.mkdir("folder"); os.chdir("folder")
server = socket.socket(socket.AF_UNIX)
server.bind("socket"); server.listen(); os.chmod("socket", 0o666)
def come(mode):
    os.chmod("socket", mode)
    pid = os.fork()
    if pid == 0:
        os.setgroups([2000]); os.setresgid(1000, 1000, 1000); os.setresuid(1000, 1000, 1000)
        try: socket.socket(socket.AF_UNIX).connect("socket")
        except OSError as error: os._exit(error.errno)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(come(0o666), struct.unpack("3i", server.accept()[0].getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)), come(0o600))
'"#;
    let outcome = client.run(&format!("chmod 755 . ..; {script}")).await;
    assert_eq!(outcome.ran().1.lines().last(), Some("0 (0, 1000, 1000) 13"), "{outcome:?}");
}
