//! One of many principals, who takes all that he can get: the server's memory, connections and sandboxes are not his.

use std::io::{Read, Write};

use end_to_end_tests::World;
use end_to_end_tests::holdings::Holdings;
use end_to_end_tests::http::{LEGACY, MODERN, Site, Visitor, modern_call};
use end_to_end_tests::waiting::eventually;
use serde_json::{Value, json};

const ANY: &str = "127.0.0.1:0";

/// Two principals of one server.
const TOKENS: &str = "ann ann-ann-ann-ann-ann\nbob bob-bob-bob-bob-bob\n";

fn serve(world: &World, more: &[&str]) -> Site {
    let tokens = world.home().join("tokens");
    std::fs::write(&tokens, TOKENS).expect("written");
    Site::start(world, &[&["--http", ANY, "--token-file", tokens.to_str().expect("UTF-8")], more].concat())
}

fn bearing(site: &Site, name: &str) -> Visitor {
    site.visitor().saying(&format!("Authorization: Bearer {}", [name; 5].join("-")))
}

/// Memory of the server's own, in MiB.
fn memory(site: &Site) -> u64 {
    Holdings::of(site.id()).resident_kib >> 10
}

/// A message of a client that knows tasks.
fn knowing_tasks(mut message: Value) -> Value {
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
        json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    message
}

fn task(visitor: &Visitor, id: &str) -> Value {
    let mut message = modern_call("", &json!({}));
    message["method"] = "tasks/get".into();
    message["params"] = json!({"taskId": id, "_meta": message["params"]["_meta"]});
    let name = visitor.saying(&format!("Mcp-Name: {id}"));
    name.post(MODERN, None, &knowing_tasks(message)).message()
}

#[test]
fn tasks_that_have_ended_leave_no_more_than_a_share_in_memory() {
    const TASKS: usize = 60;
    let world = World::with_rules("");
    let site = serve(&world, &[]);
    let ann = bearing(&site, "ann");
    assert_eq!(ann.run("true")["exit_code"], 0);
    let before = memory(&site);
    let long = "sleep 1.2; head -c 1000000 /dev/zero | tr '\\0' x";
    let arguments = json!({"command": long, "login": false, "max_output_tokens": 262_144});
    let message = knowing_tasks(modern_call("shell", &arguments));
    let mut ids = Vec::new();
    for _ in 0..TASKS / 10 {
        let begun: Vec<_> = (0..10)
            .map(|_| {
                let (visitor, message) = (ann.clone(), message.clone());
                std::thread::spawn(move || visitor.post(MODERN, None, &message).result()["taskId"].clone())
            })
            .collect();
        for task in begun {
            ids.push(task.join().expect("served").as_str().expect("a task").to_owned());
        }
    }
    let ended = |id: &str| {
        eventually(|| match task(&ann, id) {
            told if told["result"]["status"] == "working" => Err(format!("{told}")),
            told => Ok(told),
        })
    };
    let told: Vec<Value> = ids.iter().map(|id| ended(id)).collect();
    let kept = told.iter().filter(|told| told["result"]["status"] == "completed").count();
    let forgotten = told.iter().filter(|told| told["error"]["code"] == -32602).count();
    assert_eq!(kept + forgotten, TASKS, "{told:?}");
    assert!(kept > 0 && forgotten >= TASKS / 2, "{kept} are kept");
    let after = memory(&site);
    assert!(after < before + 100, "{before} MiB, then {after} MiB");
}

/// The status of beginning a session in which the client says this of itself.
fn begin(visitor: &Visitor, capabilities: &Value, name: &str) -> u16 {
    let client = json!({"name": name, "version": "1"});
    let params = json!({"protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": client});
    let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    visitor.post(LEGACY, None, &message).status
}

fn with_members(count: usize) -> Value {
    let members = (0..count).map(|number| (number.to_string(), json!({})));
    json!({"experimental": members.collect::<serde_json::Map<_, _>>()})
}

#[test]
fn what_clients_say_of_themselves_is_short_and_kept_within_a_share() {
    let world = World::with_rules("");
    let site = serve(&world, &[]);
    let ann = bearing(&site, "ann");
    assert_eq!(begin(&ann, &with_members(20), "a client with a name"), 200);
    let before = memory(&site);
    for _ in 0..5 {
        assert_eq!(begin(&ann, &with_members(200_000), "many"), 413);
        assert_eq!(begin(&ann, &json!({}), &"x".repeat(3 << 20)), 413);
    }
    // Sessions that begin with as much as they may end others, which go on when somebody asks.
    for _ in 0..700 {
        assert_eq!(begin(&ann, &with_members(100), &"x".repeat(50_000)), 200);
    }
    let after = memory(&site);
    assert!(after < before + 150, "{before} MiB, then {after} MiB");
    // Nor may what is not kept be more than its length says.
    let mut message = modern_call("shell", &json!({"command": "true"}));
    message["params"]["_meta"]["x"] = with_members(200_000);
    assert_eq!(ann.post(MODERN, None, &message).status, 413);
    assert_eq!(bearing(&site, "bob").run("true")["exit_code"], 0);
}

