//! The server's standard streams by hand: for what no client library would send, and for when the connection breaks.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::World;
use crate::waiting::{PATIENCE, eventually};

/// A server, its input, and the lines of its output.
#[derive(Debug)]
pub struct Lines {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    next_id: u64,
}

impl Lines {
    /// Starts the server of `world` without a sandbox.
    #[must_use]
    pub fn start(world: &World) -> Lines {
        Lines::start_with(world, &["--sandbox", "danger-full-access"])
    }

    /// Starts the server of `world` with these arguments.
    ///
    /// # Panics
    ///
    /// When the server does not start.
    #[must_use]
    pub fn start_with(world: &World, arguments: &[&str]) -> Lines {
        Lines::start_command(world.server(arguments))
    }

    /// Starts any server that speaks lines.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start_command(mut command: Command) -> Lines {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the server starts");
        let input = child.stdin.take();
        let output = read_lines(child.stdout.take().expect("a pipe"));
        Lines { child, input, output, next_id: 0 }
    }

    /// Says `initialize` as a client of 2025-06-18 without capabilities does, and returns the answer.
    pub fn initialize(&mut self) -> Value {
        self.initialize_as("2025-06-18", &json!({}))
    }

    /// Says `initialize` as a client of this revision that can do this, and returns the answer.
    pub fn initialize_as(&mut self, version: &str, capabilities: &Value) -> Value {
        self.initialize_of("lines", version, capabilities)
    }

    /// Says `initialize` as this client of this revision that can do this, and returns the answer.
    pub fn initialize_of(&mut self, client: &str, version: &str, capabilities: &Value) -> Value {
        let answer = self.request(
            "initialize",
            json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": {"name": client, "version": "1"}}),
        );
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        answer
    }

    /// Sends one line as it is.
    ///
    /// # Panics
    ///
    /// When the server does not read any more.
    pub fn send(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(line.as_bytes()).and_then(|()| input.write_all(b"\n")).expect("the server reads");
    }

    /// Sends a request and returns its id.
    pub fn send_request(&mut self, method: &str, params: Value) -> u64 {
        self.next_id += 1;
        self.send(
            &json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params}).to_string(),
        );
        self.next_id
    }

    /// Sends a request and waits for its answer.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send_request(method, params);
        loop {
            let message = self.receive();
            if message["id"] == json!(id) {
                return message;
            }
        }
    }

    /// Answers a request of the server's.
    pub fn respond(&mut self, id: &Value, result: &Value) {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string());
    }

    /// The next message that is not a notification of progress or the like: a request or an answer.
    pub fn receive_call(&mut self) -> Value {
        loop {
            let message = self.receive();
            if message.get("id").is_some() {
                return message;
            }
        }
    }

    /// The next message of the server.
    pub fn receive(&mut self) -> Value {
        serde_json::from_str(&self.receive_line()).expect("a line of JSON")
    }

    /// The next message of the server, as it was written. Empty lines are passed over, as clients do.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub fn receive_line(&mut self) -> String {
        loop {
            let line = self.output.recv_timeout(PATIENCE).expect("a message of the server");
            if !line.is_empty() {
                return line;
            }
        }
    }

    /// What the server has said besides, to the end of its output.
    #[must_use]
    pub fn rest(&self) -> Vec<String> {
        self.output.iter().collect()
    }

    /// Closes the server's input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the server's end and says how long it took.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn wait(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let status =
            eventually(|| self.child.try_wait().expect("it is our child").ok_or("the server does not end"));
        (status, start.elapsed())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Runs the server to its end and returns its exit code and what it said on standard error.
///
/// # Panics
///
/// When it does not start.
#[must_use]
pub fn run_to_end(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = world
        .server(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut words = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut words).expect("UTF-8");
    (child.wait().expect("it ends").code(), words)
}

/// Runs a subcommand of the server to its end and returns its exit code, its standard output and its standard error.
///
/// # Panics
///
/// When it does not start.
#[must_use]
pub fn run_subcommand(world: &World, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = world.server(arguments).stdin(Stdio::null()).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
