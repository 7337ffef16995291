//! Approvals of MCP 2026-07-28: the request returns with the questions, and the next one brings the answers.

use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;
use end_to_end_tests::machine::{FLOOD_FILES, Resource, is_allowed};
use end_to_end_tests::waiting::{ended, eventually, written};
use serde_json::{Value, json};

use super::protocol::output;

const RULES: &str = "prefix_rule(pattern=[\"touch\"], decision=\"prompt\", justification=\"makes files\")\n";

/// A call by a client that can show forms.
fn call(world: &World, command: &str) -> Value {
    call_as(world, command, &json!({"elicitation": {"form": {}}}))
}

fn call_as(world: &World, command: &str, capabilities: &Value) -> Value {
    json!({
        "name": "shell",
        "arguments": {"command": command, "workdir": world.workdir(), "login": false},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": capabilities,
            "io.modelcontextprotocol/clientInfo": {"name": "parked-calls", "version": "1"}
        }
    })
}

/// The ids of the questions that a result asks.
fn questions(answer: &Value) -> Vec<String> {
    assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
    answer["result"]["inputRequests"].as_object().expect("questions").keys().cloned().collect()
}

/// The same call again, with what was asked for.
fn again(call: &Value, asked: &Value, responses: &Value) -> Value {
    let mut call = call.clone();
    call["requestState"] = asked["result"]["requestState"].clone();
    call["inputResponses"] = responses.clone();
    call
}

fn all(asked: &Value, response: &Value) -> Value {
    questions(asked).into_iter().map(|id| (id, response.clone())).collect::<serde_json::Map<_, _>>().into()
}

fn accept() -> Value {
    json!({"action": "accept", "content": {}})
}

#[test]
fn the_call_waits_and_the_next_request_resumes_it() {
    let world = World::with_rules(RULES);
    let mut server = Lines::start(&world);
    let call = call(&world, "echo started >> log; touch made; echo done");
    let asked = server.request("tools/call", call.clone());
    let [question] = &questions(&asked)[..] else { panic!("one question: {asked}") };
    let request = &asked["result"]["inputRequests"][question];
    assert_eq!(request["method"], "elicitation/create");
    let message = request["params"]["message"].as_str().expect("a message");
    assert!(message.contains("touch made") && message.contains("makes files"), "{message}");
    let decision = &request["params"]["requestedSchema"]["properties"]["decision"];
    let words: Vec<&str> = decision["oneOf"]
        .as_array()
        .expect("choices")
        .iter()
        .map(|one| one["const"].as_str().expect("a word"))
        .collect();
    assert_eq!(words, ["once", "session", "always", "project:2", "hour:2", "deny"]);
    assert!(!world.workdir().join("made").exists());
    // The clock stands still meanwhile.
    let answer = server.request("tools/call", again(&call, &asked, &all(&asked, &accept())));
    assert_eq!(output(&answer), "done\n");
    assert!(world.workdir().join("made").exists());
    let log = std::fs::read_to_string(world.workdir().join("log")).expect("a log");
    assert_eq!(log, "started\n", "the command ran once");
}

#[test]
fn waiting_for_the_answer_does_not_count_against_the_timeout() {
    let world = World::with_rules(RULES);
    let mut server = Lines::start(&world);
    let mut call = call(&world, "touch made; echo done");
    call["arguments"]["timeout_ms"] = json!(1500);
    let asked = server.request("tools/call", call.clone());
    // When the limit of a call that began later is over, so would be the other's.
    let mut later = call.clone();
    later["arguments"]["command"] = json!("sleep 1000");
    let later = server.request("tools/call", later);
    assert_eq!(later["result"]["structuredContent"]["timed_out"], true, "{later}");
    let answer = server.request("tools/call", again(&call, &asked, &all(&asked, &accept())));
    assert_eq!(output(&answer), "done\n");
    assert_eq!(answer["result"]["structuredContent"]["timed_out"], false, "{answer}");
}

