//! Commands with a terminal: the screen as text, keys by name, pasting, sizes, job control.

use end_to_end_tests::World;
use end_to_end_tests::client::{Answer, Client, Person};
use rmcp::model::ReadResourceRequestParams;
use serde_json::{Value, json};

use super::sessions::{exec, problem};

async fn client(world: &World) -> Client {
    Client::start_with(world, &Person::absent(), &[]).await
}

async fn write(client: &Client, session: &Value, more: Value) -> Value {
    let mut arguments = json!({"session_id": session, "yield_time_ms": 600});
    arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    client.structured("write_stdin", arguments).await
}

/// Writes until the output has these words.
async fn until(client: &Client, session: &Value, words: &str) -> String {
    let mut seen = String::new();
    for _ in 0..40 {
        let more = write(client, session, json!({"chars": "", "screen": true})).await;
        seen = more["output"].as_str().expect("text").to_owned();
        if seen.contains(words) || more.get("session_id").is_none() {
            break;
        }
    }
    assert!(seen.contains(words), "{words:?} is not on the screen:\n{seen}");
    seen
}

#[tokio::test]
async fn a_terminal_is_one_to_programs_and_its_screen_is_what_a_person_sees() {
    let world = World::with_rules("").configured("");
    let client = client(&world).await;
    let tty = json!({"tty": true, "yield_time_ms": 30_000});
    let facts = "test -t 0 && test -t 1 && test -t 2 && stty size && echo $TERM && echo own > /dev/tty";
    let facts = exec(&client, &world, facts, tty).await;
    assert_eq!(facts["output"], "24 80\nxterm-256color\nown\n", "{facts}");
    // It has a name, and programs can make others.
    let tty = json!({"tty": true, "yield_time_ms": 30_000});
    let named = "name=$(tty) && test -c $name && script -qc 'test -t 0 && test $(tty) != '$name /dev/null; echo $name $?";
    let named = exec(&client, &world, named, tty).await;
    let output = named["output"].as_str().expect("text");
    assert!(output.starts_with("/dev/pts/") && output.ends_with(" 0\n"), "{named}");
    let plain = exec(&client, &world, "test -t 0 || test -t 1; echo $?", json!({})).await;
    assert_eq!(plain["output"], "1\n", "a pipe is none: {plain}");

    let bar = r"for i in 1 2 3; do printf '\r%s0%%' $i; done; printf '\n\033[5;3Hthere\033[1;40Hend\033[7;1H'; read x; echo got $x";
    let screen = json!({"tty": true, "screen": true, "rows": 8, "cols": 60, "yield_time_ms": 250});
    let going = exec(&client, &world, bar, screen).await;
    let session = &going["session_id"];
    let seen = until(&client, session, "there").await;
    assert_eq!(seen, format!("30%{}end\n\n\n\n  there", " ".repeat(36)));
    let now = write(&client, session, json!({"chars": "", "screen": true})).await;
    assert_eq!(now["screen"], json!({"rows": 8, "cols": 60, "cursor": [7, 1]}), "{now}");
    for (rows, cols) in [(0, 0), (24, 10_000), (u64::MAX, 80)] {
        let words = json!({"session_id": session, "rows": rows, "cols": cols});
        let words = problem(&client, "write_stdin", words).await;
        assert!(words.contains("from 1 to 500 rows"), "{words}");
    }
    let ended = write(&client, session, json!({"chars": "line\n", "yield_time_ms": 30_000})).await;
    assert_eq!((&ended["exit_code"], &ended["output"]), (&json!(0), &json!("line\ngot line\n")), "{ended}");
}

#[tokio::test]
async fn keys_jobs_sizes_and_pasting_are_as_on_any_terminal() {
    let world = World::with_rules("").configured("");
    let client = client(&world).await;
    let tty = json!({"tty": true, "yield_time_ms": 400});
    let going = exec(&client, &world, "PS1='> ' bash --norc --noprofile -i", tty.clone()).await;
    let session = &going["session_id"];
    write(&client, session, json!({"chars": "sleep 1000\n"})).await;
    write(&client, session, json!({"keys": "<C-z>"})).await;
    until(&client, session, "Stopped").await;
    write(&client, session, json!({"chars": "fg\n"})).await;
    write(&client, session, json!({"chars": "<C-c>"})).await;
    write(&client, session, json!({"chars": "echo code $?\n"})).await;
    until(&client, session, "code 130").await;
    write(&client, session, json!({"rows": 11, "cols": 50, "chars": "stty size\n"})).await;
    until(&client, session, "11 50").await;
    // The key that is a sequence; and what is pasted is not executed before somebody says so.
    write(&client, session, json!({"keys": "echo <Up><Up><C-u>echo one<Enter>"})).await;
    until(&client, session, "\none").await;
    let pasted =
        write(&client, session, json!({"chars": "echo p1\necho p2", "paste": true, "screen": true})).await;
    assert!(!pasted["output"].as_str().expect("text").contains("\np1"), "{pasted}");
    write(&client, session, json!({"chars": "\n"})).await;
    until(&client, session, "\np2").await;
    let ended = write(&client, session, json!({"chars": "exit 5\n", "yield_time_ms": 30_000})).await;
    assert_eq!(ended["exit_code"], 5, "{ended}");
    // Keys and screens are for terminals.
    let pipe = exec(&client, &world, "exec sleep 1000", json!({"yield_time_ms": 250})).await;
    let words = json!({"session_id": pipe["session_id"], "keys": "<Up>"});
    assert!(problem(&client, "write_stdin", words).await.contains("no terminal"));
}

#[tokio::test]
async fn a_program_that_leaves_the_sandbox_cannot_be_typed_to() {
    let rules = "prefix_rule(pattern=[\"sh\"], decision=\"prompt\", run=\"unconfined\")\n";
    let world = World::with_rules(rules).configured("");
    let person = Person::answering([Answer::Accept]);
    let client = Client::start_with(&world, &person, &[]).await;
    // Its input is at its end, and it has no controlling terminal.
    let command = "sh -c 'read line; echo read $? \"$line\"; echo seen; (: > /dev/tty) 2>/dev/null; echo tty $?'; echo end";
    let going = exec(&client, &world, command, json!({"tty": true, "yield_time_ms": 30_000})).await;
    let output = going["output"].as_str().expect("text");
    assert!(output.contains("read 1") && output.contains("seen") && output.contains("end"), "{going}");
    assert!(!output.contains("tty 0"), "{going}");
}

#[tokio::test]
async fn a_recording_is_made_on_request() {
    let world = World::with_rules("").configured("");
    let client = client(&world).await;
    let recorded = json!({"tty": true, "record": true, "rows": 5, "cols": 40, "yield_time_ms": 30_000});
    let ended = exec(&client, &world, "printf 'one\\n'; printf '\\033[31mtwo'", recorded).await;
    let uri = ended["recording"].as_str().expect("a resource").to_owned();
    let read =
        client.service().read_resource(ReadResourceRequestParams::new(&uri)).await.expect("it is kept");
    let read = serde_json::to_value(read).expect("JSON");
    let cast = read["contents"][0]["text"].as_str().expect("text");
    let mut lines = cast.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert_eq!(lines.next().expect("a header"), json!({"version": 2, "width": 40, "height": 5}));
    let text: String = lines.map(|event| event[2].as_str().expect("text").to_owned()).collect();
    assert_eq!(text, "one\r\n\u{1b}[31mtwo", "{cast}");
    let without = exec(&client, &world, "true", json!({"record": true})).await;
    assert!(without["notes"].to_string().contains("for commands with tty=true"), "{without}");
    assert_eq!(without["recording"], Value::Null);
}
