//! What a call is refused and what is said about it; and what is not even asked about.

use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Outcome, Person};

fn denials(outcome: &Outcome) -> String {
    outcome.json()["denials"].to_string()
}

#[tokio::test]
async fn a_denial_is_found_whatever_the_exit_code() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let folder = world.codex_home();
    let outcome = client.run(&format!("mkdir -p {}/a/b 2>&1 | tail -1", folder.display())).await;
    assert_eq!(outcome.ran().0, 0, "{outcome:?}");
    assert!(denials(&outcome).contains(&format!("writing {}/a; ", folder.display())), "{outcome:?}");
    // A half-success of Git's names the rule that lets it through.
    let git = "git init -q r 2>/dev/null; git config a.b c 2>&1 | cat";
    std::fs::create_dir_all(world.workdir().join(".git/objects")).expect("made");
    std::fs::create_dir_all(world.workdir().join(".git/refs")).expect("made");
    std::fs::write(world.workdir().join(".git/HEAD"), "ref: refs/heads/main\n").expect("written");
    std::fs::write(world.workdir().join(".git/config"), "").expect("written");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = client.run(git).await;
    let said = denials(&outcome);
    assert!(said.contains(".git/config; it is protected") && said.contains("prefix_rule"), "{outcome:?}");
    assert!(said.contains("\\\"git\\\", ") && said.contains("config"), "{outcome:?}");
}

/// Behind the kernel's door it is known what was refused: that is certain, under its own path, and nothing is offered for what a
/// command only prints.
#[tokio::test]
async fn what_is_only_printed_is_not_offered() {
    let world = World::with_rules("").configured("");
    let sub = world.workdir().join("sub");
    std::fs::create_dir(&sub).expect("a folder");
    let mut server = world.server(&["--door", "kernel"]);
    server.current_dir(&sub);
    let client = Client::start_command(&world, &Person::absent(), server).await;
    let run = async |script: &str| {
        let arguments = serde_json::json!({"command": script, "workdir": sub, "login": false});
        let outcome = client.call(arguments).await;
        (denials(&outcome), outcome)
    };
    std::fs::write(world.workdir().join("g"), "").expect("a file");
    let home = world.home().display();
    let (said, outcome) =
        run(&format!("echo \"touch: cannot touch '{home}/x/y': Read-only file system\"; false")).await;
    assert!(said.contains("possibly denied") && !said.contains("--writable-root"), "{outcome:?}");
    let (said, outcome) = run("echo x > ../f; cd ..; true").await;
    let refused = world.workdir().join("f");
    assert!(
        said.contains(&format!("\"denied by the sandbox: writing {}; ", refused.display())),
        "{outcome:?}"
    );
    assert!(said.contains("--writable-root"), "{outcome:?}");
    for script in [
        "touch ../f",
        "mkdir ../d",
        "mv ../sub ../t",
        "ln -s a ../l",
        "chmod 700 ../g",
        "test -w ../g || echo ../g: Permission denied",
    ] {
        let (said, outcome) = run(&format!("{script}; true")).await;
        assert!(said.starts_with("[\"denied by the sandbox: writing "), "{script}: {outcome:?}");
    }
    let (said, outcome) = run("echo x > .mcp.json").await;
    assert!(said.contains("\\\"--protected\\\", \\\".mcp.json\\\""), "{outcome:?}");
}

#[tokio::test]
async fn the_network_is_denied_to_whom_it_was_denied() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let asks = "python3 -c 'import socket; socket.socket(type=socket.SOCK_DGRAM).connect((\"192.0.2.1\", 80))' 2>/dev/null";
    let outcome = client.run(&format!("{asks} | cat")).await;
    assert!(denials(&outcome).contains("\"denied by the sandbox: the network"), "{outcome:?}");
    let next = client.run("false").await;
    assert_eq!(denials(&next), "null", "{next:?}");
    // Beside another, nobody knows whose it was: only one that says so is told, and that it is possible.
    client.run("sleep 1000 > /dev/null & ").await;
    let outcome = client.run(&format!("{asks}; echo Network is unreachable")).await;
    assert!(denials(&outcome).contains("possibly denied by the sandbox: the network"), "{outcome:?}");
    let silent = client.run(&format!("{asks}; false")).await;
    assert_eq!(denials(&silent), "null", "{silent:?}");
    // Of a connection the kernel's door tells, whoever else there is.
    let connects =
        "python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80))' 2>/dev/null; true";
    let told = denials(&client.run(connects).await);
    assert!(told.contains("the connection to 192.0.2.1:80 by ") && !told.contains("denied by"), "{told}");
}

