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

/// Reads messages until one by this method comes.
fn until_told(server: &mut Lines, method: &str) -> Value {
    loop {
        let message = server.receive();
        if message["method"] == method {
            return message["params"].clone();
        }
    }
}

#[test]
fn exec_command_becomes_a_task_and_those_who_listen_are_told_of_its_end() {
    let world = World::with_rules("").configured("");
    let mut server = Lines::start(&world);
    let exec = |server: &mut Lines, cmd: &str, wait: u64| {
        let arguments =
            json!({"cmd": cmd, "workdir": world.workdir(), "login": false, "yield_time_ms": wait});
        let parameters = of_client(json!({"name": "exec_command", "arguments": arguments}));
        server.request("tools/call", parameters)["result"].clone()
    };
    let task = exec(&mut server, "until [ -e go ]; do sleep 0.02; done; echo end; exit 3", 30_000);
    assert_eq!(task["resultType"], "task", "{task}");
    let wanted = json!({"notifications": {"taskIds": [task["taskId"]]}});
    let listening = server.send_request("subscriptions/listen", of_client(wanted));
    until_told(&mut server, "notifications/subscriptions/acknowledged");
    std::fs::write(world.workdir().join("go"), "").expect("written");
    let told = until_told(&mut server, "notifications/tasks");
    assert_eq!((&told["taskId"], &told["status"]), (&task["taskId"], &json!("completed")), "{told}");
    assert_eq!(told["_meta"]["io.modelcontextprotocol/subscriptionId"], listening, "{told}");
    let result = &told["result"]["structuredContent"];
    assert_eq!((&result["exit_code"], &result["output"]), (&json!(3), &json!("end\n")), "{told}");

    // What goes on is the task's result; the end of it is told, too.
    let task = exec(&mut server, "until [ -e stop ]; do sleep 0.02; done", 1500);
    let yielded = until_not_working(&mut server, &task["taskId"]);
    let running = &yielded["result"]["structuredContent"];
    assert!(running["session_id"].is_u64() && running["status"] == "running", "{yielded}");
    let uri = format!("shell://output/{}", running["output_id"].as_str().expect("an id"));
    let wanted = json!({"notifications": {"resourceSubscriptions": [uri, "shell://output/none"]}});
    server.send_request("subscriptions/listen", of_client(wanted));
    let accepted = until_told(&mut server, "notifications/subscriptions/acknowledged");
    assert_eq!(accepted["notifications"]["resourceSubscriptions"], json!([uri]), "{accepted}");
    std::fs::write(world.workdir().join("stop"), "").expect("written");
    assert_eq!(until_told(&mut server, "notifications/resources/updated")["uri"], json!(uri));
}

#[test]
fn clients_of_initialize_subscribe_to_the_end_of_a_command() {
    let world = World::with_rules("").configured("");
    let mut server = Lines::start(&world);
    server.initialize();
    let arguments = json!({
        "cmd": "until [ -e go ]; do sleep 0.02; done", "workdir": world.workdir(), "login": false, "yield_time_ms": 250
    });
    let going = server.request("tools/call", json!({"name": "exec_command", "arguments": arguments}));
    let id = going["result"]["structuredContent"]["output_id"].as_str().expect("an id").to_owned();
    let uri = format!("shell://output/{id}");
    assert!(
        server.request("resources/subscribe", json!({"uri": "shell://output/none"}))["error"].is_object()
    );
    assert!(server.request("resources/subscribe", json!({"uri": uri}))["result"].is_object());
    std::fs::write(world.workdir().join("go"), "").expect("written");
    assert_eq!(until_told(&mut server, "notifications/resources/updated")["uri"], json!(uri));
}
