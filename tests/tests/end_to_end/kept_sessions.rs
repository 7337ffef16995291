//! Sessions that outlive their client (`--keep-sessions`), and who finds them again.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;
use end_to_end_tests::waiting::eventually;
use serde_json::{Value, json};

const RULES: &str = "prefix_rule(pattern=[\"touch\"], decision=\"prompt\", run=\"inside\")\n";

/// A token, whose server is ended with it.
struct Token(String);

impl Token {
    fn of(result: &Value) -> Token {
        Token(result["token"].as_str().unwrap_or_else(|| panic!("no token: {result}")).to_owned())
    }

    fn pid(&self) -> String {
        self.0.split('-').next().expect("a number").to_owned()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.pid()).stderr(Stdio::null()).status();
    }
}

fn world() -> World {
    World::with_rules(RULES).configured("")
}

/// A server whose sockets are in a folder of the world's own.
fn start(world: &World, arguments: &[&str]) -> Lines {
    let runtime = world.home().join("runtime");
    std::fs::create_dir_all(&runtime).expect("a folder");
    std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o700)).expect("closed");
    let mut command = world.server(arguments);
    command.env("XDG_RUNTIME_DIR", runtime);
    Lines::start_command(command)
}

fn call(server: &mut Lines, name: &str, arguments: Value) -> Value {
    server.request("tools/call", json!({"name": name, "arguments": arguments}))["result"].clone()
}

fn structured(server: &mut Lines, name: &str, arguments: Value) -> Value {
    let result = call(server, name, arguments);
    assert_ne!(result["isError"], true, "{result}");
    result["structuredContent"].clone()
}

fn problem(server: &mut Lines, name: &str, arguments: Value) -> String {
    let result = call(server, name, arguments);
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().expect("text").to_owned()
}

/// Starts a command that goes on, and leaves.
fn leave(world: &World, cmd: &str) -> (Token, Value) {
    let mut server = start(world, &["--keep-sessions"]);
    server.initialize();
    let arguments = json!({"cmd": cmd, "workdir": world.workdir(), "login": false, "yield_time_ms": 250});
    let going = structured(&mut server, "exec_command", arguments);
    let token = Token::of(&going);
    server.close_input();
    let (status, _) = server.wait();
    assert!(status.success(), "what the client has started ends: {status}");
    (token, going)
}

fn sockets(world: &World) -> Vec<PathBuf> {
    let folder = world.home().join("runtime/shell-tool-mcp");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "kept")).collect()
}

#[test]
fn the_next_client_finds_a_session_by_its_token_and_nobody_without() {
    let world = world();
    let command = "echo begun; until [ -e go ]; do sleep 0.02; done; echo end; exit 7";
    let (token, going) = leave(&world, command);
    let mut next = start(&world, &[]);
    next.initialize();
    let session = &going["session_id"];
    let unknown = problem(&mut next, "write_stdin", json!({"session_id": session}));
    assert!(unknown.contains("no session runs"), "{unknown}");
    let mut wrong = token.0.clone();
    let last = wrong.pop().expect("a digit");
    wrong.push(if last == '0' { '1' } else { '0' });
    for (wrong, why) in [
        (wrong.as_str(), "the token is wrong"),
        ("1-00112233445566778899aabbccddeeff", "no server keeps sessions"),
        ("../../x", "token must be"),
        ("", "token must be"),
    ] {
        let words = problem(&mut next, "background_list", json!({"token": wrong}));
        assert!(words.contains(why), "{wrong}: {words}");
    }
    let listed = structured(&mut next, "background_list", json!({"token": token.0}));
    let one = &listed["sessions"][0];
    assert_eq!((&one["session_id"], &one["state"]), (session, &json!("running")), "{listed}");
    // From now on it is known by its number.
    std::fs::write(world.workdir().join("go"), "").expect("written");
    let ended = structured(&mut next, "write_stdin", json!({"session_id": session, "yield_time_ms": 60_000}));
    assert_eq!((&ended["exit_code"], &ended["output"]), (&json!(7), &json!("end\n")), "{ended}");
    let whole = structured(&mut next, "read_output", json!({"id": going["output_id"]}));
    assert_eq!((&whole["output"], &whole["exit_code"]), (&json!("begun\nend\n"), &json!(7)), "{whole}");
    // Commands of its own run as ever, and its own token is not needed.
    let own = json!({"cmd": "echo own", "workdir": world.workdir(), "login": false});
    assert_eq!(structured(&mut next, "exec_command", own)["output"], "own\n");
}

#[test]
fn a_kept_shell_has_a_token_from_its_first_result_on() {
    let world = world();
    let mut server = start(&world, &["--keep-sessions"]);
    server.initialize();
    let arguments = json!({"command": "x=1", "workdir": world.workdir(), "login": false, "keep": true});
    let first = structured(&mut server, "shell", arguments);
    let token = Token::of(&first);
    let more = json!({"command": "echo $x", "session_id": first["session_id"]});
    let more = structured(&mut server, "shell", more);
    assert_eq!((&more["output"], &more["token"]), (&json!("1\n"), &json!(token.0)), "{more}");
}

