//! Rules about what is written to programs while they run (`input`), and its record.

use end_to_end_tests::World;
use end_to_end_tests::client::{Answer, Client, Person};
use end_to_end_tests::lines::Lines;
use end_to_end_tests::waiting::eventually_async;
use serde_json::{Value, json};

use super::sessions::{exec, problem};

const RULES: &str = "prefix_rule(pattern=[\"head\"], run=\"inside\", input=\"prompt\", justification=\"it reads secrets\")\n\
    prefix_rule(pattern=[\"od\"], run=\"inside\", input=\"forbidden\")\n";

async fn write(client: &Client, session: &Value, chars: &str) -> Value {
    let wait = if chars.is_empty() { 30_000 } else { 1000 };
    let arguments = json!({"session_id": session, "chars": chars, "yield_time_ms": wait});
    client.structured("write_stdin", arguments).await
}

/// Waits until a program is about to run.
async fn until_judged(world: &World, program: &str) {
    eventually_async(async || {
        let output = world.server(&["audit", "show"]).output().expect("exec-server");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains(&format!("/{program} ")) {
            Ok(())
        } else {
            Err(format!("{program} is not in {text}"))
        }
    })
    .await;
}

/// What the log has of input, once there are so many.
async fn recorded(world: &World, count: usize) -> Vec<Value> {
    eventually_async(async || {
        let output = world.server(&["audit", "show", "--json"]).output().expect("exec-server");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        let found: Vec<Value> = lines.filter(|line| line["event"] == "input").collect();
        if found.len() >= count { Ok(found) } else { Err(format!("not in the log: {text}")) }
    })
    .await
}

#[tokio::test]
async fn a_rule_asks_before_its_program_is_written_to_and_what_is_written_is_on_record_by_its_hash() {
    let world = World::with_rules(RULES).configured("");
    let person = Person::answering([Answer::Deny, Answer::Accept]);
    let client = Client::start_with(&world, &person, &[]).await;
    let tty = json!({"tty": true, "yield_time_ms": 500});
    let going = exec(&client, &world, "read -r a; head -n 1; read -r b; echo got $a $b", tty).await;
    let session = &going["session_id"];
    // The shell that waits is none that the rule is about.
    write(&client, session, "zero\n").await;
    assert!(person.asked().is_empty(), "{:?}", person.asked());
    until_judged(&world, "head").await;
    let declined = json!({"session_id": session, "chars": "one\n"});
    let words = problem(&client, "write_stdin", declined).await;
    assert!(words.contains("User declined") && words.contains("nothing was written"), "{words}");
    assert!(words.contains("default.rules:1") && words.contains("it reads secrets"), "{words}");
    let asked = person.asked();
    assert!(asked[0].contains("write 4 bytes to ") && asked[0].contains("head -n 1"), "{asked:?}");
    assert!(asked[0].contains("one") && asked[0].contains("it reads secrets"), "{asked:?}");
    let allowed = write(&client, session, "two\n").await;
    assert_eq!(allowed["output"], "two\ntwo\n", "{allowed}");
    // The program has ended.
    let ended = write(&client, session, "three\n").await;
    assert_eq!(ended["exit_code"], 0, "{ended}");
    assert!(ended["output"].as_str().is_some_and(|text| text.contains("got zero three")), "{ended}");
    assert_eq!(person.asked().len(), 2);

    let input = recorded(&world, 4).await;
    let of = |bytes: u64, written: bool| {
        let mut found = input.iter().filter(|one| one["bytes"] == bytes && one["written"] == written);
        found.next().unwrap_or_else(|| panic!("{bytes} {written}: {input:?}")).clone()
    };
    // printf 'one\n' | sha256sum
    assert_eq!(of(4, false)["sha256"], "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806");
    assert_eq!(
        (&of(4, false)["asked"]["answer"], &of(4, true)["asked"]["answer"]),
        (&json!("declined"), &json!("once"))
    );
    assert!(of(4, true)["rule"].as_str().is_some_and(|rule| rule.contains("default.rules:1")), "{input:?}");
    assert_eq!(of(6, true)["rule"], Value::Null);
    let text = world.server(&["audit", "show"]).output().expect("exec-server").stdout;
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(text.contains("input REFUSED: 4 bytes") && !text.contains("three"), "{text}");
}

