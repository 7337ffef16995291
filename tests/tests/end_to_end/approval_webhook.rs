//! Asking a server of the user's: what is posted to it, which of its answers count, and what becomes of the others.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;
use end_to_end_tests::waiting::PATIENCE;
use ring::hmac;
use serde_json::{Value, json};

use super::protocol::{output, shell};

const RULES: &str = "prefix_rule(pattern=[\"touch\"], decision=\"prompt\", justification=\"makes files\")\n";
const SECRET: [u8; 32] = [7; 32];

/// What was posted.
struct Posted {
    headers: Vec<(String, String)>,
    body: String,
}

impl Posted {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }

    fn question(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

fn sign(secret: &[u8], id: &str, timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// An answer with these signed headers.
fn respond(id: &str, timestamp: &str, signature: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nwebhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n\r\n{body}",
        body.len()
    )
}

/// An answer as it should be.
fn signed(posted: &Posted, body: &str) -> String {
    let (id, timestamp) = (posted.header("webhook-id"), now().to_string());
    respond(id, &timestamp, &sign(&SECRET, id, &timestamp, body), body)
}

/// A server that questions are posted to, and what was.
struct Receiving {
    url: String,
    posted: Receiver<Posted>,
    /// Connections that were not answered, and have ended.
    left: Receiver<()>,
}

/// Answers each question so. Without an answer the connection stays open until its other end is gone.
fn receive(answer: impl Fn(&Posted) -> Option<String> + Send + 'static) -> Receiving {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/ask", listener.local_addr().expect("an address"));
    let (sender, posted) = channel();
    let (leaving, left) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let posted = read(&stream);
            let said = answer(&posted);
            let _ = sender.send(posted);
            match said {
                // Who is not heard out has left.
                Some(said) => drop(stream.write_all(said.as_bytes())),
                None => {
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                    let _ = leaving.send(());
                }
            }
        }
    });
    Receiving { url, posted, left }
}

fn read(stream: &TcpStream) -> Posted {
    let mut reader = BufReader::new(stream);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or(("request", &line));
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut posted = Posted { headers, body: String::new() };
    let length = posted.header("content-length").parse().expect("a length");
    reader.take(length).read_to_string(&mut posted.body).expect("a body");
    posted
}

fn key(world: &World) -> PathBuf {
    let path = world.home().join("webhook-key");
    std::fs::write(&path, format!("whsec_{}\n", STANDARD.encode(SECRET))).expect("written");
    path
}

/// A server whose client cannot ask anybody, and which asks this address.
fn asking(world: &World, url: &str, more: &[&str]) -> Lines {
    let key = key(world);
    let webhook = ["--approval-webhook", url, "--approval-webhook-key", key.to_str().expect("UTF-8")];
    let mut server = Lines::start_with(world, &[&webhook, more].concat());
    server.initialize();
    server
}

const OPEN: [&str; 2] = ["--sandbox", "danger-full-access"];