/// What listens outside is somebody else's localhost. A port where nobody listens is nobody's doing.
#[tokio::test]
async fn a_server_outside_that_cannot_be_reached_is_explained() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let connect = format!(
        "python3 -c 'import socket; socket.create_connection((\"localhost\", {port}))' 2>&1 | tail -1"
    );
    let outcome = client.run(&connect).await;
    assert!(outcome.ran().1.contains("Connection refused"), "{outcome:?}");
    let said = format!("possibly denied by the sandbox: port {port} of the host's localhost");
    assert!(denials(&outcome).contains(&said), "{outcome:?}");
    drop(listener);
    let outcome = client.run(&connect).await;
    assert_eq!((outcome.ran().0, &*denials(&outcome)), (0, "null"), "{outcome:?}");
}

#[tokio::test]
async fn tools_do_not_try_again_for_long_where_there_is_no_network() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = client.run("echo $npm_config_fetch_retries $PIP_RETRIES").await;
    assert_eq!(outcome.ran(), (0, "0 0\n"));
    let online = Client::start_with(&world, &Person::absent(), &["--network"]).await;
    assert_eq!(online.run("echo ${npm_config_fetch_retries-none}").await.ran(), (0, "none\n"));
}

#[tokio::test]
async fn forced_removal_is_asked_about_where_it_takes_more_than_its_own() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let work = world.workdir();
    for allowed in [
        "mkdir -p build/x; rm -rf build; [ ! -e build ]",
        "ln -s / link; rm -rf link; [ -e / ] && [ ! -L link ]",
        "mkdir dir; bash -c 'rm -rf dir'; [ ! -e dir ]",
        "mkdir dir; printf '#!/bin/sh\\nrm -rf dir\\n' > s; chmod +x s; ./s; [ ! -e dir ]",
        "rm -rf not-there",
    ] {
        let outcome = client.run(allowed).await;
        assert_eq!(outcome.ran(), (0, ""), "{allowed}");
    }
    for asked in [
        &format!("rm -rf {}", work.display()),
        &format!("rm -rf {}/.", work.display()),
        "rm -rf ../work",
        "rm -rf .git",
        "rm -rf .vscode",
        "rm -rf /tmp",
        "rm -rf /usr/share/nothing",
        "mkdir -p build; rm -rf build /etc/nothing",
        "ln -sfn / link; rm -rf link/etc/nothing",
        "bash -c 'cd /; rm -rf etc/nothing'",
    ] {
        let outcome = client.run(asked).await;
        assert!(outcome.ran().1.contains("needs a person's approval"), "{asked}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_trap_cleans_up_at_a_timeout() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let command = "trap 'rm -f lock' EXIT; touch lock; sleep 1000";
    let outcome = client.run_within(command, Duration::from_millis(1500)).await;
    assert_eq!(outcome.ran().0, 124, "{outcome:?}");
    assert!(!world.workdir().join("lock").exists(), "{outcome:?}");
}

/// The kernel tells, so it does not matter what a program prints.
#[tokio::test]
async fn what_no_command_may_do_is_named_by_what_it_did() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &["--door", "kernel"]).await;
    let call = |what: &str| {
        format!("python3 -c 'import ctypes; l = ctypes.CDLL(None); {what}' > /dev/null 2>&1; true")
    };
    let numbers = match std::env::consts::ARCH {
        "x86_64" => (298, 272),
        _ => (241, 97),
    };
    for (what, denied) in [
        (call("l.ptrace(0, 0, 0, 0)"), "tracing a process (ptrace)"),
        (
            call(&format!("l.syscall({}, ctypes.create_string_buffer(128), 0, -1, -1, 0)", numbers.0)),
            "the processor's counters",
        ),
        (call(&format!("l.syscall({}, 0x10000000)", numbers.1)), "new namespaces"),
        (call("l.mount(b\"x\", b\"/tmp\", b\"tmpfs\", 0, 0)"), "mounting file systems"),
        (call("import socket; socket.socket(17, 3)"), "this kind of socket"),
    ] {
        let outcome = client.run(&what).await;
        assert!(
            denials(&outcome).contains(&format!("\"denied by the sandbox: {denied}")),
            "{denied}: {outcome:?}"
        );
    }
    let outcome = client.run("sleep 0.01; unshare -Ur true; true").await;
    assert!(denials(&outcome).contains("prefix_rule([\\\"unshare\\\"], "), "{outcome:?}");
    // What is only said was not done.
    let outcome = client
        .run("echo 'ptrace: Operation not permitted'; echo 'unshare failed: Operation not permitted'")
        .await;
    assert_eq!(denials(&outcome), "null", "{outcome:?}");
}

