//! The server behind HTTP: both eras, sessions, streams that break off, and strangers.

use std::io::{Read, Write};
use std::process::Command;

use end_to_end_tests::World;
use end_to_end_tests::http::{LEGACY, MODERN, Site, modern_call};
use end_to_end_tests::machine::is_installed;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::Signal;
use serde_json::{Value, json};

const ANY: &str = "127.0.0.1:0";

/// A rule by which a person is asked.
const ASKS: &str = "prefix_rule(pattern=[\"touch\"], decision=\"prompt\", justification=\"makes files\")\n";

fn shell(command: &str) -> Value {
    json!({"command": command, "login": false})
}

/// The end of a stream, or of a connection that was given up.
fn rest(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn both_eras_run_commands_on_one_address() {
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    assert_eq!(visitor.run("echo hello; exit 3")["exit_code"], 3);
    let session = visitor.begin(json!({}));
    let result = visitor.call_in(&session, 1, "shell", &shell("echo hello")).result();
    assert_eq!(result["structuredContent"]["output"], "hello\n", "{result}");
    // What one has printed, the other reads: they are one principal's.
    let long = visitor.run("seq 100000");
    let part = visitor.call("read_output", &json!({"id": long["output_id"], "tail": 1})).result();
    assert_eq!(part["structuredContent"]["output"], "100000\n", "{part}");
}

#[test]
fn a_session_that_is_not_there_is_unknown_and_none_is_needed_since_2026() {
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    for foreign in ["0190c5a2-0000-4000-8000-00000000000a", "../x", "x"] {
        assert_eq!(visitor.post(LEGACY, Some(foreign), &list).status, 404, "{foreign}");
        let mut answer = visitor.post(MODERN, Some(foreign), &modern_call("shell", &shell("echo hi")));
        assert_eq!(answer.result()["structuredContent"]["output"], "hi\n");
    }
    assert_eq!(visitor.post(LEGACY, None, &list).status, 400);
    let session = visitor.begin(json!({}));
    assert_eq!(visitor.post(LEGACY, Some(&session), &list).status, 200);
    let named = [format!("Mcp-Session-Id: {session}")];
    assert_eq!(visitor.send("DELETE", &named, "").status, 202);
    assert_eq!(visitor.post(LEGACY, Some(&session), &list).status, 404);
}

#[test]
fn strangers_pages_and_other_names_are_kept_out() {
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let message = modern_call("shell", &shell("true"));
    assert_eq!(visitor.post(MODERN, None, &message).status, 200);
    for path in ["/mcp", "/mcp/", "/mcp/guess", "/", "/mcp/%00", "/nowhere"] {
        assert_eq!(visitor.at(path).post(MODERN, None, &message).status, 404, "{path}");
    }
    for host in ["evil.example.com", "localhost.evil.example.com:80", "a b"] {
        assert!(matches!(visitor.calling_it(host).post(MODERN, None, &message).status, 400 | 403), "{host}");
    }
    assert!(matches!(visitor.calling_it("").post(MODERN, None, &message).status, 400 | 403));
    for origin in ["http://evil.example.com", "null"] {
        let page = visitor.saying(&format!("Origin: {origin}"));
        assert_eq!(page.post(MODERN, None, &message).status, 403, "{origin}");
    }
    let refused = Command::new(end_to_end_tests::binaries().join("exec-server"))
        .args(["serve", "--http", "0.0.0.0:0"])
        .envs([("HOME", world.home()), ("CODEX_HOME", &world.codex_home())])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("nothing says who may ask"), "{said}");
}

#[test]
fn a_result_waits_for_a_client_that_has_lost_its_connection() {
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let session = visitor.begin(json!({}));
    let command = "echo begun > begun; while [ ! -e go ]; do sleep 0.05; done; echo done";
    let mut answer = visitor.call_in(&session, 1, "shell", &shell(command));
    let first = answer.event().expect("an event to go on from");
    let _ = end_to_end_tests::waiting::written(&world.workdir().join("begun"));
    drop(answer);
    let resume = || {
        let said = [
            "Accept: text/event-stream".to_owned(),
            format!("MCP-Protocol-Version: {LEGACY}"),
            format!("Mcp-Session-Id: {session}"),
            format!("Last-Event-ID: {}", first.id),
        ];
        visitor.get(&said)
    };
    let mut waiting = resume();
    std::fs::write(world.workdir().join("go"), "").expect("written");
    assert_eq!(waiting.result()["structuredContent"]["output"], "done\n");
    // And afterwards, too.
    assert_eq!(resume().result()["structuredContent"]["output"], "done\n");
}

#[test]
fn a_client_of_2026_that_closes_its_stream_has_cancelled() {
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY]);
    let answer = {
        let message = modern_call("shell", &shell("echo $$ > pid.new; mv pid.new pid; sleep 1000"));
        let visitor = site.visitor();
        std::thread::spawn(move || {
            let mut stream = visitor.connect();
            let body = message.to_string();
            let head = format!("POST {} HTTP/1.1", visitor.path());
            let headers = format!(
                "Host: {}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n\
                 MCP-Protocol-Version: {MODERN}\r\nMcp-Method: tools/call\r\nMcp-Name: shell",
                visitor.host()
            );
            write!(stream, "{head}\r\n{headers}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .expect("sent");
            stream
        })
    };
    let pid = end_to_end_tests::waiting::written(&world.workdir().join("pid"));
    let _ = pid;
    drop(answer.join().expect("sent"));
    end_to_end_tests::waiting::eventually(|| {
        let list = site.visitor().call("background_list", &json!({})).result();
        let recent = &list["structuredContent"]["recent"];
        if recent[0]["exit_code"] == 130 { Ok(()) } else { Err(list.to_string()) }
    });
}

