//! What a command tries so as to answer its own question: the socket on which `exec-server approve` reaches the server
//! (BYPASSES 48, 50, 60), by its path, by ways around it, and by the shipped program itself.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use end_to_end_tests::waiting::{PATIENCE, written};
use end_to_end_tests::word;
use serde_json::{Value, json};

use crate::place::{EVERY, Form, Place, User};

const RULES: &str = "prefix_rule([\"mkdir\"], decision=\"prompt\")\n";

/// `exec-server approve --json`.
struct View {
    program: Child,
    answers: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl View {
    fn start(mut command: Command) -> View {
        let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let (sender, lines) = channel();
        let output = BufReader::new(program.stdout.take().expect("a pipe"));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect("a line of JSON"));
            }
        });
        View { answers: program.stdin.take(), program, lines }
    }

    /// The next line, which is of this event.
    fn hear(&self, event: &str) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("a line");
        assert_eq!(line["event"], event, "{line}");
        line
    }

    fn answer(&mut self, question: &Value, decision: &str) {
        let answer = json!({"question": question["question"], "decision": decision});
        writeln!(self.answers.as_mut().expect("open"), "{answer}").expect("said");
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// The program that shows questions, as the user, outside of every sandbox.
fn view(place: &Place) -> Command {
    let mut command = place.command(&place.server_program());
    command.args(["approve", "--json"]);
    command
}

/// The server's socket.
fn socket(place: &Place) -> PathBuf {
    let folder = place.world.home().join("runtime/shell-tool-mcp");
    let mut entries = std::fs::read_dir(folder).expect("a folder");
    entries.next().expect("a socket").expect("a name").path()
}

/// What each way to the socket comes to: `ok`, or the kernel's error. With Landlock alone the host's processes are seen, of which
/// there may be many; a line then stands for all that come to the same.
fn ways(helper: &Path, socket: &Path) -> String {
    let (helper, path) = (word(helper), word(socket));
    let name = socket.file_name().expect("a name").display();
    format!(
        "echo \"$({helper} connect {path}) path\"
         for way in /proc/[0-9]*/root{path} /proc/[0-9]*/cwd/../runtime/shell-tool-mcp/{name} /proc/[0-9]*/fd/*; do
             echo \"$({helper} connect \"$way\") process\"
         done | sort -u
         ln -s {path} link.sock; echo \"$({helper} connect link.sock) link\"
         for name in {path} {name}; do echo \"$({helper} connect-abstract \"$name\") abstract\"; done\n"
    )
}

#[test]
fn a_command_cannot_reach_the_socket_that_answers_come_by() {
    for (user, form) in EVERY {
        let Some(place) = Place::of(user, form, RULES) else { continue };
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            continue;
        }
        let socket = socket(&place);
        // The twin: outside, the same user reaches it by the same program and the same path.
        let mut outside = place.command(&place.helper());
        let twin = outside.arg("connect").arg(&socket).output().expect("it starts");
        assert_eq!(twin.stdout, b"ok\n", "{user:?}, {form:?}");

        let result = attacked.run(&ways(&place.helper(), &socket)).expect("a result");
        let output = result["output"].as_str().unwrap_or_default();
        assert!(output.lines().count() > 4, "{output}");
        // What is not there, what is no such socket, and what seccomp refuses (where a path could be found).
        let refused = ["ENOENT ", "EACCES ", "ECONNREFUSED ", "EPERM "];
        for line in output.lines() {
            assert!(refused.iter().any(|error| line.starts_with(error)), "{user:?}, {form:?}: {line}");
        }
        // With Landlock alone by it (since ABI 9), or by seccomp.
        let by_path = output.lines().next().unwrap_or_default();
        let errors = if form == Form::Namespaces { ["ENOENT ", "EACCES "] } else { ["EACCES ", "EPERM "] };
        assert!(errors.iter().any(|error| by_path.starts_with(error)), "{form:?}: {by_path}");
    }
}

#[test]
fn a_command_that_runs_the_view_itself_sees_and_answers_nothing() {
    for (user, form) in EVERY {
        let Some(place) = Place::of(user, form, RULES) else { continue };
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            continue;
        }
        let mut outside = View::start(view(&place));
        outside.hear("server");
        let made = place.outside.join("made");
        let program = place.server_program();
        let (home, codex_home) = (word(place.world.home()), word(&place.codex_home()));
        // The view inside is told where the servers are, and it answers all that there could be. Each round waits for what
        // becomes of the one before; meanwhile the view looks for servers again and again.
        let forge = format!(
            "> seen; {{ until [ -e go ]; do sleep 0.02; done
                for round in {{1..5}}; do
                    for id in {{0..20}}; do echo '{{\"question\":\"0:q'$id'\",\"decision\":\"once\"}}'; done
                    until [ \"$(grep -c 'no question' seen)\" -ge $((21 * round)) ]; do sleep 0.1; done
                done; }} |
             XDG_RUNTIME_DIR={home}/runtime CODEX_HOME={} {} approve --json >> seen; echo > done",
            codex_home,
            word(&program)
        );
        for (attack, decision) in
            [("until [ -e go ]; do sleep 0.02; done; echo > done", "once"), (&forge, "deny")]
        {
            let command = format!("mkdir {} & {attack}; wait $!", word(&made));
            let arguments = json!({"command": command, "workdir": place.world.workdir(), "login": false});
            let id =
                attacked.server.send_request("tools/call", json!({"name": "shell", "arguments": arguments}));
            let question = outside.hear("question");
            std::fs::write(place.world.workdir().join("go"), "").expect("a file");
            assert_eq!(written(&place.world.workdir().join("done")), "");
            assert!(!made.exists(), "{user:?}, {form:?}: the command has answered itself");
            // It is still open, for whoever may answer.
            outside.answer(&question, decision);
            outside.hear("closed");
            let answer = attacked.server.receive_call();
            assert_eq!(answer["id"], json!(id), "{answer}");
            assert_eq!(std::fs::remove_dir(&made).is_ok(), decision == "once", "{answer}");
            for file in ["go", "done"] {
                std::fs::remove_file(place.world.workdir().join(file)).expect("it is there");
            }
        }
        let seen = std::fs::read_to_string(place.world.workdir().join("seen")).expect("what the view wrote");
        assert!(seen.contains("no question") && !seen.contains("\"message\""), "{user:?}, {form:?}: {seen}");
        assert!(!seen.contains("\"event\":\"server\""), "{user:?}, {form:?}: {seen}");
    }
}

/// Should a sandbox let its processes reach the socket: the server knows them by what they cannot take off.
#[test]
fn whoever_is_more_confined_than_the_server_or_another_user_is_refused_by_it() {
    for user in [User::Root, User::Ordinary] {
        let Some(place) = Place::of(user, Form::Landlock, RULES) else { continue };
        let _attacked = place.start(&[]);
        View::start(view(&place)).hear("server");
        let mut confined = place.command(Path::new("/usr/bin/setpriv"));
        confined.args(["--no-new-privs", "--"]).arg(place.server_program()).args(["approve", "--json"]);
        let problem = View::start(confined).hear("error")["problem"].to_string();
        assert!(problem.contains("refused: the other end runs in a sandbox"), "{problem}");
        if place.owner().is_some() {
            // Root may open the folder, and the server does not speak to it, nor it to the server.
            let mut root = Command::new(place.server_program());
            place.world.surround(&mut root);
            root.args(["approve", "--json"]);
            let problem = View::start(root).hear("error")["problem"].to_string();
            assert!(problem.contains("belongs to another user"), "{problem}");
        }
    }
}
