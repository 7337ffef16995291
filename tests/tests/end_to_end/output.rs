//! Output that does not fit, is no text, or comes later; and reading the rest of it.

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::lines::Lines;
use end_to_end_tests::machine::most_memory;
use rmcp::model::{ReadResourceRequestParams, ResourceContents};
use serde_json::{Value, json};

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[tokio::test]
async fn a_long_output_is_shown_in_part_and_can_be_read_whole() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    let outcome = client.run("for ((i = 0; i < 20000; i++)); do echo line $i; done").await;
    let whole: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    let result = outcome.json();
    let (code, shown) = outcome.ran();
    assert_eq!(code, 0);
    assert!(result.to_string().len() <= 40_000, "Codex cuts what is longer: {}", result.to_string().len());
    let truncation = &result["truncation"];
    let (start, length) = (number(&truncation["omitted_offset"]), number(&truncation["omitted_bytes"]));
    assert_eq!(number(&truncation["total_bytes"]), whole.len() as u64);
    let index = |offset: u64| usize::try_from(offset).expect("it is in memory");
    let (start, end) = (index(start), index(start + length));
    let expected = format!("{}… {length} bytes omitted …\n{}", &whole[..start], &whole[end..]);
    assert!(shown == expected, "beginning, marker, end");

    let id = result["output_id"].as_str().expect("an id");
    let (mut offset, mut text) = (0, String::new());
    loop {
        let part = client.structured("read_output", json!({"id": id, "offset": offset})).await;
        text.push_str(part["output"].as_str().expect("text"));
        match part["next_offset"].as_u64() {
            Some(next) => offset = next,
            None => break,
        }
    }
    assert!(text == whole, "the parts are the whole");
    let part = client.structured("read_output", json!({"id": id, "grep": "^line 1234.$", "tail": 3})).await;
    assert_eq!(part["output"], "line 12347\nline 12348\nline 12349\n");

    let uri = format!("shell://output/{id}");
    let resources = client.service().list_all_resources().await.expect("a list");
    assert!(resources.iter().any(|resource| resource.uri == uri), "{resources:?}");
    let resource =
        client.service().read_resource(ReadResourceRequestParams::new(&uri)).await.expect("it is kept");
    let [ResourceContents::TextResourceContents { text, .. }] = &resource.contents[..] else {
        panic!("one text, not {resource:?}")
    };
    assert!(*text == whole);
    let nothing = client.service().read_resource(ReadResourceRequestParams::new("shell://output/0-0")).await;
    assert!(nothing.expect_err("it does not exist").to_string().contains("shell://output/0-0"));
}

/// The answer to a call of `shell`, as it was written on the server's output.
fn raw_answer(server: &mut Lines, arguments: Value) -> String {
    let id = server.send_request("tools/call", json!({"name": "shell", "arguments": arguments}));
    loop {
        let line = server.receive_line();
        let message: Value = serde_json::from_str(&line).expect("JSON");
        if message["id"] == json!(id) {
            return line;
        }
    }
}

#[test]
fn a_result_is_one_text_and_the_same_json_to_the_byte_with_what_matters_first() {
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    server.initialize();
    for command in [
        r#"printf 'a "quoted" \001 \342\202\254 \\ / \t\n'"#,
        "seq 100000",
        "sleep 100 & echo $!; kill -SEGV $$",
        "exit 3",
    ] {
        let line = raw_answer(&mut server, json!({"command": command, "login": false}));
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        let content = answer["result"]["content"].as_array().expect("content");
        let [item] = &content[..] else { panic!("one item: {line}") };
        assert_eq!(item["type"], "text");
        let text = item["text"].as_str().expect("a text");
        assert!(text.starts_with("{\"exit_code\":"), "{text}");
        assert!(line.contains(&format!("\"structuredContent\":{text}")), "the same to the byte: {line}");
        let members: Value = serde_json::from_str(text).expect("JSON");
        let names: Vec<&String> = members.as_object().expect("an object").keys().take(5).collect();
        assert_eq!(names, ["exit_code", "output", "status", "timed_out", "duration"]);
    }
}

#[test]
fn a_link_to_the_whole_is_added_where_it_is_wanted() {
    let world = World::with_rules("");
    let mut server = Lines::start_with(&world, &["--sandbox", "danger-full-access", "--result-links"]);
    server.initialize();
    let line = raw_answer(&mut server, json!({"command": "seq 100000", "login": false}));
    let answer: Value = serde_json::from_str(&line).expect("JSON");
    let id = &answer["result"]["structuredContent"]["output_id"];
    let link = &answer["result"]["content"][1];
    assert_eq!(link["type"], "resource_link");
    assert_eq!(link["uri"], format!("shell://output/{}", id.as_str().expect("an id")));
}

