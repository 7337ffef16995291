//! Clients that want to do harm, slow ones and ones that guess; and servers that share all that they have.

use std::io::{Read, Write};

use end_to_end_tests::World;
use end_to_end_tests::holdings::Holdings;
use end_to_end_tests::http::{Connection, LEGACY, MODERN, Site, Visitor, modern_call};
use end_to_end_tests::waiting::eventually;
use rustix::process::Signal;
use serde_json::{Value, json};

const ANY: &str = "127.0.0.1:0";

/// Two principals of one server.
const TOKENS: &str = "ann ann-ann-ann-ann-ann\nbob bob-bob-bob-bob-bob\n";

fn serve(world: &World) -> Site {
    let tokens = world.home().join("tokens");
    std::fs::write(&tokens, TOKENS).expect("written");
    Site::start(world, &["--http", ANY, "--token-file", tokens.to_str().expect("UTF-8")])
}

fn bearing(site: &Site, name: &str) -> Visitor {
    site.visitor().saying(&format!("Authorization: Bearer {}", [name; 5].join("-")))
}

#[test]
fn slow_clients_give_their_places_up() {
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY, "--max-connections", "3"]);
    let visitor = site.visitor();
    assert_eq!(visitor.run("true")["exit_code"], 0);
    // One says nothing, one begins a head, and one says line after line of it, for ever.
    let mut silent = visitor.connect();
    let mut halting = visitor.connect();
    write!(halting, "POST {} HTTP/1.1\r\nHost: {}\r\nX-Slow: ", visitor.path(), visitor.host())
        .expect("sent");
    let mut dripping = visitor.connect();
    let drip = std::thread::spawn(move || {
        let _ = write!(dripping, "GET /healthz HTTP/1.1\r\n");
        let mut lines = 0;
        while write!(dripping, "X-{lines}: slow\r\n").is_ok() {
            lines += 1;
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
    });
    // They have all the places; whoever comes next waits until one is given up.
    assert_eq!(visitor.run("true")["exit_code"], 0);
    let mut said = Vec::new();
    assert_eq!(silent.read_to_end(&mut said).unwrap_or_default(), 0, "nothing was asked");
    let _ = halting.read_to_end(&mut said);
    drip.join().expect("it was hung up on");
    assert!(!String::from_utf8_lossy(&said).contains("200"));
}

#[test]
fn a_handle_that_is_anothers_is_told_from_one_that_is_nobodys_by_nobody() {
    let world = World::with_rules("");
    let site = serve(&world);
    let (ann, bob) = (bearing(&site, "ann"), bearing(&site, "bob"));
    let anns = ann.run("seq 100000")["output_id"].as_str().expect("an id").to_owned();
    // The same but for its random end.
    let (own, random) = anns.split_at(anns.len() - 32);
    let guessed = format!("{own}{}", random.chars().rev().collect::<String>());
    assert_ne!(anns, guessed);
    let read = |visitor: &Visitor, id: &str| visitor.call("read_output", &json!({"id": id})).result();
    assert_ne!(read(&ann, &anns)["isError"], json!(true));
    let told = |id: &str| {
        let result = read(&bob, id);
        assert_eq!(result["isError"], json!(true), "{result}");
        result["content"][0]["text"].as_str().expect("text").replace(id, "ID")
    };
    assert_eq!(told(&anns), told(&guessed));
    let session = ann.begin(json!({}));
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let mut foreign = bob.post(LEGACY, Some(&session), &list);
    let mut unknown = bob.post(LEGACY, Some("00000000-0000-4000-8000-000000000000"), &list);
    assert_eq!((foreign.status, foreign.text()), (unknown.status, unknown.text()));
}

#[test]
fn two_servers_share_a_folder_and_every_principals_record_stays_whole() {
    let world = World::with_rules("prefix_rule(pattern=[\"touch\"], decision=\"forbidden\")\n");
    let (one, other) = (serve(&world), serve(&world));
    let run = |site: &Site, name: &'static str| {
        let visitor = bearing(site, name);
        std::thread::spawn(move || {
            for _ in 0..5 {
                let result = visitor.run("echo here; touch x");
                assert!(result["output"].as_str().is_some_and(|text| text.starts_with("here\n")), "{result}");
            }
        })
    };
    for running in [run(&one, "ann"), run(&other, "ann"), run(&one, "bob"), run(&other, "bob")] {
        running.join().expect("served");
    }
    // What they have not written yet is written at their end.
    for mut site in [one, other] {
        site.signal(Signal::TERM);
        assert!(site.end().success());
    }
    let homes = world.codex_home().join("shell-tool-mcp/http/principals");
    let mut seen = 0;
    for home in std::fs::read_dir(homes).expect("principals").flatten() {
        let mut command = world.server(&["audit", "verify"]);
        let verified = command.env("CODEX_HOME", home.path()).output().expect("it runs");
        assert!(verified.status.success(), "{verified:?}");
        seen += 1;
    }
    assert_eq!(seen, 2);
    let denied: usize = records(&world).iter().filter(|record| record["decision"] == "deny").count();
    assert_eq!(denied, 20, "each refusal is on record, once");
}

