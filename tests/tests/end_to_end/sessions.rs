//! Commands that go on: `exec_command`, `write_stdin`, `shell` with a yield time, and what can be asked about them.

use end_to_end_tests::World;
use end_to_end_tests::client::{Answer, Client, Person};
use end_to_end_tests::waiting::eventually_async;
use serde_json::{Value, json};

/// A client of a server with these arguments, in the sandbox that is the default.
async fn client_with(world: &World, arguments: &[&str]) -> Client {
    Client::start_with(world, &Person::absent(), arguments).await
}

fn world() -> World {
    World::with_rules("").configured("")
}

/// `exec_command` without a login shell.
pub(crate) async fn exec(client: &Client, world: &World, cmd: &str, more: Value) -> Value {
    let mut arguments = json!({"cmd": cmd, "workdir": world.workdir(), "login": false});
    arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    client.structured("exec_command", arguments).await
}

async fn write(client: &Client, session: &Value, chars: &str, yield_time_ms: u64) -> Value {
    let arguments = json!({"session_id": session, "chars": chars, "yield_time_ms": yield_time_ms});
    client.structured("write_stdin", arguments).await
}

/// The words of a tool's problem.
pub(crate) async fn problem(client: &Client, tool: &str, arguments: Value) -> String {
    let result = client.try_call(tool, arguments).await.expect("a tool result");
    assert_eq!(result.is_error, Some(true), "{result:?}");
    result.content[0].as_text().expect("text").text.clone()
}

#[tokio::test]
async fn a_command_that_ends_in_time_is_told_at_once_and_one_that_goes_on_by_a_session() {
    let world = world();
    let client = client_with(&world, &[]).await;
    let ended =
        exec(&client, &world, "echo out; echo err >&2; exit 3", json!({"yield_time_ms": 30_000})).await;
    assert_eq!((&ended["exit_code"], &ended["output"]), (&json!(3), &json!("out\nerr\n")), "{ended}");
    assert_eq!((&ended["session_id"], &ended["original_token_count"]), (&Value::Null, &json!(2)), "{ended}");
    assert!(ended["wall_time_seconds"].as_f64().is_some_and(|time| time < 20.0), "{ended}");
    assert!(ended["chunk_id"].as_str().is_some_and(|id| !id.is_empty()), "{ended}");

    let command = "echo begun; until [ -e go ]; do sleep 0.02; done; echo end; exit 7";
    let going = exec(&client, &world, command, json!({"yield_time_ms": 250})).await;
    assert_eq!((&going["exit_code"], &going["output"]), (&Value::Null, &json!("begun\n")), "{going}");
    let session = &going["session_id"];
    assert!(session.as_u64().is_some_and(|number| (1_000..100_000).contains(&number)), "{going}");
    let listed = client.structured("background_list", json!({})).await;
    let one = &listed["sessions"][0];
    assert_eq!((&one["session_id"], &one["state"]), (session, &json!("running")), "{listed}");
    assert_eq!((&one["last_line"], &one["command"]), (&json!("begun"), &json!(command)), "{listed}");
    // What is asked for by its end returns with it, not when the time is over.
    assert_eq!(client.run("touch go").await.ran(), (0, ""));
    let ended = write(&client, session, "", 300_000).await;
    assert_eq!((&ended["exit_code"], &ended["output"]), (&json!(7), &json!("end\n")), "{ended}");
    // From then on its output can be read, and nothing be written.
    let told = problem(&client, "write_stdin", json!({"session_id": session})).await;
    assert!(told.contains("exit code 7") && told.contains("read_output"), "{told}");
    let whole = client.structured("read_output", json!({"id": going["output_id"]})).await;
    assert_eq!((&whole["output"], &whole["exit_code"]), (&json!("begun\nend\n"), &json!(7)), "{whole}");
    let listed = client.structured("background_list", json!({})).await;
    let one = &listed["sessions"][0];
    assert_eq!((&one["state"], &one["exit_code"]), (&json!("ended"), &json!(7)), "{listed}");
}