#[test]
fn a_refusal_and_its_reason_reach_the_agent() {
    let world = World::with_rules(RULES);
    let mut server = Lines::start(&world);
    let call = call(&world, "touch made; echo $?");
    for (response, says) in [
        (
            json!({"action": "accept", "content": {"decision": "deny", "reason": "use\u{1b}[2K mktemp"}}),
            "declined execution: use\\u{1b}[2K mktemp",
        ),
        (json!({"action": "decline"}), "declined at once, perhaps without asking anyone"),
        (json!({"action": "cancel"}), "cancelled at once, perhaps without asking anyone"),
        (json!({"action": "maybe"}), "not one to a question"),
        (json!("accept"), "not one to a question"),
    ] {
        let asked = server.request("tools/call", call.clone());
        let answer = server.request("tools/call", again(&call, &asked, &all(&asked, &response)));
        let output = output(&answer);
        assert!(output.contains(says) && output.ends_with("1\n"), "{response}: {output}");
        assert!(!world.workdir().join("made").exists());
    }
}

#[test]
fn a_state_that_is_not_the_one_for_this_request_is_refused_and_nothing_runs() {
    let world = World::with_rules(RULES);
    let mut server = Lines::start(&world);
    let mut other_server = Lines::start(&world);
    let call = call(&world, "echo >> log; touch made; echo done");
    let asked = server.request("tools/call", call.clone());
    let accepted = all(&asked, &accept());
    let good = again(&call, &asked, &accepted);
    let state = asked["result"]["requestState"].as_str().expect("a state").to_owned();
    let refused = |server: &mut Lines, request: &Value| {
        let answer = server.request("tools/call", request.clone());
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert!(!world.workdir().join("made").exists());
    };
    for at in [0, state.len() / 2, state.len() - 2] {
        let mut tampered = state.clone().into_bytes();
        tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
        let mut request = good.clone();
        request["requestState"] = json!(String::from_utf8(tampered).expect("UTF-8"));
        refused(&mut server, &request);
    }
    for (pointer, value) in [
        ("/arguments/command", json!("touch made; echo other")),
        ("/arguments/timeout_ms", json!(5000)),
        ("/arguments/more", json!(1)),
        ("/requestState", json!("")),
    ] {
        let mut request = good.clone();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent =
            if parent.is_empty() { &mut request } else { request.pointer_mut(parent).expect("there") };
        parent[name] = value;
        refused(&mut server, &request);
    }
    refused(&mut other_server, &good);
    // The true one still counts, once.
    let answer = server.request("tools/call", good.clone());
    assert_eq!(output(&answer), "done\n");
    std::fs::remove_file(world.workdir().join("made")).expect("it was made");
    refused(&mut server, &good);
    let log = std::fs::read_to_string(world.workdir().join("log")).expect("a log");
    assert_eq!(log, "\n", "the command ran once");
}

#[test]
fn answers_that_nobody_asked_for_are_passed_over() {
    let world = World::with_rules(RULES);
    let mut server = Lines::start(&world);
    let mut call = call(&world, "touch made; echo $?");
    // Without a state they belong to no question of ours.
    call["inputResponses"] = json!({"q1": accept(), "q2": accept(), "approval": accept()});
    let asked = server.request("tools/call", call.clone());
    let open = questions(&asked);
    assert!(!world.workdir().join("made").exists());
    // Answers to other questions leave this one open.
    let still = server.request("tools/call", again(&call, &asked, &json!({"q999": accept()})));
    assert_eq!(questions(&still), open);
    assert_ne!(still["result"]["requestState"], asked["result"]["requestState"]);
    assert!(!world.workdir().join("made").exists());
    let answer = server.request("tools/call", again(&call, &still, &all(&still, &accept())));
    assert_eq!(output(&answer), "0\n");
}

#[test]
fn several_questions_are_answered_in_any_order_and_number() {
    let world = World::with_rules(RULES);
    let mut server = Lines::start(&world);
    let call = call(&world, "touch a & touch b & touch c & wait; echo $(ls)");
    let mut answer = server.request("tools/call", call.clone());
    let mut rounds = 0;
    while answer["result"]["resultType"] == "input_required" {
        rounds += 1;
        assert!(rounds < 20, "{answer}");
        // The last one only, so that others wait for their turn.
        let last = questions(&answer).pop().expect("a question");
        let message = answer["result"]["inputRequests"][&last]["params"]["message"].to_string();
        // The line of script that has led to it names all three.
        let response = if message.contains("touch b` in") {
            json!({"action": "accept", "content": {"decision": "deny"}})
        } else {
            accept()
        };
        answer = server.request("tools/call", again(&call, &answer, &json!({last: response})));
    }
    assert!(output(&answer).ends_with("a c\n"), "{answer}");
    assert_eq!(rounds, 3);
}

