//! A server behind HTTP, and clients of it that say exactly what a test has them say.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::World;
use crate::waiting::PATIENCE;

/// The revision without sessions.
pub const MODERN: &str = "2026-07-28";

/// The last one with sessions.
pub const LEGACY: &str = "2025-11-25";

/// A server behind HTTP.
#[derive(Debug)]
pub struct Site {
    process: Child,
    _output: BufReader<ChildStdout>,
    /// What it has printed.
    pub address: String,
}

/// Where a server listens, and what clients of it say besides.
#[derive(Clone, Debug)]
pub struct Visitor {
    socket: Socket,
    host: String,
    path: String,
    headers: Vec<String>,
}

#[derive(Clone, Debug)]
enum Socket {
    Tcp(String),
    Unix(PathBuf),
}

/// What came back.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers by their names in lower case.
    pub headers: HashMap<String, String>,
    body: Box<dyn BufRead>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {:?}", self.status, self.headers)
    }
}

/// An event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// By which it can be gone on from.
    pub id: String,
    /// The message.
    pub data: String,
}

impl Site {
    /// Starts one with these arguments after `serve`.
    ///
    /// # Panics
    ///
    /// When it does not begin.
    #[must_use]
    pub fn start(world: &World, arguments: &[&str]) -> Site {
        let mut command = world.server(&["serve"]);
        command.args(arguments);
        Site::of(command)
    }

    /// Starts one by this command.
    ///
    /// # Panics
    ///
    /// When it does not begin.
    #[must_use]
    pub fn of(mut command: Command) -> Site {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("a server");
        let mut output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut address = String::new();
        output.read_line(&mut address).expect("an address");
        assert!(!address.is_empty(), "it ended instead: {:?}", process.wait());
        Site { process, _output: output, address: address.trim().to_owned() }
    }

    /// Somebody who knows the address.
    ///
    /// # Panics
    ///
    /// When the address is none.
    #[must_use]
    pub fn visitor(&self) -> Visitor {
        Visitor::of(&self.address)
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(id.expect("a process"), signal).expect("it lives");
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When that cannot be waited for.
    pub fn end(&mut self) -> std::process::ExitStatus {
        self.process.wait().expect("it ends")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Visitor {
    /// Somebody who knows this address.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    pub fn of(address: &str) -> Visitor {
        let (socket, host, path) = if let Some(unix) = address.strip_prefix("unix:") {
            let (socket, path) = unix.rsplit_once(':').expect("a path");
            (Socket::Unix(socket.into()), "localhost".to_owned(), path.to_owned())
        } else {
            let url = address.strip_prefix("http://").expect("an address");
            let (authority, path) = url.split_once('/').expect("a path");
            (Socket::Tcp(authority.into()), authority.to_owned(), format!("/{path}"))
        };
        Visitor { socket, host, path, headers: Vec::new() }
    }

    /// The same, who asks for another path.
    #[must_use]
    pub fn at(&self, path: &str) -> Visitor {
        Visitor { path: path.to_owned(), ..self.clone() }
    }

    /// The same, who calls the server by another name.
    #[must_use]
    pub fn calling_it(&self, host: &str) -> Visitor {
        Visitor { host: host.to_owned(), ..self.clone() }
    }

    /// The same, who says this besides.
    #[must_use]
    pub fn saying(&self, header: &str) -> Visitor {
        let mut visitor = self.clone();
        visitor.headers.push(header.to_owned());
        visitor
    }

    /// The path that it asks for.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What it calls the server.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it says besides.
    #[must_use]
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// Connects, and says nothing.
    ///
    /// # Panics
    ///
    /// When nobody listens.
    #[must_use]
    pub fn connect(&self) -> Box<dyn Connection> {
        match &self.socket {
            Socket::Tcp(authority) => {
                let stream = TcpStream::connect(authority).expect("it listens");
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                Box::new(stream)
            }
            Socket::Unix(path) => {
                let stream = UnixStream::connect(path).expect("it listens");
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                Box::new(stream)
            }
        }
    }

    /// Sends one request, and reads the head of the answer.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn send(&self, method: &str, headers: &[String], body: &str) -> Answer {
        let mut stream = self.connect();
        let own: String = self.headers.iter().chain(headers).map(|header| format!("{header}\r\n")).collect();
        let host = if self.host.is_empty() { String::new() } else { format!("Host: {}\r\n", self.host) };
        let length = body.len();
        let head = format!("{method} {} HTTP/1.1\r\n{host}{own}Connection: close", self.path);
        // Who is refused early does not hear all.
        let _ = write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}");
        Answer::read(stream)
    }