#[tokio::test]
async fn what_is_hidden_is_said_to_be_where_it_seems_to_be_missing() {
    let world = World::with_rules("").configured("");
    let keys = world.home().join(".ssh");
    std::fs::create_dir_all(&keys).expect("a folder");
    std::fs::write(keys.join("id_ed25519"), "a key").expect("a key");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    for script in ["cat ~/.ssh/id_ed25519 2>&1 | tail -1", "python3 -c 'open(\"../.ssh/id_ed25519\")'"] {
        let outcome = client.run(script).await;
        let denied = denials(&outcome);
        assert!(denied.contains(".ssh/id_ed25519; it is hidden, because it holds keys"), "{outcome:?}");
        assert!(!denied.contains("allow_read") && !denied.contains("prefix_rule"), "{outcome:?}");
    }
    let outcome = client
        .run("ssh -i ~/.ssh/id_ed25519 -o BatchMode=yes nowhere.invalid 2>&1 || cat ~/.ssh/id_ed25519")
        .await;
    assert!(denials(&outcome).contains("prefix_rule([\\\"ssh\\\"], "), "{outcome:?}");
    let outcome = client.run("cat missing").await;
    assert_eq!(denials(&outcome), "null", "{outcome:?}");
}

/// A program that takes the end of a pipe for a terminal, as vim does, waits for keys that never come.
#[tokio::test]
async fn who_reads_keys_from_its_own_output_is_told_that_there_are_none() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &["--door", "kernel"]).await;
    let waits = r#"python3 -c '
import os, select, fcntl, termios
os.dup2(2, 0)
try: fcntl.ioctl(0, termios.TCSETS, bytes(60))
except OSError as error: print(error.strerror, flush=True)
select.select([0], [], [], 20)
print(os.read(0, 1))
'"#;
    let outcome = client.run_within(waits, Duration::from_secs(15)).await;
    assert_eq!(outcome.ran(), (0, "Inappropriate ioctl for device\nb''\n"), "{outcome:?}");
    assert!(outcome.json()["notes"].to_string().contains("nobody is at one"), "{outcome:?}");
    // Its twin reads what can be read.
    let reads = "echo x | python3 -c 'import fcntl, sys, termios\ntry: fcntl.ioctl(0, termios.TCSETS, bytes(60))\nexcept OSError: print(sys.stdin.read())'";
    let outcome = client.run(reads).await;
    assert_eq!(
        (outcome.ran(), &outcome.json()["notes"]),
        ((0, "x\n\n"), &serde_json::Value::Null),
        "{outcome:?}"
    );
    if end_to_end_tests::machine::is_installed("vim") {
        let outcome = client.run_within("vim file", Duration::from_secs(30)).await;
        assert_ne!(outcome.ran().0, 124, "{outcome:?}");
        assert!(outcome.json()["notes"].to_string().contains("nobody is at one"), "{outcome:?}");
    }
}