#[test]
fn answers_that_nobody_reads_are_not_in_memory() {
    const READERS: usize = 4;
    let world = World::with_rules("");
    let site = serve(&world, &[]);
    let ann = bearing(&site, "ann");
    let execute = |command: &str| {
        let message = json!({"command": command}).to_string();
        ann.at("/execute").send("POST", &["Content-Type: application/json".to_owned()], &message)
    };
    assert_eq!(execute("true").status, 200);
    let before = memory(&site);
    let print = "head -c 30000000 /dev/zero | tr '\\0' '\\1'";
    let mut unread: Vec<_> = (0..READERS).map(|_| execute(print)).collect();
    assert_eq!(execute("head -c 30000000 /dev/zero > file").status, 200);
    let mut files: Vec<_> = (0..READERS).map(|_| ann.at("/download/file").get(&[])).collect();
    let after = memory(&site);
    assert!(after < before + 60, "{before} MiB, then {after} MiB");
    // Who reads gets all of it.
    let whole = unread.pop().expect("an answer").text();
    let told: Value = serde_json::from_str(&whole).expect("JSON");
    assert_eq!(told["stdout"].as_str().map(str::len), Some(30_000_000));
    assert_eq!((&told["stderr"], &told["exit_code"]), (&json!(""), &json!(0)));
    assert_eq!(files.pop().expect("an answer").text().len(), 30_000_000);
}

/// A client's own words about the sandbox: one more place that is not to be read.
fn state(number: usize) -> Value {
    let root = json!({"path": {"type": "special", "value": {"kind": "root"}}, "access": "read"});
    let other =
        json!({"path": {"type": "path", "path": format!("/usr/share/doc/y{number}")}, "access": "none"});
    let files = json!({"type": "restricted", "entries": [root, other]});
    json!({"permissionProfile": {"type": "managed", "network": "restricted", "file_system": files}})
}

#[test]
fn sandboxes_in_which_something_runs_are_a_share_and_others_get_theirs() {
    const STATES: usize = 20;
    let world = World::with_rules("");
    let site = serve(&world, &[]);
    let ann = bearing(&site, "ann");
    let run = |number: usize, command: &str| {
        let mut message = modern_call("shell", &json!({"command": command, "login": false}));
        message["params"]["_meta"]["codex/sandbox-state-meta"] = state(number);
        ann.post(MODERN, None, &message).result()
    };
    let results: Vec<Value> = (0..STATES).map(|number| run(number, "sleep 1000 &")).collect();
    let (refused, ran): (Vec<_>, Vec<_>) = results.iter().partition(|result| result["isError"] == true);
    assert!(!ran.is_empty() && refused.len() >= 4, "{} ran", ran.len());
    for result in refused {
        let text = result["content"][0]["text"].as_str().expect("a text");
        assert!(text.contains("sandboxes of yours already"), "{text}");
    }
    // What she has goes on, and makes room when its programs have ended.
    assert_eq!(run(0, "echo here")["structuredContent"]["output"], "here\n");
    assert_eq!(bearing(&site, "bob").run("echo here")["output"], "here\n");
    assert_eq!(run(0, "kill $(pgrep -x sleep)")["structuredContent"]["exit_code"], 0);
    eventually(|| match run(STATES, "echo here") {
        result if result["isError"] == true => Err(format!("{result}")),
        result => Ok(result),
    });
}

#[test]
fn strangers_who_have_all_connections_make_room() {
    const MOST: usize = 8;
    let world = World::with_rules("");
    let site = serve(&world, &["--max-connections", &MOST.to_string()]);
    let bob = bearing(&site, "bob");
    // Somebody who is known waits for an answer.
    let waiting = {
        let bob = bob.clone();
        std::thread::spawn(move || bob.run("touch begun; until [ -e go ]; do sleep 0.05; done; echo end"))
    };
    eventually(|| match bob.run("[ -e begun ]")["exit_code"] == 0 {
        true => Ok(()),
        false => Err("it has not begun".to_owned()),
    });
    let mut strangers: Vec<_> = (0..2 * MOST)
        .map(|_| {
            let mut connection = bob.connect();
            let _ = write!(connection, "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", bob.host());
            connection
        })
        .collect();
    assert_eq!(bob.run("touch go")["exit_code"], 0);
    assert_eq!(waiting.join().expect("served")["output"], "end\n", "who is answered is not closed");
    // The first of them is closed, although it could ask for more.
    let mut said = Vec::new();
    let first = strangers.first_mut().expect("a stranger");
    let _ = first.read_to_end(&mut said);
    let _ = write!(first, "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", bob.host());
    assert_eq!(first.read(&mut [0; 1]).unwrap_or_default(), 0);
}