#[test]
fn a_client_that_is_killed_leaves_its_sessions_and_one_without_sessions_nothing() {
    let world = world();
    let mut server = start(&world, &["--keep-sessions"]);
    server.initialize();
    let arguments =
        json!({"cmd": "exec sleep 1000", "workdir": world.workdir(), "login": false, "yield_time_ms": 250});
    let token = Token::of(&structured(&mut server, "exec_command", arguments));
    let killed = Command::new("kill").args(["-KILL", &server.pid().to_string()]).status();
    assert!(killed.expect("kill").success());
    let mut next = start(&world, &[]);
    next.initialize();
    let listed = structured(&mut next, "background_list", json!({"token": token.0}));
    assert_eq!(listed["sessions"][0]["state"], "running", "{listed}");
    let id = listed["sessions"][0]["session_id"].to_string();
    let killed = structured(&mut next, "background_kill", json!({"id": id, "token": token.0}));
    assert!(killed["ended"].to_string().contains("sleep 1000"), "{killed}");
    // Told to end, it leaves nothing.
    drop(token);
    eventually(|| if sockets(&world).is_empty() { Ok(()) } else { Err("it listens".to_owned()) });

    let mut server = start(&world, &["--keep-sessions"]);
    server.initialize();
    assert_eq!(sockets(&world).len(), 1);
    server.close_input();
    assert!(server.wait().0.success());
    eventually(|| if sockets(&world).is_empty() { Ok(()) } else { Err("it listens".to_owned()) });
}

/// What is asked between two clients' lives waits for nobody; what is asked then goes to the one that is there.
#[test]
fn the_next_client_is_asked() {
    let world = world();
    let (token, going) =
        leave(&world, "until [ -e go ]; do sleep 0.02; done; touch made; [ -e made ] && echo made");
    let mut next = start(&world, &[]);
    next.initialize_as("2025-06-18", &json!({"elicitation": {}}));
    let session = &going["session_id"];
    let waits = json!({"session_id": session, "token": token.0, "yield_time_ms": 60_000});
    let number = next.send_request("tools/call", json!({"name": "write_stdin", "arguments": waits}));
    std::fs::write(world.workdir().join("go"), "").expect("written");
    let asked = next.receive_call();
    assert_eq!(asked["method"], "elicitation/create", "{asked}");
    assert!(asked["params"]["message"].as_str().is_some_and(|text| text.contains("touch made")), "{asked}");
    next.respond(&asked["id"], &json!({"action": "accept", "content": {}}));
    let answer = loop {
        let message = next.receive();
        if message["id"] == number {
            break message["result"]["structuredContent"].clone();
        }
    };
    assert_eq!((&answer["exit_code"], &answer["output"]), (&json!(0), &json!("made\n")), "{answer}");
}

#[test]
fn strangers_at_the_socket_get_nothing() {
    let world = world();
    let (token, _) = leave(&world, "exec sleep 1000");
    let [socket] = &sockets(&world)[..] else { panic!("one socket") };
    assert_eq!(socket.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    let folder = socket.parent().expect("a folder");
    assert_eq!(folder.metadata().expect("there").permissions().mode() & 0o777, 0o700);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"background_list","arguments":{}}}"#;
    let said = |text: &[u8]| {
        let mut stream = UnixStream::connect(socket).expect("connected");
        let _ = stream.write_all(text);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let endless = vec![b'x'; 1 << 20];
    for hostile in
        [call.as_bytes(), b"\n", b"", b"welcome\n", &endless, &token.0.as_bytes()[..token.0.len() - 1]]
    {
        assert_eq!(said(hostile), "", "{:?}", String::from_utf8_lossy(&hostile[..hostile.len().min(40)]));
    }
    assert!(said(format!("{}\n", token.0).as_bytes()).starts_with("welcome\n"), "the allowed twin");
    // Another user, even where the folder is open, and a command in the sandbox.
    if is_root() {
        for place in [world.home(), &world.home().join("runtime"), folder] {
            std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).expect("opened");
        }
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666)).expect("opened");
        assert_eq!(as_nobody(socket, &token.0), "", "another user was answered");
    }
    let mut next = start(&world, &[]);
    next.initialize();
    let listing = format!("ls {} 2>&1; echo listed", folder.display());
    let arguments = json!({"cmd": listing, "workdir": world.workdir(), "login": false});
    let seen = structured(&mut next, "exec_command", arguments);
    assert!(!seen["output"].as_str().expect("text").contains(".kept"), "{seen}");
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id");
    id.stdout == b"0\n"
}

/// What another user gets who says the token.
fn as_nobody(socket: &Path, token: &str) -> String {
    use std::os::unix::process::CommandExt;
    let script = format!(
        "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un('{}')) or die; syswrite(S, \"{token}\\n\"); shutdown(S, 1); print <S>;",
        socket.display()
    );
    let output = Command::new("perl").args(["-e", &script]).uid(65534).gid(65534).output();
    match output {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        // Without such a program nobody has tried.
        Err(_) => String::new(),
    }
}
