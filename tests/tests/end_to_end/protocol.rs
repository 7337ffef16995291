//! The connection: what clients send that is no request, and what is not theirs to send.

use end_to_end_tests::lines::{Lines, run_to_end};
use end_to_end_tests::{World, word};
use serde_json::{Value, json};

fn modern(arguments: &Value) -> Value {
    json!({
        "name": "shell",
        "arguments": arguments,
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
            "io.modelcontextprotocol/clientInfo": {"name": "lines", "version": "1"}
        }
    })
}

pub(super) fn shell(world: &World, command: &str) -> Value {
    json!({"name": "shell", "arguments": {"command": command, "workdir": world.workdir(), "login": false}})
}

pub(super) fn output(answer: &Value) -> &str {
    answer["result"]["structuredContent"]["output"]
        .as_str()
        .unwrap_or_else(|| panic!("no output in {answer}"))
}

#[test]
fn junk_is_answered_and_nothing_is_lost() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    for line in [
        "",
        "{",
        "null",
        "[]",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{}}",
    ] {
        server.send(line);
    }
    let codes: Vec<Value> = (0..3).map(|_| server.receive()["error"]["code"].clone()).collect();
    assert_eq!(codes, [-32700, -32600, -32600]);
    let answer = server.initialize();
    assert_eq!(answer["result"]["serverInfo"]["name"], "shell-tool-mcp");
    let answer = server.request("tools/call", shell(&world, "echo here"));
    assert_eq!(output(&answer), "here\n");
    assert_eq!(server.request("tools/call", json!({"name": 5}))["error"]["code"], -32602);
    assert_eq!(server.request("logging/setLevel", json!({"level": "loud"}))["error"]["code"], -32602);
    for method in ["no/such", "prompts/list", "completion/complete"] {
        let answer = server.request(
            method,
            json!({"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "x", "value": ""}}),
        );
        assert_eq!(answer["error"]["code"], -32601, "{method}: {answer}");
    }
    assert_eq!(server.request("initialize", json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}))["error"]["code"], -32600);
    assert_eq!(output(&server.request("tools/call", shell(&world, "echo still"))), "still\n");
}

#[test]
fn the_stateless_revision_is_served() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    let discovered = server.request("server/discover", json!({"_meta": modern(&json!({}))["_meta"]}));
    let versions = discovered["result"]["supportedVersions"].to_string();
    assert!(versions.contains("2026-07-28") && versions.contains("2025-06-18"), "{discovered}");
    // Who declares more must take subscriptions to it.
    assert_eq!(discovered["result"]["capabilities"]["tools"], json!({}), "{discovered}");
    let call =
        |command: &str| modern(&json!({"command": command, "workdir": world.workdir(), "login": false}));
    let answer = server.request("tools/call", call("echo modern"));
    assert_eq!(output(&answer), "modern\n");
    let meta = json!({"_meta": modern(&json!({}))["_meta"]});
    let lists = ["tools/list", "resources/list", "resources/templates/list"];
    let mut answers: Vec<Value> = lists.iter().map(|list| server.request(list, meta.clone())).collect();
    let mut other_tool = modern(&json!({}));
    other_tool["name"] = json!("background_list");
    answers.extend([answer, server.request("tools/call", other_tool)]);
    for answer in answers {
        let info = &answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(info["name"], "shell-tool-mcp", "{answer}");
    }
}

#[test]
fn bad_parameters_of_a_known_method_are_told_from_an_unknown_method() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    server.initialize();
    let level = server.request("logging/setLevel", json!({"level": "info"}));
    assert!(level["result"].is_object(), "{level}");
    let meta = &modern(&json!({}))["_meta"];
    for (method, parameters, code) in [
        ("logging/setLevel", json!({"level": "loud"}), -32602),
        ("initialize", json!({}), -32602),
        ("subscriptions/listen", json!({}), -32601),
        ("logging/setLevel", json!({"level": "loud", "_meta": meta}), -32601),
        ("initialize", json!({"_meta": meta}), -32601),
        ("subscriptions/listen", json!({"_meta": meta}), -32602),
        ("resources/read", json!({"uri": 5, "_meta": meta}), -32602),
        ("tools/list", json!({"cursor": 5}), -32602),
        ("tools/list", json!({"cursor": "none that was given"}), -32602),
        ("resources/list", json!({"cursor": [], "_meta": meta}), -32602),
        ("resources/templates/list", json!({"cursor": {}}), -32602),
    ] {
        let answer = server.request(method, parameters.clone());
        assert_eq!(answer["error"]["code"], code, "{method} {parameters}: {answer}");
    }
}

