//! What HTTP adds to a call over standard input and output.

use std::io::{BufRead, BufReader, Read, Write};
use std::time::{Duration, Instant};

use end_to_end_tests::World;
use end_to_end_tests::http::{Connection, MODERN, Site, Visitor, modern_call};
use end_to_end_tests::lines::Lines;
use serde_json::json;

use super::report::Report;

const CALLS: usize = 300;

/// What HTTP may add, in milliseconds.
const MOST: f64 = 0.5;

pub(super) fn measure(report: &mut Report) {
    report.part("What HTTP adds to a call of `true`, in turn");
    let world = World::with_rules("").configured("");
    let site = Site::start(&world, &["--http", super::ANY]);
    let visitor = site.visitor();
    let mut kept = Kept::open(&visitor);
    let mut lines = Lines::start_with(&world, &[]);
    lines.initialize();
    let arguments = json!({"command": "true", "login": false});
    let [mut stdio, mut same, mut new] = [const { Vec::new() }; 3];
    for _ in 0..CALLS {
        stdio.push(timed(|| {
            let answer = lines.request("tools/call", json!({"name": "shell", "arguments": arguments}));
            assert_eq!(answer["result"]["structuredContent"]["exit_code"], 0, "{answer}");
        }));
        same.push(timed(|| kept.call(&visitor)));
        new.push(timed(|| assert_eq!(visitor.run("true")["exit_code"], 0)));
    }
    let [stdio, same, new] = [stdio, same, new].map(median);
    report.show("over standard input and output, median", &format!("{stdio:.2} ms"));
    let added = same - stdio;
    report.aims("added on a kept connection", &format!("{added:+.2} ms"), "0.5 ms at most", added <= MOST);
    report.show("added on a new connection", &format!("{:+.2} ms", new - stdio));
}

fn timed(call: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    call();
    begin.elapsed()
}

/// In milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

/// A connection for many requests.
struct Kept(BufReader<Box<dyn Connection>>);

impl Kept {
    fn open(visitor: &Visitor) -> Kept {
        Kept(BufReader::new(visitor.connect()))
    }

    fn call(&mut self, visitor: &Visitor) {
        let body = modern_call("shell", &json!({"command": "true", "login": false})).to_string();
        let (path, host, length) = (visitor.path(), visitor.host(), body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json, text/event-stream\r\n\
             Content-Type: application/json\r\nMCP-Protocol-Version: {MODERN}\r\nMcp-Method: tools/call\r\n\
             Mcp-Name: shell\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes()).expect("it is read");
        let body = self.answer();
        assert!(body.contains("\"exit_code\":0"), "{body}");
    }

    /// Reads one answer whole, so that the next one begins where it ends.
    fn answer(&mut self) -> String {
        let mut length = None;
        assert!(self.line().contains(" 200 "));
        loop {
            let line = self.line().to_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse().ok(),
                Some(_) => {}
            }
        }
        if let Some(length) = length {
            return self.bytes(length);
        }
        let mut body = String::new();
        loop {
            let length = usize::from_str_radix(self.line().trim(), 16).expect("a chunk");
            body.push_str(&self.bytes(length));
            self.line();
            if length == 0 {
                return body;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line
    }

    fn bytes(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).expect("the whole of it");
        String::from_utf8(bytes).expect("UTF-8")
    }
}
