//! A command uses up what all share: memory, processes. What is bounded by control groups is tried where one can be made; a
//! machine that must have them (`TESTS_MUST_BOUND=1`) skips nothing.

use std::process::Stdio;

use end_to_end_tests::World;
use end_to_end_tests::http::Site;
use end_to_end_tests::lines::Lines;
use end_to_end_tests::waiting::eventually;
use serde_json::{Value, json};

const BOUNDS: &str = "[shell_tool]\nmemory_max = \"128M\"\ncpu_max = 1.5\nmax_processes = 200\n";

/// More than all of them may have.
const FILL: &str = "head -c 300M /dev/zero | tail -c 2G > /dev/null";

/// Whether commands are bounded here; else what is said about it.
fn refusal(notes: &Value) -> Option<&str> {
    let refusal =
        notes.as_array()?.iter().filter_map(Value::as_str).find(|note| note.contains("not in force"))?;
    assert_ne!(std::env::var("TESTS_MUST_BOUND").as_deref(), Ok("1"), "{refusal}");
    Some(refusal)
}

#[test]
fn who_uses_up_memory_or_processes_is_told_which_bound_it_was() {
    let world = World::with_rules("").configured(BOUNDS);
    let mut server = Lines::start_with(&world, &[]);
    server.initialize();
    let mut run = |command: &str| {
        let call =
            json!({"command": command, "workdir": world.workdir(), "login": false, "timeout_ms": 300_000});
        let answer = server.request("tools/call", json!({"name": "shell", "arguments": call}));
        answer["result"]["structuredContent"].clone()
    };
    let first = run("echo first");
    assert_eq!(first["output"], "first\n", "{first}");
    if let Some(why) = refusal(&first["notes"]) {
        tell!("skipped: {why}");
        // It is said once.
        let second = run("echo second");
        assert!(second["output"] == "second\n" && refusal(&second["notes"]).is_none(), "{second}");
        return;
    }
    let filled = run(FILL);
    assert_eq!(filled["exit_code"], 137, "{filled}");
    assert!(filled["notes"].to_string().contains("128M (memory_max"), "{filled}");
    let forked = run("for i in $(seq 400); do sleep 1000 & done 2> /dev/null; kill $(jobs -p); wait");
    assert!(forked["notes"].to_string().contains("200 (max_processes"), "{forked}");
    // What lies in memory that programs share is nobody's, so that all of the sandbox may end for it.
    run("head -c 300M /dev/zero > /dev/shm/filled");
    eventually(|| {
        let next = run("echo next");
        let is_as_before = next["output"] == "next\n" && next["notes"].is_null();
        if is_as_before { Ok(()) } else { Err(next) }
    });
}

#[test]
fn nobody_is_served_beside_others_without_the_bounds_that_were_asked_for() {
    let world = World::with_rules("").configured("");
    let tokens = world.home().join("tokens");
    std::fs::write(&tokens, "ann ann-ann-ann-ann-ann\nbob bob-bob-bob-bob-bob\n").expect("written");
    let tokens = tokens.display().to_string();
    let arguments = ["serve", "--http", "127.0.0.1:0", "--token-file", &tokens];
    let mut bounded = world.server(&arguments);
    bounded.args(["--memory-max", "128M", "--cpu-max", "1.5"]);
    let doctor = world.server(&["doctor", "--json", "--memory-max", "128M"]).output().expect("it runs");
    let doctor: Value = serde_json::from_slice(&doctor.stdout).expect("a report");
    let checks = doctor["checks"].as_array().expect("checks");
    let limits = checks.iter().find(|check| check["name"] == "limits").expect("there is one");
    if limits["ok"] != true {
        assert_ne!(std::env::var("TESTS_MUST_BOUND").as_deref(), Ok("1"), "{limits}");
        let refused = bounded.stdout(Stdio::null()).output().expect("it ends");
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && words.contains("so nobody is served"), "{words}");
        return;
    }
    let site = Site::of(bounded);
    let as_user = |token: &str| site.visitor().saying(&format!("Authorization: Bearer {token}"));
    let (ann, bob) = (as_user("ann-ann-ann-ann-ann"), as_user("bob-bob-bob-bob-bob"));
    assert_eq!(bob.run("echo before")["output"], "before\n");
    let call = json!({"command": FILL, "login": false, "timeout_ms": 300_000});
    let filled = ann.call("shell", &call).result()["structuredContent"].clone();
    assert!(filled["notes"].to_string().contains("128M (memory_max"), "{filled}");
    let after = bob.run("head -c 20M /dev/zero | tail -c 50M > /dev/null; echo after");
    assert!(after["output"] == "after\n" && !after["notes"].to_string().contains("memory_max"), "{after}");
}
