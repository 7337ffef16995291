//! Handles name their server: another one says whose they are.

use end_to_end_tests::World;
use end_to_end_tests::http::{MODERN, Site, Visitor, modern_call};
use serde_json::{Value, json};

const ANY: &str = "127.0.0.1:0";

/// A rule by which a person is asked.
const ASKS: &str = "prefix_rule(pattern=[\"touch\"], decision=\"prompt\", justification=\"makes files\")\n";

fn shell(command: &str) -> Value {
    json!({"command": command, "login": false})
}

fn answered(visitor: &Visitor, message: &Value, state: &Value, questions: &Value) -> Value {
    let mut again = message.clone();
    let answer = json!({"action": "accept", "content": {}});
    let names = questions.as_object().expect("questions").keys();
    again["params"]["inputResponses"] = names.map(|name| (name.clone(), answer.clone())).collect();
    again["params"]["requestState"] = state.clone();
    visitor.post(MODERN, None, &again).message()
}

#[test]
fn another_server_says_whose_a_question_and_an_output_are() {
    let world = World::with_rules(ASKS);
    let (one, other) = (Site::start(&world, &["--http", ANY]), Site::start(&world, &["--http", ANY]));
    let (one, other) = (one.visitor(), other.visitor());
    let message = modern_call("shell", &shell("touch x"));
    let asked = one.post(MODERN, None, &message).result();
    let (state, questions) = (&asked["requestState"], &asked["inputRequests"]);
    let name = state.as_str().and_then(|state| state.split_once('~')).expect("a name").0.to_owned();
    let refused = answered(&other, &message, state, questions)["error"]["message"].clone();
    assert!(
        refused.as_str().is_some_and(|text| text.contains(&format!("of the server {name}, and this is "))),
        "{refused}"
    );
    assert!(!world.workdir().join("x").exists());
    // The one that has asked goes on.
    let done = answered(&one, &message, state, questions);
    assert_eq!(done["result"]["structuredContent"]["exit_code"], 0, "{done}");
    let long = one.run("seq 100000");
    let id = long["output_id"].as_str().expect("an id");
    assert!(id.starts_with(&format!("{name}~")) && id.len() > name.len() + 32, "{id}");
    let read =
        |visitor: &Visitor| visitor.call("read_output", &json!({"id": id, "tail": 1})).result().to_string();
    assert!(read(&one).contains("100000"));
    assert!(read(&other).contains(&format!("of the server {name}")), "{}", read(&other));
}
