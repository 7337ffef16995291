//! What clients of Kubernetes' agent-sandbox speak to a runtime, byte by byte. Their own client is tried by
//! tests/clients/python.

use end_to_end_tests::World;
use end_to_end_tests::http::{Answer, Site, Visitor};
use serde_json::{Value, json};

const ANY: &str = "127.0.0.1:0";

/// The runtime's address of who knows the endpoint's.
fn runtime(visitor: &Visitor, below: &str) -> Visitor {
    visitor.at(&format!("{}{below}", visitor.path().replacen("/mcp", "/runtime", 1)))
}

fn send(visitor: &Visitor, message: &Value) -> Answer {
    visitor.send("POST", &["Content-Type: application/json".to_owned()], &message.to_string())
}

fn execute(visitor: &Visitor, message: &Value) -> Value {
    let mut answer = send(&runtime(visitor, "/execute"), message);
    let text = answer.text();
    assert_eq!(answer.status, 200, "{message}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

fn upload(visitor: &Visitor, name: &str, content: &str) -> u16 {
    let form = ["Content-Type: multipart/form-data; boundary=0123abcd".to_owned()];
    let disposition = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
    let body = format!("--0123abcd\r\n{disposition}\r\n\r\n{content}\r\n--0123abcd--\r\n");
    runtime(visitor, "/upload").send("POST", &form, &body).status
}

/// The status and the text of what is at a path.
fn get(visitor: &Visitor, below: &str) -> (u16, String) {
    let mut answer = runtime(visitor, below).get(&[]);
    (answer.status, answer.text())
}

#[test]
fn commands_have_two_streams_an_exit_code_and_an_end() {
    let world = World::with_rules(
        "prefix_rule(pattern=[\"touch\"], decision=\"forbidden\", justification=\"makes files\")\n",
    );
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let result = execute(&visitor, &json!({"command": "echo out; echo err >&2; exit 3"}));
    assert_eq!(result, json!({"stdout": "out\n", "stderr": "err\n", "exit_code": 3, "timed_out": false}));
    // What quotes, and what ends the shell that runs it, is the command's own.
    let result = execute(
        &visitor,
        &json!({"command": "printf '%s|' \"it's\" $'a\\nb' '$HOME'; set -u; echo ${none}"}),
    );
    assert_eq!(
        (&result["stdout"], &result["exit_code"]),
        (&json!("it's|a\nb|$HOME|"), &json!(1)),
        "{result}"
    );
    assert!(result["stderr"].to_string().contains("unbound variable"), "{result}");
    // Nobody waits for what is left behind.
    let result = execute(&visitor, &json!({"command": "sleep 1000 & echo begun"}));
    assert_eq!((&result["stdout"], &result["exit_code"]), (&json!("begun\n"), &json!(0)), "{result}");
    let result = execute(&visitor, &json!({"command": "echo begun; sleep 1000", "timeout_seconds": 1}));
    assert_eq!(result["timed_out"], true, "{result}");
    assert_eq!((&result["stdout"], &result["exit_code"]), (&json!("begun\n"), &json!(124)), "{result}");
    // Rules and the sandbox are those of all commands.
    let result = execute(&visitor, &json!({"command": "touch x"}));
    assert_ne!(result["exit_code"], 0, "{result}");
    assert!(result["stderr"].to_string().contains("makes files"), "{result}");
    let result = execute(&visitor, &json!({"command": "echo x > /etc/shell-tool-test"}));
    assert_ne!(result["exit_code"], 0, "{result}");
    for message in [
        json!({}),
        json!({"command": 1}),
        json!({"command": " "}),
        json!({"command": "true", "timeout_seconds": -1}),
    ] {
        assert_eq!(send(&runtime(&visitor, "/execute"), &message).status, 400, "{message}");
    }
}

#[test]
fn files_are_in_the_workspace_and_go_through_the_sandbox() {
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    assert_eq!(upload(&visitor, "new/folder/a b%22.txt", "one\r\ntwo"), 200);
    assert_eq!(get(&visitor, "/download/new%2Ffolder%2Fa%20b%22.txt"), (200, "one\r\ntwo".to_owned()));
    assert_eq!(get(&visitor, "/download/new/folder/a%20b%22.txt").0, 200);
    let (status, listed) = get(&visitor, "/list/new%2Ffolder");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(
        (status, &listed[0]["name"], &listed[0]["size"]),
        (200, &json!("a b\".txt"), &json!(8)),
        "{listed}"
    );
    assert_eq!((&listed[0]["type"], listed[0]["mod_time"].is_f64()), (&json!("file"), true), "{listed}");
    for whole in ["/list/", "/list/.", "/list"] {
        let (status, listed) = get(&visitor, whole);
        assert!(status == 200 && listed.contains("\"new\""), "{whole}: {listed}");
    }
    let exists = |path: &str| get(&visitor, path).1.contains("\"exists\":true");
    assert!(exists("/exists/new") && exists("/exists/new%2Ffolder") && !exists("/exists/nothing"));
    assert_eq!(get(&visitor, "/download/nothing").0, 404);
    assert_eq!(get(&visitor, "/list/nothing").0, 404);
    assert_eq!(get(&visitor, "/download/new").0, 400);
    assert_eq!(upload(&visitor, "/etc/shell-tool-test", "x"), 403);
    assert_eq!(upload(&visitor, "", "x"), 400);
    assert_eq!(runtime(&visitor, "/upload").send("POST", &[], "no form").status, 400);
    assert!(!std::path::Path::new("/etc/shell-tool-test").exists());
    // It is the folder that commands of the protocol work in.
    assert_eq!(visitor.run("cat new/folder/*")["output"], "one\r\ntwo");
}

#[test]
fn the_runtime_is_for_who_may_run_commands_and_each_has_his_own() {
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let wanted = json!({"command": "true"});
    assert_eq!(send(&visitor.at("/execute"), &wanted).status, 404, "without the secret");
    assert_eq!(send(&visitor.at("/runtime/00000000000000000000000000000000/execute"), &wanted).status, 404);
    assert_eq!(send(&runtime(&visitor, "/execute").calling_it("evil.example.com"), &wanted).status, 403);
    drop(site);

    let tokens = world.home().join("tokens");
    let lines = "ann token-of-ann-0123456789\nbob token-of-bob-0123456789\neve token-of-eve-0123456789 shell:approve\n";
    std::fs::write(&tokens, lines).expect("written");
    let site = Site::start(&world, &["--http", ANY, "--token-file", tokens.to_str().expect("text")]);
    let stranger = site.visitor().at("");
    let one = |name: &str| stranger.saying(&format!("Authorization: Bearer token-of-{name}-0123456789"));
    assert_eq!(send(&stranger.at("/execute"), &wanted).status, 401);
    assert_eq!(send(&one("eve").at("/execute"), &wanted).status, 403);
    let ran = |name: &str, command: &str| {
        let mut answer = send(&one(name).at("/execute"), &json!({"command": command}));
        let text = answer.text();
        assert_eq!(answer.status, 200, "{text}");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    assert_eq!(ran("ann", "echo hers > mine; cat mine")["stdout"], "hers\n");
    assert_ne!(ran("bob", "cat mine")["exit_code"], 0);
    let exists = |name: &str| one(name).at("/exists/mine").get(&[]).text().contains("\"exists\":true");
    assert!(exists("ann") && !exists("bob"));
}
