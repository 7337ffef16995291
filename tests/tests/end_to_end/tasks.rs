//! Calls that outlive their request: the extension `io.modelcontextprotocol/tasks`.

use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;
use end_to_end_tests::waiting::{eventually, written};
use serde_json::{Value, json};

const RULES: &str = "prefix_rule(pattern=[\"touch\"], decision=\"prompt\")\n";

/// Parameters of a client that knows tasks.
fn of_client(mut parameters: Value) -> Value {
    parameters["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities":
            {"elicitation": {"form": {}}, "extensions": {"io.modelcontextprotocol/tasks": {}}},
        "io.modelcontextprotocol/clientInfo": {"name": "tasks", "version": "1"}
    });
    parameters
}

fn call(server: &mut Lines, world: &World, command: &str) -> Value {
    let arguments =
        json!({"command": command, "workdir": world.workdir(), "login": false, "timeout_ms": 60_000});
    server.request("tools/call", of_client(json!({"name": "shell", "arguments": arguments})))["result"]
        .clone()
}

fn get(server: &mut Lines, id: &Value) -> Value {
    server.request("tasks/get", of_client(json!({"taskId": id})))["result"].clone()
}

/// Asks until the task does something else than working.
fn until_not_working(server: &mut Lines, id: &Value) -> Value {
    let mut task = Value::Null;
    eventually(|| {
        task = get(server, id);
        if task["status"] == "working" { Err(format!("it works: {task}")) } else { Ok(()) }
    });
    task
}

#[test]
fn a_command_that_takes_long_becomes_a_task_that_asks_and_ends() {
    let world = World::with_rules(RULES).configured("");
    let mut server = Lines::start(&world);
    let quick = call(&mut server, &world, "echo quick");
    assert_eq!(
        (&quick["resultType"], &quick["structuredContent"]["output"]),
        (&json!("complete"), &json!("quick\n"))
    );
    let task =
        call(&mut server, &world, "echo begun; until [ -e go ]; do sleep 0.02; done; touch made; echo end");
    assert_eq!((&task["resultType"], &task["status"]), (&json!("task"), &json!("working")), "{task}");
    assert!(task["ttlMs"].is_u64() && task["pollIntervalMs"].is_u64(), "{task}");
    let id = task["taskId"].clone();
    std::fs::write(world.workdir().join("go"), "").expect("written");
    let asks = until_not_working(&mut server, &id);
    assert_eq!(asks["status"], "input_required", "{asks}");
    let questions = asks["inputRequests"].as_object().expect("questions");
    let accept = json!({"action": "accept", "content": {}});
    let answers: serde_json::Map<_, _> = questions.keys().map(|key| (key.clone(), accept.clone())).collect();
    server.request("tasks/update", of_client(json!({"taskId": id, "inputResponses": answers})));
    let ended = until_not_working(&mut server, &id);
    assert_eq!(ended["status"], "completed", "{ended}");
    let result = &ended["result"]["structuredContent"];
    assert_eq!((&result["exit_code"], &result["output"]), (&json!(0), &json!("begun\nend\n")), "{ended}");
}

#[test]
fn a_cancelled_task_ends_its_command_and_unknown_ones_are_errors() {
    let world = World::with_rules("").configured("");
    let mut server = Lines::start(&world);
    let task = call(&mut server, &world, "trap 'echo told > told' TERM; echo $$ > pid; sleep 1000 & wait");
    let id = task["taskId"].clone();
    let pid = written(&world.workdir().join("pid"));
    server.request("tasks/cancel", of_client(json!({"taskId": id})));
    let ended = until_not_working(&mut server, &id);
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert_eq!(written(&world.workdir().join("told")), "told", "of {pid}");
    let unknown = server.request("tasks/get", of_client(json!({"taskId": "none"})));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    let wrong = server.request("tasks/get", of_client(json!({})));
    assert_eq!(wrong["error"]["code"], -32602, "{wrong}");
}