#[tokio::test]
async fn an_escape_sequence_comes_whole_or_not_yet() {
    let world = world();
    let client = client_with(&world, &[]).await;
    let command = r"printf 'a\033[3'; until [ -e go ]; do sleep 0.02; done; printf '1mred\033[0m'";
    let mut seen = exec(&client, &world, command, json!({"yield_time_ms": 250})).await;
    let session = seen["session_id"].clone();
    let mut output = seen["output"].as_str().expect("text").to_owned();
    for _ in 0..40 {
        if output == "a" {
            break;
        }
        seen = client.structured("write_stdin", json!({"session_id": session, "chars": ""})).await;
        output.push_str(seen["output"].as_str().expect("text"));
    }
    assert_eq!(output, "a", "{seen}");
    assert_eq!(client.run("touch go").await.ran(), (0, ""));
    let ended = write(&client, &session, "", 300_000).await;
    assert_eq!(ended["output"], "red", "{ended}");
}

#[tokio::test]
async fn a_session_that_times_out_says_how_it_could_go_on() {
    let world = world();
    let client = client_with(&world, &[]).await;
    let arguments = json!({
        "command": "exec sleep 1000", "workdir": world.workdir(), "login": false, "yield_time_ms": 250, "timeout_ms": 1500
    });
    let going = client.structured("shell", arguments).await;
    let ended = write(&client, &going["session_id"], "", 300_000).await;
    assert_eq!(ended["status"], "timed_out", "{ended}");
    let notes = ended["notes"].to_string();
    assert!(notes.contains("timeout of 1500 ms") && notes.contains("yield_time_ms"), "{ended}");
}

#[tokio::test]
async fn tools_that_are_left_out_are_not_there() {
    let world = world();
    let client = client_with(&world, &["--tools", "shell,background_kill"]).await;
    let left_out = client.try_call("exec_command", json!({"cmd": "true"})).await;
    let error = left_out.expect_err("no tool").to_string();
    assert!(error.contains("tool not found") && error.contains("background_kill"), "{error}");
    let arguments = json!({"command": "exec sleep 1000", "workdir": world.workdir(), "login": false, "yield_time_ms": 250});
    let going = client.structured("shell", arguments).await;
    // It is named as the result has named it.
    let killed = client.structured("background_kill", json!({"session_id": going["session_id"]})).await;
    assert_eq!((&killed["notes"], killed["ended"].is_array()), (&Value::Null, true), "{killed}");
}

#[tokio::test]
async fn stdin_is_closed_unless_asked_for_and_is_written_interrupted_and_ended() {
    let world = world();
    let client = client_with(&world, &[]).await;
    assert_eq!(exec(&client, &world, "cat; echo end", json!({})).await["output"], "end\n");
    let open = json!({"stdin": true, "yield_time_ms": 250});
    let going =
        exec(&client, &world, "while read -r line; do echo got $line; done; exit 4", open.clone()).await;
    let session = &going["session_id"];
    assert_eq!(write(&client, session, "one\ntwo\n", 400).await["output"], "got one\ngot two\n");
    let ended = write(&client, session, "\u{4}", 30_000).await;
    assert_eq!(ended["exit_code"], 4, "{ended}");

    let closed = exec(&client, &world, "exec sleep 1000", json!({"yield_time_ms": 250})).await;
    let session = &closed["session_id"];
    let words = problem(&client, "write_stdin", json!({"session_id": session, "chars": "x"})).await;
    assert!(words.contains("closed") && words.contains("tty=true"), "{words}");
    let interrupted = write(&client, session, "\u{3}", 30_000).await;
    assert_eq!((&interrupted["exit_code"], &interrupted["signal"]), (&json!(130), &json!("SIGINT")));

    // 10 MB, with NUL characters, for one that reads; and for one that does not.
    let counts =
        exec(&client, &world, "head -c 10485760 | tr -d x | od -An -c; echo read", open.clone()).await;
    let many = format!("{}\0", "x".repeat((10 << 20) - 1));
    let ended = write(&client, &counts["session_id"], &many, 30_000).await;
    assert_eq!((&ended["output"], &ended["exit_code"]), (&json!("  \\0\nread\n"), &json!(0)), "{ended}");
    let too_long = json!({"session_id": session, "chars": "x".repeat((10 << 20) + 1)});
    assert!(problem(&client, "write_stdin", too_long).await.contains("at most 10485760 bytes"));
    let deaf = exec(&client, &world, "exec sleep 1000", open).await;
    let session = &deaf["session_id"];
    let waits = write(&client, session, &many, 250).await;
    assert!(waits["notes"].to_string().contains("wait until it reads them"), "{waits}");
    let words = problem(&client, "write_stdin", json!({"session_id": session, "chars": many})).await;
    assert!(words.contains("does not read"), "{words}");
    let killed = client.structured("background_kill", json!({"id": session.to_string()})).await;
    assert!(killed["ended"].to_string().contains("sleep 1000"), "{killed}");
    assert_eq!(write(&client, session, "", 5_000).await["exit_code"], 130);
}