#[test]
fn when_nobody_comes_back_the_command_ends() {
    let world = World::with_rules(RULES);
    let mut server =
        Lines::start_with(&world, &["--sandbox", "danger-full-access", "--approval-timeout", "1.5"]);
    let call = call(&world, "echo $$ > pid; touch made; sleep 1000");
    let asked = server.request("tools/call", call.clone());
    ended(&written(&world.workdir().join("pid")));
    let late = server.request("tools/call", again(&call, &asked, &all(&asked, &accept())));
    assert_eq!(late["error"]["code"], -32602, "{late}");
    let words = late["error"]["message"].as_str().expect("words");
    assert!(words.contains("nobody answered within") || words.contains("has been ended"), "{words}");
    assert!(!world.workdir().join("made").exists());
}

#[test]
fn a_client_that_cannot_show_forms_is_refused_clearly() {
    let world = World::with_rules(RULES);
    let mut server = Lines::start(&world);
    for capabilities in [json!({}), json!({"elicitation": {"url": {}}})] {
        let answer = server.request("tools/call", call_as(&world, "touch made", &capabilities));
        let output = output(&answer);
        assert!(output.contains("default.rules:1") && output.contains("elicitation"), "{output}");
        assert!(output.contains("only a person can allow it") && !output.contains("prefix_rule"), "{output}");
    }
    assert!(!world.workdir().join("made").exists());
}

#[test]
fn a_cancelled_round_ends_its_command() {
    let world = World::with_rules(RULES);
    let mut server = Lines::start(&world);
    let call = call(&world, "touch made; echo $$ > pid.new; mv pid.new pid; sleep 1000");
    let asked = server.request("tools/call", call.clone());
    let id = server.send_request("tools/call", again(&call, &asked, &all(&asked, &accept())));
    let pid = written(&world.workdir().join("pid"));
    server.send(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
            .to_string(),
    );
    ended(&pid);
}

#[test]
fn a_flood_comes_sixteen_at_a_time() {
    if !is_allowed(Resource::Nofile, FLOOD_FILES) {
        return;
    }
    let world = World::with_rules(RULES);
    let mut server = Lines::start(&world);
    let call = call(&world, "for i in {1..40}; do touch f$i & done; wait; echo $(ls | wc -l)");
    let mut answer = server.request("tools/call", call.clone());
    let (mut asked, mut most) = (0, 0);
    while answer["result"]["resultType"] == "input_required" {
        let open = questions(&answer).len();
        most = most.max(open);
        asked += open;
        assert!(asked <= 40, "{answer}");
        answer = server.request("tools/call", again(&call, &answer, &all(&answer, &accept())));
    }
    assert!(asked == 40 && (1..=16).contains(&most), "{asked} asked, {most} at once");
    assert_eq!(output(&answer), "40\n");
}

#[test]
fn when_the_rules_have_changed_nothing_that_was_asked_before_runs() {
    let world = World::with_rules(RULES);
    let mut server = Lines::start(&world);
    let call = call(&world, "echo >> log; touch made; echo done");
    let asked = server.request("tools/call", call.clone());
    std::fs::write(world.rules_file(), format!("{RULES}# changed\n")).expect("written");
    // Answers to nothing keep the question open until the change is noticed.
    let mut state = asked;
    let refused = eventually(|| {
        let answer = server.request("tools/call", again(&call, &state, &json!({})));
        if answer.get("error").is_some() {
            return Ok(answer);
        }
        state = answer;
        Err("the change is not noticed")
    });
    assert!(
        refused["error"]["message"].as_str().is_some_and(|words| words.contains("rules have changed")),
        "{refused}"
    );
    assert_eq!(
        server.request("tools/call", again(&call, &state, &all(&state, &accept())))["error"]["code"],
        -32602
    );
    assert!(!world.workdir().join("made").exists());
    assert_eq!(std::fs::read_to_string(world.workdir().join("log")).expect("a log"), "\n", "it ran once");
}
