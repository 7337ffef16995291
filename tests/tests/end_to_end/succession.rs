//! A server takes the place of one that was killed, on the same streams: nothing that the client has asked stays
//! without an answer.

use std::process::Command;

use end_to_end_tests::World;

use end_to_end_tests::lines::Lines;
use end_to_end_tests::waiting::{ended, eventually, written};
use serde_json::{Value, json};

use super::protocol::{output, shell};

/// A launcher: three servers, one after the other, which share the streams and a file.
struct Launcher {
    lines: Lines,
}

impl Launcher {
    fn start(world: &World, arguments: &[&str]) -> Launcher {
        let server = world.server(&[]);
        let mut command = Command::new("sh");
        world.surround(&mut command);
        command.args(["-c", "exec 3<> \"$0\"; rm \"$0\"; \"$@\"; \"$@\"; \"$@\""]);
        command.arg(world.home().join("session")).arg(server.get_program());
        command.args(["--session-fd", "3"]).args(arguments);
        Launcher { lines: Lines::start_command(command) }
    }

    /// Kills the server that serves, and returns when it is gone.
    fn kill_server(&self) {
        let pid = self.server();
        assert!(Command::new("kill").args(["-9", &pid]).status().expect("kill").success());
        eventually(|| if self.server() == pid { Err("no successor") } else { Ok(()) });
    }

    fn server(&self) -> String {
        let launcher = self.lines.pid();
        let children = format!("/proc/{launcher}/task/{launcher}/children");
        eventually(|| {
            let pid = std::fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
            if pid.is_empty() { Err("no server") } else { Ok(pid) }
        })
    }

    /// What a successor says first: answers and notifications, up to the one after which the client looks at the tools
    /// again.
    fn first_words(&mut self) -> Vec<Value> {
        let mut words = Vec::new();
        loop {
            let message = self.lines.receive();
            if message["method"] == "notifications/tools/list_changed" {
                return words;
            }
            words.push(message);
        }
    }
}

const UNCONFINED: &[&str] = &["--sandbox", "danger-full-access"];

fn is_lost(answer: &Value) -> bool {
    answer["error"]["message"].as_str().is_some_and(|text| text.contains("the server died"))
}

#[test]
fn a_call_that_was_under_way_is_answered_and_the_session_goes_on() {
    let world = World::with_rules("");
    let mut launcher = Launcher::start(&world, UNCONFINED);
    launcher.lines.initialize();
    assert_eq!(output(&launcher.lines.request("tools/call", shell(&world, "echo twin"))), "twin\n");
    let sh = launcher.lines.pid().to_string();
    // Who has the file could say what the client has said. The launcher has it, and shows that it would be seen.
    let mut holders = |pid: &str| {
        let count = format!("ls -l /proc/{pid}/fd | grep -c 'session (deleted)'");
        output(&launcher.lines.request("tools/call", shell(&world, &count))).to_owned()
    };
    assert_eq!(holders(&sh), "1\n");
    assert_eq!(holders("self"), "0\n");
    let command = "trap '' TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.05; done";
    let id = launcher.lines.send_request("tools/call", shell(&world, command));
    let pid = written(&world.workdir().join("pid"));
    launcher.kill_server();
    let words = launcher.first_words();
    assert!(words.len() == 1 && words[0]["id"] == id && is_lost(&words[0]), "{words:?}");
    ended(&pid);
    assert_eq!(output(&launcher.lines.request("tools/call", shell(&world, "echo next"))), "next\n");
    // The third one has nothing to say about what the second has answered, unless that died before it had noted its
    // last answer.
    let last = launcher.lines.request("ping", json!({}))["id"].clone();
    launcher.kill_server();
    assert!(launcher.first_words().iter().all(|word| word["id"] == last));
    assert_eq!(output(&launcher.lines.request("tools/call", shell(&world, "echo third"))), "third\n");
}

