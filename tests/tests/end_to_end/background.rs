//! Processes that outlive their command: what they print later, seeing them, ending them.

use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::lines::Lines;
use end_to_end_tests::waiting::{eventually, eventually_async, written};
use serde_json::{Value, json};

use super::protocol::shell;

#[tokio::test]
async fn what_a_background_process_prints_later_can_be_read_and_the_process_ended() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let nothing = client.structured("background_list", json!({})).await;
    assert_eq!(nothing, json!({"calls": []}));
    let command = "(trap '' TERM; until [ -e go ]; do sleep 0.02; done; echo later; while :; do sleep 0.1; done) & echo now";
    let outcome = client.run(command).await;
    assert_eq!(outcome.ran(), (0, "now\n"));
    let result = outcome.json();
    let id = result["output_id"].as_str().expect("an id, since there is more to come");
    assert!(result["background"].as_array().is_some_and(|left| !left.is_empty()), "{result}");

    let part = client.structured("read_output", json!({"id": id})).await;
    assert_eq!((&part["output"], &part["open"]), (&json!("now\n"), &json!(true)));
    assert_eq!(client.run("touch go").await.ran(), (0, ""));
    eventually_async(async || {
        let part = client.structured("read_output", json!({"id": id, "offset": 4})).await;
        if part["output"] == "later\n" { Ok(()) } else { Err(format!("it did not come: {part}")) }
    })
    .await;

    let listed = client.structured("background_list", json!({})).await;
    assert_eq!(listed["calls"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!((&listed["calls"][0]["id"], &listed["calls"][0]["command"]), (&json!(id), &json!(command)));
    let wrong = client.try_call("background_kill", json!({"id": "x"})).await.expect("a tool result");
    let words = wrong.content[0].as_text().expect("text").text.clone();
    assert!(wrong.is_error == Some(true) && words.contains(id), "{words}");
    let killed = client.structured("background_kill", json!({"id": id})).await;
    assert!(killed["ended"].as_array().is_some_and(|ended| !ended.is_empty()), "{killed}");
    assert_eq!(client.structured("background_list", json!({})).await["calls"], json!([]));
    let part = client.structured("read_output", json!({"id": id, "tail": 1})).await;
    assert_eq!((&part["output"], &part["open"]), (&json!("later\n"), &json!(false)));
}

/// Escalated programs that still run. What those have left that ended is ended with the shell.
#[tokio::test]
async fn programs_outside_the_sandbox_are_listed_as_such_and_can_be_ended() {
    let rules = "prefix_rule(pattern=[\"sh\"], decision=\"allow\", run=\"unconfined\")\n";
    let world = World::with_rules(rules).configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let command = "sh -c 'sleep 3001 & echo $! > left'; sh -c 'echo $$ > runs; sleep 3004 & exec sleep 3002' & until [ -s runs ]; do sleep 0.02; done; sleep 3003 & echo now";
    let outcome = client.run(command).await;
    assert_eq!(outcome.ran(), (0, "now\n"));
    let result = outcome.json();
    let pid = |file: &str| -> i64 {
        let number = std::fs::read_to_string(world.workdir().join(file)).expect("it has started");
        number.trim().parse().expect("a number")
    };
    let (left, runs) = (pid("left"), pid("runs"));
    let lives = |pid: i64| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep\0"))
    };
    let background = result["background"].as_array().expect("a list");
    let (outside, inside): (Vec<&Value>, Vec<&Value>) =
        background.iter().partition(|process| process["outside_sandbox"] == true);
    assert_eq!(outside.len(), 2, "{result}");
    assert!(
        outside.contains(&&json!({"pid": runs, "command": "sleep 3002", "outside_sandbox": true})),
        "{result}"
    );
    assert_eq!(inside.len(), 1, "no wrapper of what is listed itself: {result}");
    let listed = client.structured("background_list", json!({})).await;
    assert_eq!(listed["calls"][0]["total"], 3, "{listed}");
    let gone = async || if lives(left) { Err(format!("{left} outlives the call: {result}")) } else { Ok(()) };
    eventually_async(gone).await;
    assert!(lives(runs), "{result}");

    let killed = client.structured("background_kill", json!({"id": result["output_id"]})).await;
    assert_eq!(killed["ended"].as_array().map(Vec::len), Some(3), "{killed}");
    assert!(!lives(runs), "{runs} is still there");
    assert_eq!(client.structured("background_list", json!({})).await["calls"], json!([]));
}

