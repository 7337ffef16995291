//! What whoever starts the server may have done to it: odd standard streams, signals and limits. It works, or says what
//! to change.

use std::process::{Command, Stdio};

use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;
use serde_json::{Value, json};

use super::protocol::{output, shell};

/// The server, started by a shell that does this before.
fn after(world: &World, before: &str, arguments: &[&str]) -> Command {
    let server = world.server(&[]);
    let mut command = Command::new("bash");
    world.surround(&mut command);
    command.args(["-c", &format!("{before} exec \"$0\" \"$@\"")]).arg(server.get_program());
    command.args(arguments);
    command
}

const UNCONFINED: &[&str] = &["--sandbox", "danger-full-access"];

#[test]
fn half_a_character_is_refused_under_the_id_of_its_request() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    server.initialize();
    let call = |id: &str, command: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"tools/call","params":{{"name":"shell","arguments":{{"command":"{command}","workdir":"/"}}}},"id":{id}}}"#
        )
    };
    server.send(&call("40", r"echo \ud99c"));
    let answer = server.receive();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(40), &json!(-32700)), "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("surrogate")), "{answer}");
    // A whole one is a character; a depth that nobody can read is named with its request, too.
    server.send(&call("41", r"printf '%s' '\ud83d\ude00'"));
    assert_eq!(output(&server.receive()), "😀");
    let deep = "[".repeat(500) + &"]".repeat(500);
    server.send(&format!(r#"{{"jsonrpc":"2.0","method":"tools/call","params":{deep},"id":"x"}}"#));
    let answer = server.receive();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("x"), &json!(-32700)), "{answer}");
}

#[test]
fn ignored_and_blocked_signals_of_its_parent_do_not_matter() {
    let world = World::with_rules("");
    // perl blocks signals as a program does that starts others from a thread which must not be interrupted.
    let blocked = r#"use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGCHLD, SIGTERM)); exec @ARGV"#;
    let ignoring = after(&world, "trap '' CHLD;", UNCONFINED);
    let mut blocking = Command::new("perl");
    world.surround(&mut blocking);
    blocking.args(["-e", blocked]).arg(world.server(&[]).get_program()).args(UNCONFINED);
    for command in [ignoring, blocking] {
        let mut server = Lines::start_command(command);
        server.initialize();
        let answer = server.request("tools/call", shell(&world, "/bin/echo in; (exit 7); echo $?; exit 5"));
        assert_eq!(
            (output(&answer), &answer["result"]["structuredContent"]["exit_code"]),
            ("in\n7\n", &json!(5))
        );
        let killed = Command::new("kill").arg(server.pid().to_string()).status();
        assert!(killed.expect("kill").success());
        assert!(server.wait().0.success());
    }
}

#[test]
fn a_low_limit_of_open_files_is_raised_or_named() {
    let world = World::with_rules("");
    let mut server = Lines::start_command(after(&world, "ulimit -Sn 200;", UNCONFINED));
    server.initialize();
    let answer = server.request("tools/call", shell(&world, "/bin/echo works; ulimit -Sn"));
    assert_eq!(output(&answer), "works\n256\n");
    let mut least = Lines::start_command(after(&world, "ulimit -n 256;", UNCONFINED));
    least.initialize();
    assert_eq!(output(&least.request("tools/call", shell(&world, "/bin/echo works"))), "works\n");
    let ended = after(&world, "ulimit -n 200;", UNCONFINED).stdin(Stdio::null()).output().expect("it starts");
    let words = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{words}");
    assert!(words.contains("only 200 files") && words.contains("ulimit -n"), "{words}");
}

/// Whoever has taken these away can have them back nowhere: each is a maximum.
#[test]
fn the_sandbox_can_be_set_up_below_lower_limits() {
    let world = World::with_rules("").configured("");
    let mut server = Lines::start_command(after(&world, "ulimit -c 0; ulimit -n 256; umask 077;", &[]));
    server.initialize();
    let answer =
        server.request("tools/call", shell(&world, "/bin/echo works; ulimit -Hc; ulimit -Hn; umask"));
    assert_eq!(output(&answer), "works\n0\n256\n0077\n");
}

#[test]
fn requests_may_come_from_a_file_and_answers_go_into_one() {
    let world = World::with_rules("");
    let client = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
    let requests = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": shell(&world, "echo from a file")}),
    ];
    let requests: Vec<String> = requests.iter().map(Value::to_string).collect();
    std::fs::write(world.home().join("requests"), requests.join("\n")).expect("written");
    let status = after(&world, "exec < ../requests > ../answers;", UNCONFINED).status().expect("it starts");
    assert!(status.success());
    let answers = std::fs::read_to_string(world.home().join("answers")).expect("answers");
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((answers.len(), output(&answers[1])), (2, "from a file\n"), "{answers:?}");
}

#[test]
fn without_an_output_the_server_says_so() {
    let world = World::with_rules("");
    for before in ["exec >&-;", "exec > /dev/null;"] {
        let ended = after(&world, before, UNCONFINED).stdin(Stdio::piped()).output().expect("it starts");
        let words = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{before}: {words}");
        assert!(words.contains("standard output is closed or /dev/null"), "{before}: {words}");
    }
}