#[tokio::test]
async fn shell_goes_on_when_it_is_told_to() {
    let world = world();
    let client = client_with(&world, &["--default-timeout", "1"]).await;
    let arguments = json!({
        "command": "echo begun; until [ -e go ]; do sleep 0.02; done; echo end",
        "workdir": world.workdir(), "login": false, "yield_time_ms": 0
    });
    let going = client.structured("shell", arguments).await;
    assert_eq!((&going["status"], &going["output"]), (&json!("running"), &json!("begun\n")), "{going}");
    assert!(going["notes"].to_string().contains("yield_time_ms was taken as 250"), "{going}");
    assert!(going.get("exit_code").is_none(), "{going}");
    let go = json!({"command": "touch go", "workdir": world.workdir(), "login": false, "timeout_ms": 60_000});
    assert_eq!(client.structured("shell", go).await["exit_code"], 0);
    let ended = write(&client, &going["session_id"], "", 60_000).await;
    assert_eq!((&ended["exit_code"], &ended["output"]), (&json!(0), &json!("end\n")), "{ended}");
    // One that ends in time has the result of any other; a timeout says what would keep it.
    let quick =
        json!({"command": "echo now", "workdir": world.workdir(), "login": false, "yield_time_ms": 30_000});
    let quick = client.structured("shell", quick).await;
    assert_eq!((&quick["exit_code"], &quick["status"]), (&json!(0), &json!("completed")), "{quick}");
    let late = json!({"command": "sleep 1000", "workdir": world.workdir(), "login": false});
    let late = client.structured("shell", late).await;
    assert!(late["notes"].to_string().contains("yield_time_ms"), "{late}");
}

#[tokio::test]
async fn read_output_waits_for_a_line_for_more_and_for_the_end() {
    let world = world();
    let client = client_with(&world, &[]).await;
    let command =
        "echo one; for file in a b c; do until [ -e $file ]; do sleep 0.02; done; echo saw $file; done";
    let going = exec(&client, &world, command, json!({"yield_time_ms": 250})).await;
    let id = &going["output_id"];
    let waits = |more: Value| {
        let mut arguments = json!({"id": id, "wait_ms": 60_000});
        arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        client.structured("read_output", arguments)
    };
    let never = json!({"id": id, "until": "(s+s+)+y", "wait_ms": 50});
    let never = client.structured("read_output", never).await;
    assert_eq!((&never["matched"], &never["output"]), (&json!(false), &json!("one\n")), "{never}");
    let touch = async |file: &str| assert_eq!(client.run(&format!("touch {file}")).await.ran(), (0, ""));
    let (found, ()) = tokio::join!(waits(json!({"until": "saw [a-z]"})), touch("a"));
    assert_eq!((&found["matched"], &found["output"]), (&json!(true), &json!("one\nsaw a\n")), "{found}");
    let (more, ()) = tokio::join!(waits(json!({"offset": found["total_bytes"]})), touch("b"));
    assert_eq!((&more["output"], &more["exit_code"]), (&json!("saw b\n"), &Value::Null), "{more}");
    let (end, ()) = tokio::join!(waits(json!({"until": "exit", "tail": 1})), touch("c"));
    assert_eq!(
        (&end["matched"], &end["exit_code"], &end["output"]),
        (&json!(true), &json!(0), &json!("saw c\n"))
    );
    // What a command has left behind has an end, too.
    let left = client.run("(until [ -e d ]; do sleep 0.02; done) & echo left").await;
    let id = &left.json()["output_id"];
    let waiting = client.structured("read_output", json!({"id": id, "until": "exit", "wait_ms": 60_000}));
    let (end, ()) = tokio::join!(waiting, touch("d"));
    assert_eq!((&end["matched"], &end["open"]), (&json!(true), &json!(false)), "{end}");
}