/// Also those that do not end when they are told to: none is left, or listed, when the result comes.
#[tokio::test]
async fn a_timeout_ends_processes_outside_the_sandbox_before_the_result_comes() {
    let rules = "prefix_rule(pattern=[\"sh\"], decision=\"allow\", run=\"unconfined\")\n";
    let world = World::with_rules(rules).configured("[shell_tool]\ngrace_ms = 300\n");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let command = "sh -c \"trap '' TERM; echo \\$\\$ > pid; while :; do sleep 0.05; done\"";
    let outcome = client.run_within(command, Duration::from_secs(5)).await;
    let result = outcome.json();
    assert_eq!((&result["timed_out"], result.get("background")), (&json!(true), None), "{result}");
    let pid = std::fs::read_to_string(world.workdir().join("pid")).expect("it had started");
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists(), "{result}");
}

/// So it is with what an escalated program that has ended left behind.
#[tokio::test]
async fn a_timeout_ends_what_an_escalated_program_has_left_before_the_result_comes() {
    let world = World::with_rules("prefix_rule(pattern=[\"sh\"], decision=\"allow\", run=\"unconfined\")\n")
        .configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    std::fs::write(
        world.workdir().join("stubborn"),
        "trap '' TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.05; done\n",
    )
    .expect("written");
    let command = "sh -c 'sh ./stubborn > /dev/null 2>&1 & :'; until [ -s pid ]; do sleep 0.02; done; echo left; sleep 60";
    let outcome = client.run_within(command, Duration::from_secs(5)).await;
    let result = outcome.json();
    assert_eq!((&result["timed_out"], &result["output"]), (&json!(true), &json!("left\n")), "{result}");
    let pid = std::fs::read_to_string(world.workdir().join("pid")).expect("it had started");
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists(), "{result}");
}

#[tokio::test]
async fn they_end_with_their_call_where_the_user_wants_that() {
    // Time enough for its last words on a busy machine.
    let world = World::with_rules("").configured("[shell_tool]\ngrace_ms = 30000\n");
    let client = Client::start_with(&world, &Person::absent(), &["--background", "end"]).await;
    let outcome = client.run("(trap 'echo told; exit' TERM; echo up > up; while :; do sleep 0.05; done) & until [ -s up ]; do sleep 0.02; done; echo done").await;
    let (code, output) = outcome.ran();
    // Its shell may also say that what it waited for was terminated.
    assert!(code == 0 && output.starts_with("done\n") && output.ends_with("told\n"), "{outcome:?}");
    let result = outcome.json();
    assert!(result.get("background").is_none(), "{result}");
    assert!(result["notes"].to_string().contains("ended with the call"), "{result}");
    assert_eq!(client.structured("background_list", json!({})).await["calls"], json!([]));
}

/// The clients that give up say so, or they only stop waiting, the first ones after five seconds.
#[test]
fn a_command_that_its_client_has_given_up_is_listed_with_what_it_has_printed() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    server.initialize();
    let mut call = shell(&world, "echo before; echo > up; while :; do sleep 0.05; done; true its end");
    call["arguments"]["timeout_ms"] = json!(60_000);
    let cancelled = server.send_request("tools/call", call.clone());
    let up = world.workdir().join("up");
    assert_eq!(written(&up), "");
    std::fs::remove_file(&up).expect("removed");
    let cancel =
        |id: u64| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    server.send(&cancel(cancelled).to_string());
    let recent = |server: &mut Lines, wanted: usize| {
        eventually(|| {
            let answer = server.request("tools/call", json!({"name": "background_list", "arguments": {}}));
            let listed = answer["result"]["structuredContent"]["recent"].as_array().cloned();
            listed
                .filter(|listed| listed.len() == wanted)
                .ok_or_else(|| format!("not {wanted} commands: {answer}"))
        })
    };
    let listed = recent(&mut server, 1);
    assert_eq!(listed[0]["exit_code"], 130, "{listed:?}");
    assert!(listed[0]["command"].as_str().is_some_and(|command| command.starts_with("echo before")));
    let read = |server: &mut Lines, id: &Value| {
        let answer = server.request("tools/call", json!({"name": "read_output", "arguments": {"id": id}}));
        answer["result"]["structuredContent"]["output"].as_str().unwrap_or_default().to_owned()
    };
    // What is ended while the server still starts it may have more to say.
    assert!(read(&mut server, &listed[0]["id"]).starts_with("before\n"));
    // One that runs and runs, whose client may have gone away without a word; it is told where its output stays.
    call["_meta"] = json!({"progressToken": "t"});
    let silent = server.send_request("tools/call", call);
    let told = loop {
        let message = server.receive();
        let text = message["params"]["message"].as_str().unwrap_or_default().to_owned();
        if text.contains("read_output") {
            break text;
        }
    };
    let listed = recent(&mut server, 2);
    assert!(listed[1].get("exit_code").is_none(), "{listed:?}");
    assert!(told.contains(listed[1]["id"].as_str().expect("an id")), "{told}");
    assert_eq!(read(&mut server, &listed[1]["id"]), "before\n");
    server.send(&cancel(silent).to_string());
}

