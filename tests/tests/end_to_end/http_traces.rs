//! Spans of calls, as a collector gets them: what is in them and what never is, and a collector that is away.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use end_to_end_tests::World;
use end_to_end_tests::http::{Site, Visitor, modern_call};
use end_to_end_tests::waiting::{PATIENCE, eventually};
use serde_json::{Value, json};

const ANY: &str = "127.0.0.1:0";

/// One program leaves the sandbox by a rule, and a person is asked about another.
const RULES: &str = "prefix_rule(pattern=[\"date\"], decision=\"allow\")\nprefix_rule(pattern=[\"touch\"], decision=\"prompt\")\n";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// What a collector was sent.
struct Sent {
    headers: HashMap<String, String>,
    message: Value,
}

/// A collector: its address, and what it is sent.
fn collect(status: &'static str) -> (String, Receiver<Sent>) {
    let listener = TcpListener::bind(ANY).expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, messages) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
            let mut headers = HashMap::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
                    break;
                }
                let (name, value) = line.split_once(": ").unwrap_or(("request", &line));
                headers.insert(name.to_lowercase(), value.trim().to_owned());
            }
            let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let mut body = String::new();
            let _ = reader.take(length).read_to_string(&mut body);
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
            let _ = stream.write_all(answer.as_bytes());
            let _ = sender.send(Sent { headers, message: serde_json::from_str(&body).expect("JSON") });
        }
    });
    (address, messages)
}

/// A server that sends its spans there.
fn traced(world: &World, collector: &str) -> Site {
    let mut command = world.server(&["serve", "--http", ANY]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret")
        .env("OTEL_SERVICE_NAME", "shell-of-a-test");
    Site::of(command)
}

fn call(visitor: &Visitor, command: &str, trace: &str) -> Value {
    let mut message = modern_call("shell", &json!({"command": command, "login": false}));
    message["params"]["_meta"]["traceparent"] = json!(trace);
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    visitor.post(end_to_end_tests::http::MODERN, None, &message).result()["structuredContent"].clone()
}

/// Waits until a server's metrics have this.
fn counted(visitor: &Visitor, wanted: &str) {
    let metrics = visitor.at("/metrics");
    eventually(|| {
        let text = metrics.get(&[]).text();
        if text.contains(wanted) { Ok(()) } else { Err(text) }
    });
}

fn spans(message: &Value) -> Vec<Value> {
    message["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans").clone()
}

fn attribute<'s>(span: &'s Value, key: &str) -> &'s Value {
    let all = span["attributes"].as_array().expect("attributes");
    let value = all.iter().find(|own| own["key"] == key).map_or(&Value::Null, |own| &own["value"]);
    value.as_object().and_then(|value| value.values().next()).unwrap_or(&Value::Null)
}

fn nanoseconds(span: &Value, key: &str) -> u128 {
    span[key].as_str().expect("a time").parse().expect("a number")
}

fn named<'s>(spans: &'s [Value], name: &str) -> Vec<&'s Value> {
    spans.iter().filter(|span| span["name"] == name).collect()
}