#[tokio::test]
async fn sessions_are_limited_and_one_that_nobody_uses_is_ended() {
    let world = world();
    let client = client_with(&world, &["--session-idle", "1"]).await;
    let unused = exec(&client, &world, "exec sleep 1000", json!({"yield_time_ms": 250})).await;
    assert!(unused["notes"].to_string().contains("nobody asks for it"), "{unused}");
    eventually_async(async || {
        let listed = client.structured("background_list", json!({})).await;
        if listed["sessions"][0]["state"] == "ended" { Ok(()) } else { Err(format!("it lives: {listed}")) }
    })
    .await;
    let ended = write(&client, &unused["session_id"], "", 5_000).await;
    assert!(ended["notes"].to_string().contains("it was ended: nobody asked for it"), "{ended}");
    let client = client_with(&world, &["--sandbox", "danger-full-access"]).await;
    let starting = (0..64).map(|_| exec(&client, &world, "exec sleep 1000", json!({"yield_time_ms": 1000})));
    let sessions: Vec<Value> = join_all(starting.collect()).await;
    assert!(sessions.iter().all(|one| one["session_id"].is_u64()), "{sessions:?}");
    let full = problem(&client, "exec_command", json!({"cmd": "true", "workdir": world.workdir()})).await;
    assert!(full.contains("64 sessions run") && full.contains("background_kill"), "{full}");
    // Commands that do not go on have their turns all the same.
    assert_eq!(client.run("echo runs").await.ran(), (0, "runs\n"));
    client.structured("background_kill", json!({"id": sessions[0]["session_id"].to_string()})).await;
    assert_eq!(exec(&client, &world, "true", json!({})).await["exit_code"], 0);
}

/// All of them, each started before any has ended.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut all = true;
        for (future, result) in &mut futures {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => all = false,
                }
            }
        }
        if all { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, result)| result).collect()
}

#[tokio::test]
async fn unknown_sessions_are_answered_with_those_that_run() {
    let world = world();
    let client = client_with(&world, &[]).await;
    let none = problem(&client, "write_stdin", json!({"session_id": 1234})).await;
    assert!(none.contains("no session runs"), "{none}");
    let going = exec(&client, &world, "exec sleep 1000", json!({"yield_time_ms": 250})).await;
    for wrong in [json!(7), json!(u64::MAX)] {
        let words = problem(&client, "write_stdin", json!({"session_id": wrong})).await;
        assert!(words.contains(&going["session_id"].to_string()), "{words}");
    }
    assert!(problem(&client, "write_stdin", json!({"session_id": "x"})).await.contains("whole number"));
    assert!(problem(&client, "write_stdin", json!({})).await.contains("session_id is missing"));
    assert!(problem(&client, "exec_command", json!({})).await.contains("cmd is missing"));
}

/// A question that comes while nobody waits is asked all the same, and its time is nobody's.
#[tokio::test]
async fn a_session_asks_its_client_between_requests() {
    let rules = "prefix_rule(pattern=[\"touch\"], decision=\"prompt\")\n";
    let world = World::with_rules(rules).configured("");
    let person = Person::answering([Answer::Accept]).when_told();
    let client = Client::start_with(&world, &person, &[]).await;
    let command = "sleep 1; touch made; [ -e made ] && echo made";
    let going = exec(&client, &world, command, json!({"yield_time_ms": 250})).await;
    assert!(going["session_id"].is_u64(), "{going}");
    person.until_asked(1).await;
    person.tell();
    let ended = write(&client, &going["session_id"], "", 60_000).await;
    assert_eq!((&ended["exit_code"], &ended["output"]), (&json!(0), &json!("made\n")), "{ended}");
    assert_eq!(ended["decisions"][0]["decision"], "approved_escalated", "{ended}");
}