    /// Asks for something.
    #[must_use]
    pub fn get(&self, headers: &[String]) -> Answer {
        self.send("GET", headers, "")
    }

    /// Sends a message, with the headers that clients of its revision send.
    #[must_use]
    pub fn post(&self, version: &str, session: Option<&str>, message: &Value) -> Answer {
        let mut headers = vec![
            "Accept: application/json, text/event-stream".to_owned(),
            "Content-Type: application/json".to_owned(),
            format!("MCP-Protocol-Version: {version}"),
        ];
        headers.extend(session.map(|session| format!("Mcp-Session-Id: {session}")));
        if version == MODERN {
            headers.extend(message["method"].as_str().map(|method| format!("Mcp-Method: {method}")));
            headers.extend(message["params"]["name"].as_str().map(|name| format!("Mcp-Name: {name}")));
        }
        self.send("POST", &headers, &message.to_string())
    }

    /// Begins a session, and returns its id.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn begin(&self, capabilities: Value) -> String {
        let client = json!({"name": "visitor", "version": "1"});
        let params = json!({"protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": client});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let mut answer = self.post(LEGACY, None, &message);
        assert!(answer.status == 200, "{}", answer.text());
        let session = answer.headers.get("mcp-session-id").expect("a session").clone();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(self.post(LEGACY, Some(&session), &initialized).status, 202);
        session
    }

    /// Calls a tool in a session.
    #[must_use]
    pub fn call_in(&self, session: &str, id: u32, tool: &str, arguments: &Value) -> Answer {
        let params = json!({"name": tool, "arguments": arguments});
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        self.post(LEGACY, Some(session), &message)
    }

    /// Calls a tool as clients without sessions do, which can show forms.
    #[must_use]
    pub fn call(&self, tool: &str, arguments: &Value) -> Answer {
        self.post(MODERN, None, &modern_call(tool, arguments))
    }

    /// Runs a command as [`call`](Self::call) does, and returns what the tool returned.
    ///
    /// # Panics
    ///
    /// When there is no result.
    #[must_use]
    pub fn run(&self, command: &str) -> Value {
        let mut answer = self.call("shell", &json!({"command": command, "login": false}));
        assert!(answer.status == 200, "{}", answer.text());
        answer.result()["structuredContent"].clone()
    }
}

/// The message of a call without a session.
#[must_use]
pub fn modern_call(tool: &str, arguments: &Value) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
        "io.modelcontextprotocol/clientInfo": {"name": "visitor", "version": "1"}
    });
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
}

/// A connection of any kind.
pub trait Connection: Read + Write + Send {}

impl<C: Read + Write + Send> Connection for C {}

impl Answer {
    /// Reads the head.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    pub fn read(stream: Box<dyn Connection>) -> Answer {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("a status line");
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {line:?}"));
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a header");
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
        let body: Box<dyn BufRead> =
            if chunked { Box::new(BufReader::new(Chunks { reader, left: 0 })) } else { Box::new(reader) };
        Answer { status, headers, body }
    }

    /// The whole body.
    pub fn text(&mut self) -> String {
        let mut text = Vec::new();
        let _ = self.body.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The next event of a stream; `None` at its end.
    pub fn event(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            if self.body.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end().split_once(':') {
                Some(("id", id)) => event.id = id.trim().to_owned(),
                Some(("data", data)) => event.data = data.trim().to_owned(),
                Some(_) => {}
                None if event != Event::default() => return Some(event),
                None => {}
            }
        }
    }

    /// The next message, whether it comes alone or in a stream.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub fn message(&mut self) -> Value {
        if self.headers.get("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
            return serde_json::from_str(&self.text()).expect("a message");
        }
        loop {
            let event = self.event().expect("a message");
            if !event.data.is_empty() {
                return serde_json::from_str(&event.data).expect("a message");
            }
        }
    }

    /// The result, after whatever comes before it.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub fn result(&mut self) -> Value {
        loop {
            let message = self.message();
            if message.get("method").is_none() {
                assert!(message.get("error").is_none(), "{message}");
                return message["result"].clone();
            }
        }
    }
}

/// A body in chunks.
struct Chunks<R> {
    reader: R,
    left: usize,
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let mut line = String::new();
            while line.trim().is_empty() {
                line.clear();
                if self.reader.read_line(&mut line)? == 0 {
                    return Ok(0);
                }
            }
            self.left = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = buffer.len().min(self.left);
        let read = self.reader.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left -= read;
        Ok(read)
    }
}
