//! How a connection ends, by whichever side, and what becomes of commands then.

use std::time::Duration;

use end_to_end_tests::lines::Lines;
use end_to_end_tests::waiting::{ended, written};
use end_to_end_tests::{World, word};
use serde_json::{Value, json};

use super::protocol::{output, shell};

#[test]
fn a_piped_script_of_requests_gets_its_answers_before_the_server_ends() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    server.initialize();
    let id = server.send_request("tools/call", shell(&world, "echo last"));
    server.close_input();
    let answer = server.receive();
    assert_eq!((answer["id"].as_u64(), output(&answer)), (Some(id), "last\n"));
    let (status, _) = server.wait();
    assert!(status.success(), "{status}");
}

/// Starts a command that says so and does not mean to end, and returns its request's id.
fn endless(server: &mut Lines, world: &World, command: &str) -> u64 {
    let id = server.send_request(
        "tools/call",
        shell(world, &format!("{command}; echo > up; while :; do sleep 0.05; done")),
    );
    assert_eq!(written(&world.workdir().join("up")), "");
    id
}

#[test]
fn a_client_that_has_closed_its_end_and_still_reads_is_told_what_became_of_its_commands() {
    for command in ["echo before", "trap '' TERM; echo before"] {
        let world = World::with_rules("");
        let mut server = Lines::start(&world);
        server.initialize();
        let id = endless(&mut server, &world, command);
        server.close_input();
        let answer = server.receive();
        assert_eq!(answer["id"].as_u64(), Some(id), "{answer}");
        assert!(output(&answer).starts_with("before\n"), "{answer}");
        let result = &answer["result"]["structuredContent"];
        assert_eq!(result["status"], "cancelled");
        assert!(result["notes"].to_string().contains("input was closed"), "{result}");
        let (status, _) = server.wait();
        assert!(status.success(), "{status}");
    }
}

/// Whether the client says anything more or not, over a pipe (Python, Rust) or a socket (Node).
#[test]
fn when_nobody_reads_its_output_any_more_the_server_ends_with_its_commands() {
    use std::io::{BufRead as _, BufReader, Read, Write as _};
    for (over_a_socket, ping) in [(false, false), (false, true), (true, false), (true, true)] {
        let world = World::with_rules("");
        let mut command = world.server(&["--sandbox", "danger-full-access"]);
        let (read, write): (Box<dyn Read>, std::os::fd::OwnedFd) = if over_a_socket {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("sockets");
            (Box::new(ours), theirs.into())
        } else {
            let (ours, theirs) = std::io::pipe().expect("a pipe");
            (Box::new(ours), theirs.into())
        };
        let mut child =
            command.stdin(std::process::Stdio::piped()).stdout(write).spawn().expect("the server starts");
        drop(command);
        let mut say = child.stdin.take().expect("a pipe");
        let client = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
        let call =
            shell(&world, "trap '' TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.05; done");
        for (id, method, params) in [(1, "initialize", client), (2, "tools/call", call)] {
            writeln!(say, "{}", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
                .expect("it reads");
        }
        let mut reader = BufReader::new(read);
        reader.read_line(&mut String::new()).expect("an answer");
        let pid = written(&world.workdir().join("pid"));
        drop(reader);
        if ping {
            writeln!(say, "{}", json!({"jsonrpc": "2.0", "id": 3, "method": "ping"})).expect("it reads");
        }
        ended(&pid);
        let status = child.wait().expect("it ends");
        assert!(status.success(), "socket {over_a_socket}, ping {ping}: {status}");
        drop(say);
    }
}

/// Starts a command that has said that it runs, and returns its process id.
fn running(server: &mut Lines, world: &World) -> String {
    server.initialize();
    server.send_request(
        "tools/call",
        shell(world, "trap '' TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.05; done"),
    );
    written(&world.workdir().join("pid"))
}

#[test]
fn when_the_client_closes_its_end_running_commands_end_and_so_does_the_server() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    let pid = running(&mut server, &world);
    server.close_input();
    let (status, _) = server.wait();
    assert!(status.success(), "{status}");
    ended(&pid);
}

