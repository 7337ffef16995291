//! Questions over HTTP: the page, the stream and answers, who may, and the terminal that looks at another machine's server.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use end_to_end_tests::World;
use end_to_end_tests::http::{Answer, Site, Visitor};
use serde_json::{Value, json};

const ANY: &str = "127.0.0.1:0";

/// A rule by which a person is asked.
const ASKS: &str = "prefix_rule(pattern=[\"touch\"], decision=\"prompt\", justification=\"makes files\")\n";

fn shell(command: &str) -> Value {
    json!({"command": command, "login": false})
}

/// The same server's page for questions, or what is below it.
fn page(visitor: &Visitor, below: &str) -> Visitor {
    visitor.at(&format!("{}{below}", visitor.path().replacen("/mcp", "/approve", 1)))
}

fn next(stream: &mut Answer) -> Value {
    loop {
        let event = stream.event().expect("an event");
        if !event.data.is_empty() {
            return serde_json::from_str(&event.data).expect("a message");
        }
    }
}

fn reply(visitor: &Visitor, answer: &Value) -> Answer {
    visitor.send("POST", &["Content-Type: application/json".to_owned()], &answer.to_string())
}

fn choose(id: &Value, choice: &str) -> Value {
    json!({"say": "answer", "id": id, "choice": choice, "reason": "it is fine"})
}

/// All texts in a message, also the names of its fields.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Object(all) => {
            all.iter().flat_map(|(name, own)| [vec![&**name], texts(own)].concat()).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[test]
fn who_looks_at_the_page_answers_what_a_client_cannot() {
    let world = World::with_rules(ASKS);
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let mut events = page(&visitor, "/events").get(&[]);
    assert!(events.status == 200 && events.headers["content-type"].starts_with("text/event-stream"));
    assert_eq!(next(&mut events)["say"], "hello");
    let session = visitor.begin(json!({}));
    let mut call = visitor.call_in(&session, 1, "shell", &shell("touch $'a\\e[2Jb\\u202ec'"));
    let asked = next(&mut events);
    assert_eq!((&asked["say"], &asked["why"]), (&json!("asked"), &json!("makes files")), "{asked}");
    // As safe as in a terminal.
    let command = asked["command"].as_str().expect("a command");
    assert!(command.contains("u{1b}") || command.contains("\\e"), "{command}");
    for text in texts(&asked) {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?} in {asked}");
    }
    let answers = page(&visitor, "/answers");
    assert_eq!(reply(&answers, &choose(&asked["id"], "everything")).status, 422);
    assert_eq!(reply(&answers, &choose(&json!("q0"), "once")).status, 409);
    assert_eq!(reply(&answers, &json!({"say": "answer"})).status, 400);
    let form = ["Content-Type: text/plain".to_owned()];
    assert_eq!(answers.send("POST", &form, &choose(&asked["id"], "once").to_string()).status, 415);
    let foreign = answers.saying("Origin: https://evil.example.com");
    assert_eq!(reply(&foreign, &choose(&asked["id"], "once")).status, 403);
    assert_eq!(reply(&answers, &choose(&asked["id"], "once")).status, 204);
    let result = call.result()["structuredContent"].clone();
    assert_eq!(result["exit_code"], 0, "{result}");
    assert_eq!(next(&mut events), json!({"say": "closed", "id": asked["id"]}));
    assert_eq!(reply(&answers, &choose(&asked["id"], "once")).status, 409, "it was answered");
}

#[test]
fn the_page_runs_its_own_script_only_and_is_for_who_knows_the_address() {
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let mut answer = page(&visitor, "").get(&[]);
    assert_eq!(answer.status, 200);
    let policy = answer.headers["content-security-policy"].clone();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(
        (&*answer.headers["cache-control"], &*answer.headers["referrer-policy"]),
        ("no-store", "no-referrer")
    );
    let text = answer.text();
    assert!(text.contains("<html lang=\"en\">") && text.contains("role=\"status\""), "{text}");
    // It loads nothing, and has no handlers in its markup.
    for part in [" src=", " href=", " onclick="] {
        assert!(!text.contains(part), "{part} in\n{text}");
    }
    for path in ["/approve", "/approve/events", "/approve/00000000000000000000000000000000"] {
        assert_eq!(visitor.at(path).get(&[]).status, 404, "{path}");
    }
    assert_eq!(page(&visitor, "").calling_it("evil.example.com").get(&[]).status, 403);
}

#[test]
fn who_may_approve_answers_everybodys_questions_and_others_see_none() {
    let world = World::with_rules(ASKS);
    let tokens = world.home().join("tokens");
    let lines = "ann token-of-ann-0123456789\nbob token-of-bob-0123456789 shell:approve\n";
    std::fs::write(&tokens, lines).expect("written");
    let site = Site::start(&world, &["--http", ANY, "--token-file", tokens.to_str().expect("text")]);
    let as_one =
        |name: &str| site.visitor().saying(&format!("Authorization: Bearer token-of-{name}-0123456789"));
    let (ann, bob) = (as_one("ann"), as_one("bob"));
    assert_eq!(page(&ann, "").get(&[]).status, 200, "the page says nothing of anybody");
    assert_eq!(page(&ann, "/events").get(&[]).status, 403);
    assert_eq!(page(&site.visitor(), "/events").get(&[]).status, 401);
    assert_eq!(bob.call("shell", &shell("true")).status, 403, "he may not run commands");
    let mut events = page(&bob, "/events").get(&[]);
    assert_eq!(next(&mut events)["say"], "hello");
    let session = ann.begin(json!({}));
    let mut call = ann.call_in(&session, 1, "shell", &shell("touch x"));
    let asked = next(&mut events);
    assert!(asked["details"].to_string().contains("Asked by ann."), "{asked}");
    assert_eq!(reply(&page(&ann, "/answers"), &choose(&asked["id"], "once")).status, 403);
    assert_eq!(reply(&page(&bob, "/answers"), &choose(&asked["id"], "deny")).status, 204);
    let result = call.result()["structuredContent"].clone();
    assert_ne!(result["exit_code"], 0, "{result}");
    assert!(result["output"].to_string().contains("it is fine"), "{result}");
}

#[test]
fn a_terminal_answers_a_server_behind_http() {
    let world = World::with_rules(ASKS);
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let mut command = world.server(&["approve", "--json", "--url", &site.address]);
    let mut view = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a view");
    let mut answers = view.stdin.take().expect("a pipe");
    let mut lines = BufReader::new(view.stdout.take().expect("a pipe")).lines();
    let mut event = |name: &str| loop {
        let line = lines.next().expect("a line").expect("text");
        let value: Value = serde_json::from_str(&line).expect("JSON");
        if value["event"] == name {
            return value;
        }
    };
    let _ = event("server");
    let session = visitor.begin(json!({}));
    let mut call = visitor.call_in(&session, 1, "shell", &shell("touch x"));
    let question = event("question");
    assert_eq!(question["command"], "/usr/bin/touch x", "{question}");
    writeln!(answers, "{}", json!({"question": question["question"], "decision": "once"})).expect("written");
    assert_eq!(call.result()["structuredContent"]["exit_code"], 0);
    let _ = event("closed");
    // What is at its end is said, and the view goes on.
    drop(site);
    let _ = event("server_gone");
    drop(answers);
    assert!(view.wait().expect("it ends").success());
}