#[test]
fn what_the_client_has_said_for_all_calls_still_holds() {
    let world = World::with_rules("");
    let mut launcher =
        Launcher::start(&world, &["--writable-root", world.workdir().to_str().expect("UTF-8")]);
    let server = &mut launcher.lines;
    server.initialize();
    let write = |server: &mut Lines| {
        let answer = server.request("tools/call", shell(&world, "echo x > made && echo written"));
        output(&answer).contains("written")
    };
    assert!(write(server));
    let state = json!({"sandboxPolicy": {"type": "read-only"}, "sandboxCwd": world.workdir()});
    let updated = server.request("codex/sandbox-state/update", state);
    assert!(updated.get("result").is_some(), "{updated}");
    // One that is refused changes nothing.
    assert!(server.request("codex/sandbox-state/update", json!({"sandboxPolicy": 7})).get("error").is_some());
    assert!(!write(server));
    launcher.kill_server();
    launcher.first_words();
    assert!(!write(&mut launcher.lines), "the client's sandbox was forgotten");
}

#[test]
fn an_answer_to_a_question_of_the_dead_server_is_not_one_to_a_question_of_the_next() {
    let world = World::with_rules("prefix_rule(pattern=[\"touch\"], decision=\"prompt\")\n");
    let mut launcher = Launcher::start(&world, &[&["--approvals", "client"], UNCONFINED].concat());
    launcher.lines.initialize_as("2025-06-18", &json!({"elicitation": {}}));
    let first = launcher.lines.send_request("tools/call", shell(&world, "touch first"));
    let old = launcher.lines.receive_call();
    assert_eq!(old["method"], "elicitation/create");
    launcher.kill_server();
    let words = launcher.first_words();
    assert!(words.iter().any(|word| word["id"] == first && is_lost(word)), "{words:?}");
    let withdrawn = |word: &Value| {
        word["method"] == "notifications/cancelled" && word["params"]["requestId"] == old["id"]
    };
    assert!(words.iter().any(withdrawn), "{words:?}");
    let second = launcher.lines.send_request("tools/call", shell(&world, "touch second || echo refused"));
    let new = launcher.lines.receive_call();
    assert_eq!(new["method"], "elicitation/create");
    assert_ne!(old["id"], new["id"]);
    launcher.lines.respond(&old["id"], &json!({"action": "accept", "content": {}}));
    launcher.lines.respond(&new["id"], &json!({"action": "decline"}));
    let answer = launcher.lines.receive_call();
    assert_eq!(answer["id"], second);
    assert!(output(&answer).ends_with("refused\n"), "{answer}");
    assert!(!world.workdir().join("first").exists() && !world.workdir().join("second").exists());
    // Its allowed twin.
    launcher.lines.send_request("tools/call", shell(&world, "touch third"));
    let question = launcher.lines.receive_call();
    launcher.lines.respond(&question["id"], &json!({"action": "accept", "content": {}}));
    launcher.lines.receive_call();
    assert!(world.workdir().join("third").exists());
}

#[test]
fn clients_that_never_say_initialize_are_answered_too() {
    let world = World::with_rules("prefix_rule(pattern=[\"touch\"], decision=\"prompt\")\n");
    let mut launcher = Launcher::start(&world, &[&["--approvals", "client"], UNCONFINED].concat());
    let call = |command: &str| {
        let mut call = shell(&world, command);
        call["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
            "io.modelcontextprotocol/clientInfo": {"name": "lines", "version": "1"}
        });
        call
    };
    let asked = launcher.lines.request("tools/call", call("touch made"));
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let id = launcher.lines.send_request("tools/call", call("echo > up; while :; do sleep 0.05; done"));
    assert_eq!(written(&world.workdir().join("up")), "");
    launcher.kill_server();
    let lost = launcher.lines.receive();
    assert!(lost["id"] == id && is_lost(&lost), "{lost}");
    let mut again = call("touch made");
    again["requestState"] = asked["result"]["requestState"].clone();
    let questions = asked["result"]["inputRequests"].as_object().expect("questions").keys();
    let accepted = questions.map(|id| (id.clone(), json!({"action": "accept", "content": {}})));
    again["inputResponses"] = Value::Object(accepted.collect());
    let refused = launcher.lines.request("tools/call", again);
    let text = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(text.contains("requestState refused") && text.contains("call the tool anew"), "{refused}");
    assert!(!world.workdir().join("made").exists());
    assert_eq!(output(&launcher.lines.request("tools/call", call("echo next"))), "next\n");
}
