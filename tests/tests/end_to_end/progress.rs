//! How a client is told how its command is getting on.

use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;
use serde_json::{Value, json};

fn shell(world: &World, command: &str, token: Option<&str>) -> Value {
    let mut params = json!({
        "name": "shell",
        "arguments": {"command": command, "workdir": world.workdir(), "login": false, "timeout_ms": 300_000}
    });
    if let Some(token) = token {
        params["_meta"] = json!({"progressToken": token});
    }
    params
}

/// Messages up to the answer to this request, and the answer.
fn until_answered(server: &mut Lines, id: u64) -> (Vec<Value>, Value) {
    let mut before = Vec::new();
    loop {
        let message = server.receive();
        if message["id"] == id {
            return (before, message);
        }
        before.push(message);
    }
}

/// Waits for a message like this, which follows others of its kind.
fn until(server: &mut Lines, wanted: impl Fn(&Value) -> bool) {
    for _ in 0..1000 {
        if wanted(&server.receive()) {
            return;
        }
    }
    panic!("it does not come");
}

/// A command that prints a line and goes on when the file `go` appears.
const PATIENT: &str = "echo started; until [ -e go ]; do sleep 0.05; done; echo done";

#[test]
fn who_asks_is_told_the_time_and_the_last_line_and_nothing_after_the_answer() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    server.initialize();
    let id = server.send_request("tools/call", shell(&world, PATIENT, Some("mine")));
    let mut last = 0.0;
    for _ in 0..3 {
        let message = server.receive();
        assert_eq!(message["method"], "notifications/progress", "{message}");
        let params = &message["params"];
        assert_eq!(params["progressToken"], "mine");
        let progress = params["progress"].as_f64().expect("a number");
        assert!(progress > last, "{progress} after {last}");
        last = progress;
    }
    until(&mut server, |message| {
        message["params"]["message"].as_str().expect("a text").ends_with(" s: started")
    });
    std::fs::write(world.workdir().join("go"), "").expect("written");
    let (_, answer) = until_answered(&mut server, id);
    assert_eq!(answer["result"]["structuredContent"]["output"], "started\ndone\n");
    // Without a token nothing comes while one with it is told of, and of the first request nothing comes any more.
    std::fs::remove_file(world.workdir().join("go")).expect("it is there");
    let silent = server.send_request("tools/call", shell(&world, PATIENT, None));
    let other = server.send_request("tools/call", shell(&world, PATIENT, Some("other")));
    for _ in 0..3 {
        assert_eq!(server.receive()["params"]["progressToken"], "other");
    }
    std::fs::write(world.workdir().join("go"), "").expect("written");
    let mut answered = Vec::new();
    while answered.len() < 2 {
        let message = server.receive();
        match message["id"].as_u64() {
            Some(id) => answered.push(id),
            None => assert_eq!(message["params"]["progressToken"], "other", "{message}"),
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, [silent, other]);
}

#[test]
fn beyond_the_limit_calls_wait_in_order_and_say_so() {
    let world = World::with_rules("");
    let mut server = Lines::start_with(&world, &["--sandbox", "danger-full-access", "--max-calls", "1"]);
    server.initialize();
    let first = server.send_request("tools/call", shell(&world, PATIENT, None));
    let second = server.send_request("tools/call", shell(&world, "echo second", Some("queue")));
    let third = server.send_request("tools/call", shell(&world, "echo third", None));
    let cancelled = server.send_request("tools/call", shell(&world, "touch cancelled", None));
    let message = server.receive();
    let text = message["params"]["message"].as_str().expect("a message");
    assert!(text.contains("waiting: 1 commands are running"), "{text}");
    server.send(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": cancelled}})
            .to_string(),
    );
    std::fs::write(world.workdir().join("go"), "").expect("written");
    let mut answered = Vec::new();
    while answered.len() < 3 {
        let message = server.receive();
        answered.extend(message["id"].as_u64());
    }
    assert_eq!(answered, [first, second, third]);
    let last = server.request("tools/call", shell(&world, "ls cancelled", None));
    assert_eq!(last["result"]["structuredContent"]["exit_code"], 2, "{last}");
}

#[test]
fn messages_come_to_who_asks_for_them_in_either_way() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    let capabilities = server.initialize()["result"]["capabilities"].clone();
    assert!(capabilities["logging"].is_object(), "{capabilities}");
    let told = |server: &mut Lines, mut params: Value, meta: Value| {
        params["_meta"] = meta;
        let id = server.send_request("tools/call", params);
        until(server, |message| {
            assert_eq!(message["method"], "notifications/message", "{message}");
            assert_eq!(message["params"]["level"], "debug");
            message["params"]["data"]["message"].as_str().expect("a text").ends_with(": started")
        });
        std::fs::write(world.workdir().join("go"), "").expect("written");
        until_answered(server, id);
        std::fs::remove_file(world.workdir().join("go")).expect("it is there");
    };
    // With one call, as since MCP 2026-07-28.
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/logLevel": "debug"
    });
    told(&mut server, shell(&world, PATIENT, None), meta);
    // For all calls, as before.
    for (level, some) in [("debug", true), ("info", false)] {
        let answer = server.request("logging/setLevel", json!({"level": level}));
        assert!(answer["error"].is_null(), "{answer}");
        if some {
            told(&mut server, shell(&world, PATIENT, None), json!({}));
        } else {
            // The other kind of notification says when a message would have come.
            let id = server.send_request("tools/call", shell(&world, PATIENT, Some("token")));
            for _ in 0..3 {
                assert_eq!(server.receive()["method"], "notifications/progress");
            }
            std::fs::write(world.workdir().join("go"), "").expect("written");
            let (before, _) = until_answered(&mut server, id);
            assert!(before.iter().all(|message| message["method"] == "notifications/progress"), "{before:?}");
        }
    }
}