#[test]
fn a_signal_ends_the_server_and_its_commands() {
    for signal in ["TERM", "INT", "HUP", "KILL"] {
        let world = World::with_rules("");
        let mut server = Lines::start(&world);
        let pid = running(&mut server, &world);
        let killed = std::process::Command::new("kill")
            .args([&format!("-{signal}"), &server.pid().to_string()])
            .status();
        assert!(killed.expect("kill").success());
        let (status, _) = server.wait();
        assert_eq!(status.success(), signal != "KILL", "{signal}: {status}");
        ended(&pid);
    }
}

#[test]
fn a_server_that_is_told_to_end_tells_what_became_of_its_commands() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    server.initialize();
    let id = endless(&mut server, &world, "trap '' TERM; echo before");
    terminate(&server);
    let answer = server.receive();
    assert_eq!((answer["id"].as_u64(), output(&answer)), (Some(id), "before\n"), "{answer}");
    assert_eq!(answer["result"]["structuredContent"]["status"], "cancelled");
    let (status, _) = server.wait();
    assert!(status.success(), "{status}");
}

/// `mcp` before version 2 raises an error in its user's program when an answer comes after it was closed.
#[test]
fn pythons_older_sdk_gets_no_answer_after_it_was_closed() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    let client = json!({"name": "mcp", "version": "0.1.0"});
    server.request(
        "initialize",
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}),
    );
    server.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
    assert_eq!(output(&server.request("tools/call", shell(&world, "echo twin"))), "twin\n");
    endless(&mut server, &world, "trap '' TERM; echo before");
    server.close_input();
    let (status, _) = server.wait();
    assert!(status.success(), "{status}");
    assert_eq!(server.rest(), Vec::<String>::new());
}

/// Sends a signal that ends a server.
fn terminate(server: &Lines) {
    let killed = std::process::Command::new("kill").arg(server.pid().to_string()).status();
    assert!(killed.expect("kill").success());
}

#[test]
fn a_server_that_is_told_to_end_starts_nothing_that_still_waits() {
    let world = World::with_rules("");
    let mut server = Lines::start_with(&world, &["--sandbox", "danger-full-access", "--max-calls", "1"]);
    server.initialize();
    let first = endless(&mut server, &world, "true");
    let second = server.send_request("tools/call", shell(&world, "echo > second"));
    // It has been heard.
    server.request("ping", json!({}));
    terminate(&server);
    let mut answers: Vec<Value> = (0..2).map(|_| server.receive()).collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!((answers[0]["id"].as_u64(), answers[1]["id"].as_u64()), (Some(first), Some(second)));
    assert_eq!(answers[0]["result"]["structuredContent"]["status"], "cancelled");
    assert_eq!(answers[1]["result"]["isError"], true, "{answers:?}");
    server.wait();
    assert!(!world.workdir().join("second").exists());
}

#[test]
fn start_up_files_end_with_the_request_that_wanted_them() {
    for way in ["cancelled", "input closed", "server told to end"] {
        let world = World::with_rules("");
        let pid = world.workdir().join("pid");
        let profile = format!("echo $$ > {0}.new; mv {0}.new {0}; sleep 1000\n", word(&pid));
        std::fs::write(world.home().join(".bash_profile"), profile).expect("written");
        let mut server = Lines::start(&world);
        server.initialize();
        let call =
            json!({"name": "shell", "arguments": {"command": "echo > ran", "workdir": world.workdir()}});
        let id = server.send_request("tools/call", call);
        let pid = written(&pid);
        match way {
            "cancelled" => server.send(
                &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
                    .to_string(),
            ),
            "input closed" => server.close_input(),
            _ => terminate(&server),
        }
        // Start-up files that hang would be given five seconds.
        let begun = std::time::Instant::now();
        ended(&pid);
        assert!(begun.elapsed() < Duration::from_secs(4), "{way}: it took {:?}", begun.elapsed());
        if way != "cancelled" {
            let answer = server.receive();
            assert_eq!(
                (answer["id"].as_u64(), &answer["result"]["isError"]),
                (Some(id), &json!(true)),
                "{way}: {answer}"
            );
            server.wait();
        }
        assert!(!world.workdir().join("ran").exists(), "{way}: it ran");
    }
}

#[test]
fn a_cancelled_request_ends_its_command() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    let pid = running(&mut server, &world);
    server.send(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}})
            .to_string(),
    );
    ended(&pid);
    assert_eq!(output(&server.request("tools/call", shell(&world, "echo next"))), "next\n");
}