#[test]
fn a_question_goes_beside_its_call() {
    let world = World::with_rules(ASKS);
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let session = visitor.begin(json!({"elicitation": {"form": {}}}));
    let mut answer = visitor.call_in(&session, 1, "shell", &shell("touch made; echo done"));
    // There is no other stream on which it could come.
    let question = answer.message();
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let reply =
        json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {}}});
    assert_eq!(visitor.post(LEGACY, Some(&session), &reply).status, 202);
    assert_eq!(answer.result()["structuredContent"]["output"], "done\n");
    assert!(world.workdir().join("made").exists());
}

#[test]
fn an_answer_of_2026_goes_on_with_the_call() {
    let world = World::with_rules(ASKS);
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let mut message = modern_call("shell", &shell("touch made; echo done"));
    let asked = visitor.post(MODERN, None, &message).result();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let questions = asked["inputRequests"].as_object().expect("questions");
    let accept = json!({"action": "accept", "content": {}});
    let answers: serde_json::Map<_, _> = questions.keys().map(|id| (id.clone(), accept.clone())).collect();
    message["params"]["requestState"] = asked["requestState"].clone();
    message["params"]["inputResponses"] = answers.into();
    let done = visitor.post(MODERN, None, &message).result();
    assert_eq!(done["structuredContent"]["output"], "done\n", "{done}");
}

#[test]
fn what_is_too_long_or_no_message_is_refused() {
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY]);
    let visitor = site.visitor();
    let long = visitor.saying(&format!("X-Long: {}", "x".repeat(100 << 10)));
    assert_eq!(long.get(&[]).status, 431);
    let message = modern_call("shell", &shell(&"x".repeat(5 << 20)));
    assert_eq!(visitor.post(MODERN, None, &message).status, 413);
    let json =
        ["Accept: application/json, text/event-stream".to_owned(), "Content-Type: text/plain".to_owned()];
    assert_eq!(visitor.send("POST", &json, "{}").status, 415);
    let json = ["Accept: application/json, text/event-stream", "Content-Type: application/json"];
    let json = json.map(ToOwned::to_owned);
    assert!(matches!(visitor.send("POST", &json, "{").status, 400 | 415 | 422));
    assert_eq!(visitor.send("PUT", &json, "{}").status, 405);
    // What is no HTTP at all gets an error, or the end of its connection.
    for garbage in ["\0\0\0\0garbage that is no request at all\r\n\r\n", "GET\r\n\r\n"] {
        let mut stream = visitor.connect();
        let _ = stream.write_all(garbage.as_bytes());
        let said = rest(&mut stream);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said}");
    }
    assert_eq!(visitor.run("echo fine")["output"], "fine\n");
}

#[test]
fn http_2_is_spoken() {
    if !is_installed("curl") {
        return;
    }
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY]);
    let message = modern_call("shell", &shell("echo by two")).to_string();
    let headers = [
        "Accept: application/json, text/event-stream",
        "Content-Type: application/json",
        "MCP-Protocol-Version: 2026-07-28",
        "Mcp-Method: tools/call",
        "Mcp-Name: shell",
    ];
    let headers = headers.iter().flat_map(|header| ["-H", header]);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--http2-prior-knowledge", "-w", "%{http_version}", "--noproxy", "*"]).args(headers);
    let output = curl.args(["-d", &message, &site.address]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("by two") && said.ends_with('2'), "{said} {output:?}");
}

#[test]
fn a_unix_socket_is_this_users() {
    let world = World::with_rules("");
    let socket = world.home().join("socket");
    let site = Site::start(&world, &["--http", &format!("unix:{}", socket.display())]);
    assert_eq!(site.visitor().run("echo here")["output"], "here\n");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn two_servers_of_one_user_live_beside_each_other() {
    let world = World::with_rules("");
    let (first, second) = (Site::start(&world, &["--http", ANY]), Site::start(&world, &["--http", ANY]));
    let path = |site: &Site| site.address.rsplit_once('/').expect("a path").1.to_owned();
    assert_eq!(path(&first), path(&second), "clients are told once");
    let session = first.visitor().begin(json!({}));
    // A session goes on at the other one.
    let result = second.visitor().call_in(&session, 1, "shell", &shell("echo there")).result();
    assert_eq!(result["structuredContent"]["output"], "there\n");
    // Outputs are each server's own.
    let long = first.visitor().run("seq 100000");
    let part = second.visitor().call("read_output", &json!({"id": long["output_id"]})).result();
    assert_eq!(part["isError"], true, "{part}");
}

#[test]
fn many_who_come_at_once_wait_for_their_turn() {
    const CLIENTS: usize = 1000;
    let world = World::with_rules("");
    let socket = world.home().join("many.sock");
    let site = Site::start(&world, &["--http", &format!("unix:{}", socket.display())]);
    // It accepts nobody while all of them come.
    site.signal(Signal::STOP);
    let address = SocketAddrUnix::new(&socket).expect("an address");
    let come: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None);
            let client = client.expect("a socket");
            connect(&client, &address).map(|()| client)
        })
        .collect();
    site.signal(Signal::CONT);
    let lost = come.iter().filter(|client| client.is_err()).count();
    assert_eq!(lost, 0, "{:?}", come.iter().find(|client| client.is_err()));
    assert_eq!(site.visitor().at("/healthz").get(&[]).status, 200);
}
