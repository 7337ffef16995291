//! Commands that go on: what `exec_command` costs beside `shell`, how soon a keystroke is on the screen, and how fast a
//! flood passes through a terminal.

use std::cell::RefCell;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use end_to_end_tests::lines::Lines;
use end_to_end_tests::{World, binaries};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use super::{cost, in_turn, median, milliseconds, shell};

/// Keys that are pressed.
const KEYS: usize = 200;

/// What passes through a terminal. It prints no line's end, which a terminal would double.
const FLOOD: &str = "head -c 1000000000 /dev/zero";

pub(super) fn measure() {
    println!("\n{:<58} {:>10} {:>10}  (goal)", "sessions: median of each", "beside", "measured");
    let world = World::with_rules("").configured("");
    let server = RefCell::new(Lines::start_with(&world, &[]));
    server.borrow_mut().initialize();
    let of_shell = || timed(&server, &shell(&world, "true", false));
    let of_exec = || timed(&server, &exec(&world, "true", json!({})));
    let (plain, measured, ratio) = in_turn(200, of_shell, of_exec);
    super::compared("exec_command of `true`, beside shell", plain, measured, ratio, "0.95 to 1.05");

    let session = structured(&server, &exec(&world, "exec cat", json!({"tty": true, "yield_time_ms": 250})));
    let echo = median((0..KEYS).map(|key| keystroke(&server, &session, key)));
    cost("a keystroke, until its echo is read", Duration::ZERO, echo, "2 ms");

    let tty = json!({"tty": true, "yield_time_ms": 30_000, "max_output_tokens": 100});
    let through_ours = || timed(&server, &exec(&world, FLOOD, tty.clone()));
    let (plain, measured, _) = in_turn(3, || through_a_terminal(&world), through_ours);
    let speed = milliseconds(plain) / milliseconds(measured);
    let [plain, measured] = [plain, measured].map(milliseconds);
    println!(
        "{:<58} {plain:>7.0} ms {measured:>7.0} ms  {speed:.2} × as fast (0.5)",
        "1 GB through a terminal"
    );
}

fn exec(world: &World, cmd: &str, more: Value) -> Value {
    let mut arguments =
        json!({"cmd": cmd, "workdir": world.workdir(), "login": false, "yield_time_ms": 30_000});
    let members = arguments.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    json!({"name": "exec_command", "arguments": arguments})
}

fn structured(server: &RefCell<Lines>, call: &Value) -> Value {
    let answer = server.borrow_mut().request("tools/call", call.clone());
    let result = answer["result"]["structuredContent"].clone();
    assert!(result.is_object(), "{answer}");
    result
}

fn timed(server: &RefCell<Lines>, call: &Value) -> Duration {
    let begin = Instant::now();
    let result = structured(server, call);
    let time = begin.elapsed();
    assert_eq!(result["exit_code"], 0, "{result}");
    time
}

/// Somebody waits for what comes; a key is pressed; it is there.
fn keystroke(server: &RefCell<Lines>, session: &Value, already: usize) -> Duration {
    let mut server = server.borrow_mut();
    let wait = json!({"id": session["output_id"], "offset": already, "wait_ms": 10_000});
    let waiting = server.send_request("tools/call", json!({"name": "read_output", "arguments": wait}));
    let write = json!({"session_id": session["session_id"], "chars": "x", "yield_time_ms": 250});
    let begin = Instant::now();
    let writing = server.send_request("tools/call", json!({"name": "write_stdin", "arguments": write}));
    let mut time = None;
    let mut open = vec![waiting, writing];
    while !open.is_empty() {
        let message = server.receive();
        if message["id"] == waiting {
            time = Some(begin.elapsed());
        }
        open.retain(|id| message["id"] != *id);
    }
    time.expect("it was answered")
}

/// Bash in a terminal, and a reader that does nothing with what it reads.
fn through_a_terminal(world: &World) -> Duration {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("a terminal");
    let name = ptsname(&terminal, Vec::new()).expect("a name");
    let theirs: OwnedFd =
        rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its other end");
    let begin = Instant::now();
    let mut bash = Command::new(binaries().join("bash"))
        .args(["-c", FLOOD])
        .current_dir(world.workdir())
        .stdin(Stdio::null())
        .stdout(Stdio::from(theirs))
        .spawn()
        .expect("Bash starts");
    let mut output = std::fs::File::from(terminal);
    let mut buffer = vec![0; 64 << 10];
    // When nobody has the other end any more, reading fails.
    while output.read(&mut buffer).is_ok_and(|read| read > 0) {}
    assert!(bash.wait().expect("it ends").success());
    begin.elapsed()
}