/// Also of the first that leaves, for which there is no outside yet, and whose shell ends before it has executed anything. On
/// a busy machine a fork may take longer for that than a result waits.
#[tokio::test]
async fn a_program_that_leaves_in_the_background_is_told_in_the_first_result() {
    const SERVERS: usize = 20;
    let world = World::with_rules("prefix_rule(pattern=[\"sleep\"], decision=\"allow\")\n").configured("");
    for (door, command) in [("kernel", "sleep 3005 & echo"), ("wrapper", "sleep 3005 & echo")] {
        let mut seen = Vec::new();
        while seen.len() < SERVERS && seen.last() != Some(&json!([true, "sleep 3005"])) {
            let client = Client::start_with(&world, &Person::absent(), &["--door", door]).await;
            let first = client.run(command).await.json()["background"][0].clone();
            seen.push(json!([first["outside_sandbox"], first["command"]]));
        }
        assert!(seen.len() < SERVERS, "{door} {command}: {seen:?}");
    }
}

/// What Git does for itself is not what the command has left.
#[tokio::test]
async fn git_tidies_up_before_its_command_ends() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    // Git counts the objects whose names begin with 17: these two are.
    let many = "git init -q && echo 263 > a && echo 410 > b && git add . && \
        git -c user.name=a -c user.email=a@b -c gc.auto=1 commit -qm x && [ -n \"$(ls .git/objects/pack)\" ] && echo tidy";
    let outcome = client.run(many).await;
    assert_eq!(outcome.ran(), (0, "tidy\n"), "{outcome:?}");
    assert!(outcome.json().get("background").is_none(), "{outcome:?}");
}

/// Other roots are another sandbox, with a localhost of its own.
#[test]
fn what_cannot_be_reached_after_a_change_of_roots_is_said_once() {
    let world = World::with_rules("").configured("");
    let mut server = Lines::start_with(&world, &[]);
    server.initialize_as("2025-06-18", &json!({"roots": {"listChanged": true}}));
    let run = |server: &mut Lines, command: &str, root: &std::path::Path| {
        let mut call = shell(&world, command);
        call["arguments"]["workdir"] = json!(root);
        let id = server.send_request("tools/call", call);
        loop {
            let message = server.receive_call();
            if message["method"] == "roots/list" {
                let roots = json!({"roots": [{"uri": format!("file://{}", root.display())}]});
                server.respond(&message["id"], &roots);
            } else if message["id"] == json!(id) {
                break message["result"]["structuredContent"].clone();
            }
        }
    };
    let (one, other) = (world.home().join("one"), world.home().join("other"));
    std::fs::create_dir(&one).expect("made");
    std::fs::create_dir(&other).expect("made");
    let left = run(&mut server, "sleep 1000 & echo left", &one);
    if !left["sandbox"].as_str().is_some_and(|level| level.starts_with("namespaces")) {
        return;
    }
    let id = left["output_id"].as_str().expect("an id").to_owned();
    assert!(!run(&mut server, "true", &one)["notes"].to_string().contains(&id), "it can be reached");
    server.send(&json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}).to_string());
    let mut said = 0;
    for _ in 0..3 {
        let result = run(&mut server, "true", &other);
        said += usize::from(result["notes"].to_string().contains(&id));
    }
    assert_eq!(said, 1);
}