#[test]
fn what_is_missing_at_the_start_is_named_with_a_remedy() {
    let world = World::with_rules("");
    for (arguments, words) in [
        (["--bash", "/no/such/bash"], ["--bash", "/no/such/bash"]),
        (["--execve", "/etc/passwd"], ["--execve", "not executable"]),
        (["--sandbox", "open"], ["open", "danger-full-access"]),
        (["--unknown", "x"], ["--unknown", "Usage"]),
    ] {
        let (code, said) = run_to_end(&world, &arguments);
        assert_ne!(code, Some(0), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said:?} should say {words:?}");
    }
    std::fs::remove_dir_all(world.codex_home()).expect("removed");
    let (code, said) = run_to_end(&world, &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("CODEX_HOME"), "{said}");
}

/// What the kernel reports needs no socket in the shell.
const WRAPPERS_DOOR: &[&str] = &["--sandbox", "danger-full-access", "--door", "wrapper"];

#[test]
fn a_forged_or_broken_socket_runs_nothing() {
    let world = World::with_rules("");
    let mut server = Lines::start_with(&world, WRAPPERS_DOOR);
    server.initialize();
    let wrapper = end_to_end_tests::binaries().join("execve-wrapper");
    let wrapper = word(&wrapper);
    // Each line tries to run `touch ran` past the server; the last one asks properly, through Bash.
    let script = format!(
        "(exec 240>&-; /usr/bin/touch ran); echo $?
         (exec 240<>/dev/null; /usr/bin/touch ran); echo $?
         env -i {wrapper} /usr/bin/touch touch ran; echo $?
         env CODEX_ESCALATE_SOCKET=1 {wrapper} /usr/bin/touch touch ran; echo $?
         ls; touch twin; ls"
    );
    let answer = server.request("tools/call", shell(&world, &script));
    let codes: Vec<&str> =
        output(&answer).lines().filter(|line| !line.starts_with("execve-wrapper: ")).collect();
    assert_eq!(codes, ["1", "1", "1", "1", "twin"], "{answer}");
    assert_eq!(
        output(&answer).matches("execve-wrapper: not running /usr/bin/touch: ").count(),
        4,
        "{answer}"
    );
}

#[test]
fn what_comes_between_a_first_request_and_initialize_does_not_end_the_server() {
    let world = World::with_rules("");
    for first in ["ping", "tools/list", "server/discover"] {
        let mut server = Lines::start_with(&world, WRAPPERS_DOOR);
        server.request(first, json!({}));
        server.send(
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}",
        );
        server.send("{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":{}}");
        let answer = server.initialize();
        assert_eq!(answer["result"]["serverInfo"]["name"], "shell-tool-mcp", "{first}: {answer}");
        assert_eq!(output(&server.request("tools/call", shell(&world, "echo on"))), "on\n");
    }
}

#[test]
fn a_hostile_call_on_the_socket_hurts_nobody_else() {
    let world = World::with_rules("prefix_rule(pattern=[\"id\"], decision=\"forbidden\")\n");
    let mut server = Lines::start_with(&world, WRAPPERS_DOOR);
    server.initialize();
    // Python, started by Bash, inherits a copy of the socket that Bash alone should have.
    let attack = r#"
import os, socket, struct, array
s = socket.socket(fileno=7)
s.send(b"")
for junk in (b"x", b"\x01", b"\x01\xff", b"\x02\x00", b"\x01\x00", os.urandom(4000)):
    s.send(junk)
def hello(stream):
    s.sendmsg([b"\x02\x00"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [stream.fileno()]))])
def connection(*frames):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for frame in frames: ours.send(frame)
    hello(theirs); theirs.close()
    return ours
def frame(kind, body, length=None, version=2):
    return b"XE" + bytes([version, kind]) + struct.pack("<I", len(body) if length is None else length) + body
request = struct.pack("<II", 1, 0) + b"/usr/bin/id\x00id\x00"
bad = [frame(1, b"", 0xffffffff), frame(1, b"", 8 << 20), frame(1, request, version=9), frame(3, b""), frame(1, b"\x00" * 8),
       frame(1, struct.pack("<II", 0xffffffff, 0xffffffff) + b"x\x00"), b"XE", os.urandom(64)]
kept = [connection(b) for b in bad for _ in range(20)]
asked = connection(frame(1, request))
asked.settimeout(20)
answer = asked.recv(4096)
print("denied" if answer[8:9] == b"\x03" else answer)
"#;
    std::fs::write(world.workdir().join("attack.py"), attack).expect("written");
    let answer =
        server.request("tools/call", shell(&world, "python3 attack.py 7>&240; echo $?; /bin/echo judged"));
    assert_eq!(output(&answer), "denied\n0\njudged\n", "{answer}");
    assert_eq!(output(&server.request("tools/call", shell(&world, "/bin/echo next"))), "next\n");
}