#[test]
fn as_text_results_are_the_output_and_a_line_where_there_is_something_to_say() {
    let world = World::with_rules("").configured("[shell_tool]\nresult = \"text\"\n");
    let mut server = Lines::start(&world);
    server.initialize();
    let listed = server.request("tools/list", json!({}));
    for tool in listed["result"]["tools"].as_array().expect("tools") {
        assert!(tool.get("outputSchema").is_none(), "{tool}");
    }
    let mut call = |name: &str, arguments: Value| {
        let answer = server.request("tools/call", json!({"name": name, "arguments": arguments}));
        let result = &answer["result"];
        assert_eq!((result.get("structuredContent"), &result["isError"]), (None, &json!(false)), "{result}");
        let [item] = &result["content"].as_array().expect("content")[..] else {
            panic!("one item: {result}")
        };
        item["text"].as_str().expect("a text").to_owned()
    };
    let workdir = world.workdir();
    let run = |command: &str| json!({"command": command, "workdir": workdir, "login": false});
    assert_eq!(call("shell", run("echo hello")), "hello\n");
    assert_eq!(call("shell", run("printf hello")), "hello");
    let failed = call("shell", run("echo no; exit 3"));
    assert!(failed.starts_with("no\n[exit 3 · ") && failed.ends_with(" s]"), "{failed}");
    let silent = call("shell", run("true"));
    assert!(silent.starts_with("[exit 0 · "), "{silent}");
    let long = call("shell", run("seq 100000"));
    let id = long
        .split("call read_output with {\"id\":\"")
        .nth(1)
        .expect("an id")
        .split('"')
        .next()
        .expect("an id");
    assert_eq!(call("read_output", json!({"id": id, "grep": "^99999$"})), "99999\n");
    let background = call("shell", run("sleep 1000 &"));
    assert!(
        background.contains("in the background, with id ") && background.contains("sleep 1000"),
        "{background}"
    );
    let listed = call("background_list", json!({}));
    assert!(listed.contains("sleep 1000 &") && listed.contains("\n  "), "{listed}");
    let id = listed.split(':').next().expect("an id").to_owned();
    assert!(call("background_kill", json!({"id": id})).starts_with("ended "));
    let listed = call("background_list", json!({}));
    assert!(!listed.contains("sleep 1000 &"), "{listed}");
}

#[tokio::test]
async fn what_fits_is_shown_whole_and_how_much_fits_can_be_said() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    let call = |command: &str, more: Value| {
        let mut arguments = json!({"command": command, "workdir": world.workdir(), "login": false});
        arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        client.call(arguments)
    };
    let outcome = call("echo 0123456789", json!({"max_output_tokens": 3})).await;
    assert_eq!(outcome.ran(), (0, "0123456789\n"));
    assert!(outcome.json().get("truncation").is_none() && outcome.json().get("output_id").is_none());
    let outcome = call("echo 0123456789", json!({"max_output_tokens": 1})).await;
    assert_eq!(outcome.ran(), (0, "01\n… 8 bytes omitted …\n\n"));
    let colours = r"printf '\e[31mred\e[0m \xe9\n10%%\r100%%\n'";
    let outcome = call(colours, json!({})).await;
    assert_eq!(outcome.ran(), (0, "red \\xe9\n100%\n"));
    assert_eq!(outcome.json()["invalid_bytes"], 1);
    let outcome = call(colours, json!({"strip_ansi": false})).await;
    assert_eq!(outcome.ran(), (0, "\u{1b}[31mred\u{1b}[0m \\xe9\n10%\r100%\n"));
    let outcome = call("true", json!({"cwd": "/", "max_output_tokens": null})).await;
    let notes = outcome.json()["notes"].to_string();
    assert!(notes.contains("cwd") && notes.contains("workdir"), "{notes}");
    let outcome = call("true", json!({"max_output_tokens": "many"})).await;
    assert!(
        outcome.problem().starts_with("max_output_tokens must be a whole number of tokens"),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn status_and_signal_tell_how_a_command_ended() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    for (command, status, signal) in [
        ("true", "completed", Value::Null),
        ("exit 3", "failed", Value::Null),
        ("kill -TERM $$", "failed", "SIGTERM".into()),
    ] {
        let outcome = client.run(command).await;
        let result = outcome.json();
        assert_eq!((&result["status"], &result["signal"]), (&json!(status), &signal), "{command}");
    }
    let outcome = client.run_within("echo before; sleep 1000", std::time::Duration::from_millis(1000)).await;
    assert_eq!(outcome.json()["status"], "timed_out");
    assert_eq!(outcome.ran(), (124, "before\n"));
}

#[test]
fn a_flood_of_output_costs_little_memory_and_holds_up_nobody() {
    const BYTES: u64 = 300_000_000;
    let world = World::with_rules("");
    let mut server = Lines::start(&world);
    server.initialize();
    let call = |command: &str, server: &mut Lines| {
        let arguments =
            json!({"command": command, "workdir": world.workdir(), "login": false, "timeout_ms": 600_000});
        server.send_request("tools/call", json!({"name": "shell", "arguments": arguments}))
    };
    let warm_up = call("head -c 1000000 /dev/zero", &mut server);
    assert_eq!(server.receive()["id"], warm_up);
    let before = most_memory(server.pid());
    let flood = call(&format!("head -c {BYTES} /dev/zero; echo end"), &mut server);
    let other = call("echo quick", &mut server);
    let answers = [server.receive(), server.receive()];
    let of = |id: u64| answers.iter().find(|answer| answer["id"] == id).expect("both are answered");
    assert_eq!(of(other)["result"]["structuredContent"]["output"], "quick\n");
    let result = &of(flood)["result"]["structuredContent"];
    assert_eq!(number(&result["truncation"]["total_bytes"]), BYTES + 4);
    assert!(result["output"].as_str().expect("text").ends_with("\0end\n"));
    let after = most_memory(server.pid());
    assert!(after < before + (16 << 10), "resident memory grew from {before} to {after} KiB");
}