#[test]
fn a_call_its_programs_and_its_questions_are_spans_of_its_senders_trace() {
    let world = World::with_rules(RULES);
    let (collector, messages) = collect("200 OK");
    let site = traced(&world, &collector);
    let visitor = site.visitor();
    let page = visitor.path().replacen("/mcp", "/approve", 1);
    let mut events = visitor.at(&format!("{page}/events")).get(&[]);
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let calling = {
        let (visitor, parent) = (visitor.clone(), parent.clone());
        std::thread::spawn(move || call(&visitor, "date > /dev/null; touch secret-name; exit 3", &parent))
    };
    let asked = loop {
        let event: Value = serde_json::from_str(&events.event().expect("an event").data).unwrap_or_default();
        if event["say"] == "asked" {
            break event;
        }
    };
    let answer = json!({"say": "answer", "id": asked["id"], "choice": "once", "reason": null});
    let json = ["Content-Type: application/json".to_owned()];
    let answers = visitor.at(&format!("{page}/answers"));
    assert_eq!(answers.send("POST", &json, &answer.to_string()).status, 204);
    assert_eq!(calling.join().expect("an answer")["exit_code"], 3);

    let Sent { headers, message } = messages.recv_timeout(PATIENCE).expect("a message");
    assert!(headers["request"].starts_with("POST /v1/traces "), "{headers:?}");
    assert_eq!(
        (&*headers["authorization"], &*headers["content-type"]),
        ("Bearer secret", "application/json")
    );
    let resource = &message["resourceSpans"][0]["resource"];
    assert_eq!(attribute(resource, "service.name"), "shell-of-a-test");
    let spans = spans(&message);
    assert!(spans.iter().all(|span| span["traceId"] == TRACE), "{message}");
    let [call] = named(&spans, "call")[..] else { panic!("{message}") };
    assert_eq!((&call["parentSpanId"], &call["kind"]), (&json!(PARENT), &json!(2)));
    assert_eq!(attribute(call, "shell_tool.exit_code"), "3");
    assert_eq!(attribute(call, "shell_tool.questions"), "1");
    let execs = named(&spans, "exec");
    let of = |decision: &str| {
        execs.iter().filter(|span| attribute(span, "shell_tool.decision") == decision).count()
    };
    assert_eq!(of("escalate"), 2, "{message}");
    assert!(execs.iter().all(|span| span["parentSpanId"] == call["spanId"]));
    let [question] = named(&spans, "question")[..] else { panic!("{message}") };
    assert_eq!(attribute(question, "shell_tool.answer"), "once");
    assert!(execs.iter().any(|span| span["spanId"] == question["parentSpanId"]), "{message}");
    for span in &spans {
        let (begun, ended) = (nanoseconds(span, "startTimeUnixNano"), nanoseconds(span, "endTimeUnixNano"));
        assert!(begun <= ended && ended <= nanoseconds(call, "endTimeUnixNano"), "{span}");
    }
    // Nothing of what ran, or where.
    let text = message.to_string();
    let workdir = world.workdir();
    for word in ["secret-name", "touch", "/usr/bin", workdir.to_str().expect("UTF-8")] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    assert!(world.workdir().join("secret-name").exists());
}

#[test]
fn what_waits_for_its_turn_is_seen_and_who_has_not_sampled_his_trace_gets_none() {
    let world = World::with_rules("").configured("[shell_tool]\nmax_calls = 1\n");
    let (collector, messages) = collect("200 OK");
    let mut site = traced(&world, &collector);
    let visitor = site.visitor();
    let first = {
        let visitor = visitor.clone();
        let command = "while [ ! -e go ]; do sleep 0.05; done";
        std::thread::spawn(move || call(&visitor, command, &format!("00-{TRACE}-{PARENT}-00")))
    };
    counted(&visitor, "shell_tool_calls_running 1");
    let second = {
        let visitor = visitor.clone();
        std::thread::spawn(move || call(&visitor, "true", "not a trace"))
    };
    counted(&visitor, "shell_tool_calls_waiting 1");
    std::fs::write(world.workdir().join("go"), "").expect("written");
    for calling in [first, second] {
        assert_eq!(calling.join().expect("an answer")["exit_code"], 0);
    }
    // What there is goes out before the server does.
    site.signal(rustix::process::Signal::TERM);
    assert!(site.end().success());
    let spans: Vec<Value> = messages.try_iter().flat_map(|sent| spans(&sent.message)).collect();
    let [call] = named(&spans, "call")[..] else { panic!("{spans:?}") };
    assert!(call["traceId"] != TRACE && call["parentSpanId"] == "", "{call}");
    let [queue] = named(&spans, "queue")[..] else { panic!("{spans:?}") };
    assert!(nanoseconds(queue, "endTimeUnixNano") > nanoseconds(queue, "startTimeUnixNano"), "{queue}");
    assert_eq!(queue["parentSpanId"], call["spanId"]);
}

#[test]
fn a_collector_that_is_away_holds_up_nobody_and_what_it_misses_is_counted() {
    let world = World::with_rules("");
    // Nobody accepts there, and nobody refuses.
    let deaf = TcpListener::bind(ANY).expect("a port");
    let (failing, _messages) = collect("503 Busy");
    let waiting = format!("http://{}", deaf.local_addr().expect("an address"));
    let site = traced(&world, &waiting);
    for _ in 0..3 {
        assert_eq!(site.visitor().run("true")["exit_code"], 0);
    }
    let site = traced(&world, &failing);
    assert_eq!(site.visitor().run("true")["exit_code"], 0);
    counted(&site.visitor(), "shell_tool_spans_total{outcome=\"dropped\"} ");
    // Without a collector there is nothing to send.
    let site = Site::start(&world, &["--http", ANY]);
    assert_eq!(site.visitor().run("true")["exit_code"], 0);
    assert!(!site.visitor().at("/metrics").get(&[]).text().contains("shell_tool_spans_total"));
}