/// Sends a message, and reads nothing.
fn unheard(visitor: &Visitor, session: Option<&str>, message: &Value) -> Box<dyn Connection> {
    let body = message.to_string();
    let mut head = format!("POST {} HTTP/1.1\r\nHost: {}\r\n", visitor.path(), visitor.host());
    let version = if session.is_some() { LEGACY } else { MODERN };
    head += "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n";
    head += &format!("MCP-Protocol-Version: {version}\r\nContent-Length: {}\r\n", body.len());
    head += &match session {
        Some(session) => format!("Mcp-Session-Id: {session}\r\n"),
        None => "Mcp-Method: tools/call\r\nMcp-Name: shell\r\n".to_owned(),
    };
    visitor.headers().iter().for_each(|header| head += &format!("{header}\r\n"));
    let mut connection = visitor.connect();
    write!(connection, "{head}\r\n{body}").expect("sent");
    connection
}

#[test]
fn who_never_reads_what_was_asked_for_holds_up_nobody_else() {
    /// Calls of each revision at a time.
    const CALLS: usize = 8;
    let world = World::with_rules("");
    let site = serve(&world);
    let (ann, bob) = (bearing(&site, "ann"), bearing(&site, "bob"));
    assert_eq!((&ann.run("true")["exit_code"], &bob.run("true")["exit_code"]), (&json!(0), &json!(0)));
    let session = ann.begin(json!({}));
    let stream = ann.connect();
    // Each answer is longer than what the system takes in between.
    let wave = |wave: usize| {
        let arguments = |number: usize| {
            let command = format!("head -c 1000000 /dev/zero | tr '\\0' x; : > ran-{wave}-{number}");
            json!({"command": command, "login": false, "max_output_tokens": 262_144, "timeout_ms": 300_000})
        };
        let in_session = |number: usize| {
            let params = json!({"name": "shell", "arguments": arguments(number)});
            json!({"jsonrpc": "2.0", "id": wave * 100 + number, "method": "tools/call", "params": params})
        };
        let legacy = (0..CALLS).map(|number| unheard(&ann, Some(&session), &in_session(number)));
        let modern =
            (CALLS..2 * CALLS).map(|number| unheard(&ann, None, &modern_call("shell", &arguments(number))));
        let unread: Vec<Box<dyn Connection>> = legacy.chain(modern).collect();
        let ran = format!("ls | grep -c '^ran-{wave}-'");
        eventually(|| {
            let ran = ann.run(&ran)["output"].as_str().unwrap_or_default().trim().to_owned();
            if ran == (2 * CALLS).to_string() { Ok(()) } else { Err(format!("{ran} have run")) }
        });
        for _ in 0..10 {
            assert_eq!(bob.run("true")["exit_code"], 0);
        }
        let held = Holdings::of(site.id());
        drop(unread);
        held
    };
    let first = wave(0);
    let last = (1..5).fold(first, |_, number| wave(number));
    assert!(last.resident_kib <= first.resident_kib * 3 / 2 + 16 * 1024, "{first:?}, then {last:?}");
    drop(stream);
    eventually(|| {
        let now = Holdings::of(site.id());
        let most = first.descriptors - CALLS;
        if now.descriptors <= most { Ok(()) } else { Err(format!("{first:?}, then {now:?}")) }
    });
}

#[test]
fn what_a_session_begins_with_is_short_because_it_is_kept() {
    let world = World::with_rules("");
    let site = Site::start(&world, &["--http", ANY]);
    let initialize = |members: usize| {
        let members: serde_json::Map<String, Value> =
            (0..members).map(|number| (format!("m{number}"), json!({}))).collect();
        let client = json!({"name": "visitor", "version": "1"});
        let capabilities = json!({"experimental": members});
        let params = json!({"protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": client});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        site.visitor().post(LEGACY, None, &message).status
    };
    assert_eq!((initialize(100), initialize(100_000)), (200, 413));
}

