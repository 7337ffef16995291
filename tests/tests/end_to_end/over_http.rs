//! Our server behind a transport that several clients share: the fixture of the conformance suite (`make conformance`
//! runs the suite itself).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use end_to_end_tests::waiting::PATIENCE;
use end_to_end_tests::{World, binaries};

struct Fixture {
    process: Child,
    authority: String,
    path: String,
}

impl Fixture {
    /// Cargo builds it together with the tests of the whole workspace, beside them.
    fn start(world: &World) -> Fixture {
        let test = std::env::current_exe().expect("a path");
        let built: PathBuf = test.parent().and_then(|deps| deps.parent()).expect("a folder").into();
        let mut command = Command::new(built.join("examples/conformance-server"));
        world.surround(&mut command);
        command.arg(binaries()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("`cargo build --examples` makes it");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("an address");
        let address = line.trim().strip_prefix("http://").expect("an address");
        let (authority, path) = address.split_once('/').expect("a path");
        Fixture { authority: authority.into(), path: format!("/{path}"), process }
    }

    /// The whole answer to a request with these headers.
    fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.authority).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let accept = "Accept: application/json, text/event-stream\r\nContent-Type: application/json";
        let head = format!("POST {path} HTTP/1.1\r\n{headers}\r\n{accept}\r\nConnection: close");
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn initialize(&self, path: &str, headers: &str) -> String {
        let params =
            r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}"#;
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#);
        self.post(path, headers, &body)
    }

    /// Calls a tool as a client of 2026-07-28 does.
    fn call(&self, name: &str, capabilities: &str) -> String {
        let meta = format!(
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{capabilities}"#
        );
        let params = format!(r#"{{"name":"{name}","arguments":{{}},"_meta":{{{meta}}}}}"#);
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let headers = format!(
            "Host: {}\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {name}",
            self.authority
        );
        self.post(&self.path, &headers, &body)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn each_client_begins_for_itself_and_strangers_are_kept_out() {
    let world = World::with_rules("");
    let fixture = Fixture::start(&world);
    let (host, path) = (format!("Host: {}", fixture.authority), fixture.path.clone());
    for client in ["first", "second"] {
        let answer = fixture.initialize(&path, &host);
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("shell-tool-mcp"),
            "{client}: {answer}"
        );
    }
    // A page that a browser shows, a name that leads here, and whoever guesses.
    let origin = format!("{host}\r\nOrigin: http://evil.example.com");
    for (path, headers, status) in
        [(&*path, &*origin, 403), (&*path, "Host: evil.example.com", 403), ("/guess", &*host, 404)]
    {
        let answer = fixture.initialize(path, headers);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {answer}");
    }
}

#[test]
fn the_suites_tools_are_commands_of_our_shell_and_all_ends_with_its_starter() {
    let world = World::with_rules("");
    let mut fixture = Fixture::start(&world);
    let answer = fixture.call("test_simple_text", "{}");
    assert!(answer.contains("simple text response") && answer.contains("\"exit_code\":0"), "{answer}");
    let answer = fixture.call("test_error_handling", "{}");
    assert!(answer.contains("\"isError\":true") && answer.contains("command"), "{answer}");
    let answer = fixture.call("test_streaming_elicitation", r#"{"elicitation":{}}"#);
    assert!(answer.contains("input_required") && answer.contains("Allow agent to run"), "{answer}");
    drop(fixture.process.stdin.take());
    assert!(fixture.process.wait().expect("it ends").success());
}