#[test]
fn a_signed_answer_counts_and_the_question_is_signed_too() {
    let world = World::with_rules(RULES);
    let receiving = receive(|posted| {
        let yes = posted.body.contains("touch yes");
        Some(signed(
            posted,
            if yes { r#"{"decision":"once"}"# } else { r#"{"decision":"deny","reason":"by rote"}"# },
        ))
    });
    let mut server = asking(&world, &receiving.url, &OPEN);
    let answer = server.request("tools/call", shell(&world, "touch no; touch yes; ls"));
    assert_eq!(output(&answer), "Execution denied: User declined execution: by rote\nyes\n");
    let (first, second) =
        (receiving.posted.recv().expect("a question"), receiving.posted.recv().expect("another"));
    assert!(first.header("request").starts_with("POST /ask "), "{}", first.header("request"));
    for posted in [&first, &second] {
        let (id, timestamp) = (posted.header("webhook-id"), posted.header("webhook-timestamp"));
        assert_eq!(posted.header("webhook-signature"), sign(&SECRET, id, timestamp, &posted.body));
        assert!(now().abs_diff(timestamp.parse().expect("seconds")) < 60, "{timestamp}");
        assert!(id.len() >= 32 && posted.header("content-type") == "application/json");
    }
    assert_ne!(first.header("webhook-id"), second.header("webhook-id"));
    let question = first.question();
    assert_eq!(question["type"], "approval.asked");
    assert_eq!(question["data"]["arguments"], json!(["no"]), "{question}");
    assert_eq!(question["data"]["rule"]["line"], 1);
}

#[test]
fn an_answer_that_is_not_as_it_should_be_has_not_said_yes() {
    type Answer = fn(&Posted) -> String;
    const YES: &str = r#"{"decision":"once"}"#;
    let cases: [(Answer, &str); 13] = [
        (|posted| signed(posted, "once"), "answered no decision as JSON"),
        (|posted| signed(posted, r#"{"decision":"yes"}"#), "answered a decision that there is not"),
        (|_| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{YES}", YES.len()), "not signed"),
        (|posted| signed(posted, r#"{"decision":"deny"}"#).replace("deny", "once"), "not signed"),
        (
            |posted| {
                let (id, timestamp) = (posted.header("webhook-id"), posted.header("webhook-timestamp"));
                respond(id, timestamp, &sign(&[8; 32], id, timestamp, YES), YES)
            },
            "not signed",
        ),
        (
            |posted| {
                let (id, timestamp) = (posted.header("webhook-id"), (now() - 3600).to_string());
                respond(id, &timestamp, &sign(&SECRET, id, &timestamp, YES), YES)
            },
            "not signed",
        ),
        (
            |posted| {
                let timestamp = posted.header("webhook-timestamp");
                respond("msg_other", timestamp, &sign(&SECRET, "msg_other", timestamp, YES), YES)
            },
            "not signed",
        ),
        // The question and its own signature.
        (
            |posted| {
                let header = |name| posted.header(name);
                respond(
                    header("webhook-id"),
                    header("webhook-timestamp"),
                    header("webhook-signature"),
                    &posted.body,
                )
            },
            "answered no decision as JSON",
        ),
        (|posted| signed(posted, YES).replace("200 OK", "500 Broken"), "answered 500"),
        (
            |posted| {
                let location = format!("Location: http://{}/elsewhere\r\n", posted.header("host"));
                signed(posted, YES).replace("200 OK\r\n", &format!("307 Elsewhere\r\n{location}"))
            },
            "answered 307",
        ),
        (|posted| signed(posted, &format!("{YES}{}", " ".repeat(70_000))), "did not answer"),
        (|_| "garbage\r\n\r\n".to_owned(), "did not answer"),
        (|posted| signed(posted, YES).replacen("Content-Length: ", "Content-Length: 9", 1), "did not answer"),
    ];
    for (number, (answer, says)) in cases.into_iter().enumerate() {
        let world = World::with_rules(RULES);
        let receiving = receive(move |posted| Some(answer(posted)));
        let mut server = asking(&world, &receiving.url, &OPEN);
        let answer = server.request("tools/call", shell(&world, "touch a"));
        assert!(output(&answer).contains(says), "{number}, {says}: {answer}");
        assert!(!world.workdir().join("a").exists(), "{number}");
        assert!(receiving.posted.recv_timeout(PATIENCE).is_ok());
        assert!(receiving.posted.try_recv().is_err(), "{number}: it was asked once, and led nowhere");
    }
}

#[test]
fn who_does_not_answer_is_waited_for_no_longer_than_the_question_is_open() {
    let world = World::with_rules(RULES);
    let receiving = receive(|_| None);
    let mut server = asking(&world, &receiving.url, &OPEN);
    let mut call =
        shell(&world, "touch a & while [ ! -e asked ]; do sleep 0.05; done; kill -9 $!; echo over");
    call["arguments"]["timeout_ms"] = json!(60_000);
    let id = server.send_request("tools/call", call);
    assert!(receiving.posted.recv_timeout(PATIENCE).is_ok());
    std::fs::write(world.workdir().join("asked"), "").expect("written");
    let answer = server.receive_call();
    assert_eq!((answer["id"].as_u64(), output(&answer)), (Some(id), "over\n"), "{answer}");
    assert!(receiving.left.recv_timeout(PATIENCE).is_ok(), "the connection has ended");
    let mut hasty = asking(&world, &receiving.url, &[&OPEN[..], &["--approval-timeout", "0.3"]].concat());
    let answer = hasty.request("tools/call", shell(&world, "touch b"));
    assert!(output(&answer).contains("nobody answered within"), "{answer}");
}

#[test]
fn others_are_asked_before_and_after_it() {
    let world = World::with_rules(RULES);
    let receiving = receive(|posted| Some(signed(posted, r#"{"decision":"once"}"#)));
    // What a program has decided is not asked about again.
    let no = world.program("no", "echo '{\"decision\": \"deny\"}'");
    let passes = world.program("passes", "exit 1");
    for (program, decided, asked) in [(&no, false, 0), (&passes, true, 1)] {
        let command = ["--approval-command", program.to_str().expect("UTF-8")];
        let mut server = asking(&world, &receiving.url, &[&OPEN[..], &command].concat());
        let answer = server.request("tools/call", shell(&world, "touch a"));
        assert_eq!(world.workdir().join("a").exists(), decided, "{answer}");
        assert_eq!(receiving.posted.try_iter().count(), asked, "{answer}");
    }
    // The other way round, what the webhook cannot say is asked elsewhere.
    let broken = receive(|_| Some("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_owned()));
    let yes = world.program("yes", "echo '{\"decision\": \"once\"}'");
    let order = ["--approvals", "webhook,command", "--approval-command", yes.to_str().expect("UTF-8")];
    let mut server = asking(&world, &broken.url, &[&OPEN[..], &order].concat());
    let answer = server.request("tools/call", shell(&world, "touch b"));
    assert!(world.workdir().join("b").exists(), "{answer}");
    assert_eq!(broken.posted.try_iter().count(), 1);
}

#[test]
fn it_is_asked_by_a_safe_way_only_and_its_key_is_nobody_elses() {
    let world = World::with_rules(RULES);
    let path = key(&world);
    let path = path.to_str().expect("UTF-8");
    let short = world.home().join("short");
    std::fs::write(&short, "whsec_c2hvcnQ=").expect("written");
    let named = |url: &'static str| ["--approval-webhook", url, "--approval-webhook-key", path];
    for (arguments, words) in [
        (&named("http://hook.example.com/ask")[..], "an https address"),
        (&named("http://127.0.0.1@hook.example.com/ask"), "an https address"),
        (&named("ftp://127.0.0.1/ask"), "an https address"),
        (&["--approval-webhook", "https://hook.example.com/"], "--approval-webhook-key"),
        (
            &[
                "--approval-webhook",
                "https://h.example.com/",
                "--approval-webhook-key",
                short.to_str().expect("UTF-8"),
            ],
            "whsec_",
        ),
        (&["--approvals", "webhook"], "no --approval-webhook"),
        (
            &[&named("https://hook.example.com/")[..], &["--approvals", "client"]].concat(),
            "does not name webhook",
        ),
    ] {
        let (code, said) = end_to_end_tests::lines::run_to_end(&world, arguments);
        assert_ne!(code, Some(0), "{arguments:?}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn no_command_in_the_sandbox_reads_the_key() {
    let world = World::with_rules("").configured("");
    let path = key(&world);
    let beside = path.with_file_name("beside");
    std::fs::write(&beside, "beside").expect("written");
    let mut server = asking(&world, "http://127.0.0.1:9/", &[]);
    let read = format!("cat '{}'; cat '{}'", beside.display(), path.display());
    let answer = server.request("tools/call", shell(&world, &read));
    assert!(output(&answer).starts_with("beside"), "{answer}");
    assert!(!output(&answer).contains("whsec_"), "{answer}");
}