#[test]
fn what_clients_cause_does_not_fill_the_log() {
    /// Lines of one kind in a minute.
    const MOST: usize = 20;
    let world = World::with_rules("");
    let log = world.home().join("log");
    let mut command = world.server(&["serve", "--http", ANY]);
    command.stderr(std::fs::File::create(&log).expect("a log"));
    let site = Site::of(command);
    let visitor = site.visitor();
    assert_eq!(visitor.run("true")["exit_code"], 0);
    // They are gone before they are answered.
    for number in 0..2 * MOST {
        let arguments = json!({"command": format!(": > began-{number}; sleep 1000"), "login": false});
        let gone = unheard(&visitor, None, &modern_call("shell", &arguments));
        let began = world.workdir().join(format!("began-{number}"));
        eventually(|| if began.exists() { Ok(()) } else { Err("it has not begun") });
        drop(gone);
    }
    for _ in 0..5 * MOST {
        assert_eq!(visitor.calling_it("evil.example.com").get(&[]).status, 403);
    }
    let metrics = visitor.at("/metrics");
    eventually(|| {
        let text = metrics.get(&[]).text();
        if text.contains("\nshell_tool_calls_running 0\n") { Ok(()) } else { Err(text) }
    });
    let log = std::fs::read_to_string(log).expect("a log");
    let refused = log.lines().filter(|line| line.contains("a request was refused")).count();
    assert!((1..=MOST).contains(&refused), "{refused} lines");
    assert!(!log.contains("rmcp"), "{log}");
}

/// All that is on record of all principals.
fn records(world: &World) -> Vec<Value> {
    let homes =
        std::fs::read_dir(world.codex_home().join("shell-tool-mcp/http/principals")).expect("principals");
    let logs = homes.flatten().filter_map(|home| find(&home.path(), "decisions.jsonl"));
    let texts = logs.map(|log| std::fs::read_to_string(log).expect("a log"));
    texts
        .flat_map(|text| text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<_>>())
        .collect()
}

fn find(folder: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() {
            find(&path, name)
        } else {
            path.file_name().is_some_and(|own| own == name).then_some(path)
        }
    })
}

#[test]
fn nobody_reads_what_says_who_may_ask() {
    // Where commands of principals read what others have put there.
    let Ok(readable) = tempfile::tempdir_in("/opt") else { return };
    let world = World::with_rules("");
    let tokens = readable.path().join("tokens");
    let link = readable.path().join("link");
    std::fs::write(&tokens, TOKENS).expect("written");
    std::os::unix::fs::symlink("tokens", &link).expect("a link");
    let sessions = readable.path().join("sessions");
    let mut command = world.server(&["serve", "--http", ANY, "--token-file"]);
    command.arg(&link).arg("--session-store").arg(&sessions);
    command
        .env("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer of-the-server")
        .env("OF_SERVER", "of-the-server");
    let site = Site::of(command);
    let ann = bearing(&site, "ann");
    let _ = bearing(&site, "bob").begin(json!({}));
    let folder = readable.path().display();
    let read =
        ann.run(&format!("cat {folder}/tokens; cat < {folder}/link; ls {folder}/sessions/*; env; echo read"));
    let output = read["output"].as_str().expect("text");
    assert!(output.ends_with("read\n") && output.contains("HOME="), "{read}");
    for secret in ["ann-ann", "bob-", "of-the-server"] {
        assert!(!output.contains(secret), "{secret} is in {output}");
    }
}

#[test]
fn nobody_looks_at_names_that_he_cannot_list() {
    let world = World::with_rules("");
    let site = serve(&world);
    let (ann, bob) = (bearing(&site, "ann"), bearing(&site, "bob"));
    assert_eq!(bob.run("echo x > file")["exit_code"], 0);
    let file = find(&world.workdir(), "file").expect("bob's");
    let folders = [file.as_path(), file.parent().expect("a folder"), world.workdir().as_path(), world.home()]
        .map(|path| path.display().to_string());
    let look = folders.iter().map(|path| format!("stat {path}; test -e {path} && echo there; "));
    let looked = ann.run(&format!("{} cd {}; echo looked", look.collect::<String>(), folders[1]));
    let output = looked["output"].as_str().expect("text");
    if !looked["sandbox"].as_str().expect("a level").starts_with("namespaces") {
        // With Landlock alone attributes are everybody's, as is said.
        return;
    }
    assert!(output.ends_with("looked\n"), "{looked}");
    // The folders on the way to his own are there, and nothing else is in them.
    assert_eq!(output.matches("there\n").count(), 2, "{output}");
    let listed = ann.run(&format!("ls -A {}; ls -A {} /home /root /srv", folders[2], folders[3]));
    let listed = listed["output"].as_str().expect("text");
    assert!(!listed.contains("bob") && !listed.contains("codex-home"), "{listed}");
}