#[tokio::test]
async fn what_a_rule_forbids_or_nobody_can_allow_is_not_written_and_interrupts_are() {
    let world = World::with_rules(RULES).configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let open = json!({"stdin": true, "yield_time_ms": 250});
    for (program, why) in [("od", "a rule forbids it"), ("head", "somebody has to allow this input")] {
        let going = exec(&client, &world, &format!("exec {program}"), open.clone()).await;
        until_judged(&world, program).await;
        let session = &going["session_id"];
        let words = problem(&client, "write_stdin", json!({"session_id": session, "chars": "x\n"})).await;
        assert!(words.contains(why) && words.contains("nothing was written"), "{words}");
        let ended = write(&client, session, "\u{3}").await;
        assert_eq!((&ended["exit_code"], &ended["output"]), (&json!(130), &json!("")), "{ended}");
    }
    // What was written before is not for a program that starts then; on a terminal neither.
    for tty in [false, true] {
        let waits = "until [ -e go ]; do sleep 0.02; done; od -c; echo ended $?; rm go";
        let going =
            exec(&client, &world, waits, json!({"stdin": true, "tty": tty, "yield_time_ms": 250})).await;
        let session = &going["session_id"];
        write(&client, session, "early\n").await;
        assert_eq!(client.run("touch go").await.ran(), (0, ""));
        let ended = write(&client, session, "").await;
        let output = ended["output"].as_str().expect("text");
        assert!(output.contains("bytes of input wait") && output.contains("ended 1"), "{tty}: {ended}");
        assert!(!output.contains("e   a   r"), "{tty}: {ended}");
    }
    // The twin that no rule is about.
    let going = exec(&client, &world, "exec cat", open).await;
    assert_eq!(write(&client, &going["session_id"], "x\n").await["output"], "x\n");
}

/// Clients that come back with the answer: the question is the result.
#[test]
fn a_result_asks_about_input_and_the_next_request_brings_the_answer() {
    let of_client = |mut parameters: Value| {
        parameters["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
            "io.modelcontextprotocol/clientInfo": {"name": "input", "version": "1"}
        });
        parameters
    };
    let world = World::with_rules(RULES).configured("");
    let mut server = Lines::start(&world);
    let mut call = |name: &str, arguments: Value, more: Value| {
        let mut parameters = json!({"name": name, "arguments": arguments});
        parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        server.request("tools/call", of_client(parameters))["result"].clone()
    };
    let cmd = json!({
        "cmd": "exec head -n 1", "workdir": world.workdir(), "login": false, "stdin": true, "yield_time_ms": 500
    });
    let going = call("exec_command", cmd, json!({}));
    let session = &going["structuredContent"]["session_id"];
    let arguments = json!({"session_id": session, "chars": "line\n", "yield_time_ms": 30_000});
    let asks = call("write_stdin", arguments.clone(), json!({}));
    assert_eq!(asks["resultType"], "input_required", "{asks}");
    let questions = asks["inputRequests"].as_object().expect("questions");
    let accept = json!({"action": "accept", "content": {}});
    let answers: serde_json::Map<_, _> = questions.keys().map(|key| (key.clone(), accept.clone())).collect();
    let answered = json!({"requestState": asks["requestState"], "inputResponses": answers});
    let ended = call("write_stdin", arguments, answered);
    let result = &ended["structuredContent"];
    assert_eq!((&result["exit_code"], &result["output"]), (&json!(0), &json!("line\n")), "{ended}");
}
