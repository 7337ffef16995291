//! Ports of commands that are reachable at this machine's loopback.

#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Answer, Client, Person};
use end_to_end_tests::machine::is_installed;
use serde_json::{Value, json};

use super::sessions::exec;

/// A port that nobody has.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("bound").port()
}

fn server(port: u16, address: &str) -> String {
    format!(
        "echo said > page.txt; exec /usr/bin/python3 -u -c '
import http.server, socket
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if \":\" in \"{address}\" else socket.AF_INET
print(\"begun\")
Server((\"{address}\", {port}), http.server.SimpleHTTPRequestHandler).serve_forever()'"
    )
}

/// Asks for a page, as a browser does.
fn page(port: u16) -> Result<String, std::io::Error> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET /page.txt HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The addresses of this machine where somebody listens at a port (proc(5), `/proc/net/tcp`: the state 0A), as the kernel writes them.
fn listened_at(port: u16) -> Vec<String> {
    let tables = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/net/{table}")));
    let lines: String = tables.into_iter().flatten().collect();
    let here = lines.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (address, at) = fields.next()?.split_once(':')?;
        (at == format!("{port:04X}") && fields.nth(1) == Some("0A")).then(|| address.to_owned())
    });
    here.collect()
}

/// What a session says of published ports, once it does.
async fn told(client: &Client, session: &Value, going: &Value) -> String {
    let mut notes = going["notes"].to_string();
    for _ in 0..60 {
        if notes.contains("http://") {
            break;
        }
        let poll = json!({"session_id": session, "yield_time_ms": 250, "chars": "\n"});
        notes = client.structured("write_stdin", poll).await["notes"].to_string();
    }
    notes
}

#[tokio::test]
async fn a_server_of_a_command_is_opened_where_the_result_says() {
    if !is_installed("python3") {
        return;
    }
    let world = World::with_rules("").configured("");
    for address in ["127.0.0.1", "0.0.0.0", "::1"] {
        let port = free_port();
        let ports = format!("{port}-{port}");
        let client = Client::start_with(&world, &Person::absent(), &["--publish", &ports]).await;
        let more = json!({"stdin": true, "yield_time_ms": 1000});
        let going = exec(&client, &world, &server(port, address), more).await;
        let session = &going["session_id"];
        let notes = told(&client, session, &going).await;
        assert!(notes.contains(&format!("http://127.0.0.1:{port}")), "{address}: {going} {notes}");
        for _ in 0..10 {
            assert!(page(port).expect("an answer").ends_with("said\n"), "{address}");
        }
        // At 127.0.0.1 and on no other address, and no longer than the server.
        assert_eq!(listened_at(port), ["0100007F"]);
        drop(client);
        let gone = || TcpStream::connect(("127.0.0.1", port)).is_err();
        for _ in 0..200 {
            if gone() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(gone());
    }
}

#[tokio::test]
async fn a_port_that_is_taken_gets_another_one_and_a_person_is_asked() {
    if !is_installed("python3") {
        return;
    }
    let world = World::with_rules("").configured("");
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let person = Person::answering([Answer::Accept]);
    let client = Client::start_with(&world, &person, &[]).await;
    let more = json!({"stdin": true, "yield_time_ms": 1000, "publish": [port]});
    let going = exec(&client, &world, &server(port, "127.0.0.1"), more).await;
    let notes = told(&client, &going["session_id"], &going).await;
    assert!(notes.contains(&format!("{port} is taken on this machine")), "{going} {notes}");
    let asked = person.asked();
    assert!(asked[0].contains(&format!("publish the command's `http://127.0.0.1:{port}`")), "{asked:?}");
    let digits = notes.split("http://127.0.0.1:").nth(1).expect("a place");
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    let other: u16 = digits.parse().expect("a port");
    assert_ne!(other, port);
    assert!(page(other).expect("an answer").ends_with("said\n"));
}

#[tokio::test]
async fn nothing_is_published_that_nobody_has_allowed() {
    if !is_installed("python3") {
        return;
    }
    let world = World::with_rules("").configured("");
    let port = free_port();
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let command = format!(
        "/usr/bin/python3 -m http.server {port} > /dev/null 2>&1 & for i in $(seq 100); do \
         (echo > /dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.1; done; sleep 1; echo up; kill %1"
    );
    let arguments = json!({"command": command, "workdir": world.workdir(), "login": false, "publish": [port], "timeout_ms": 60_000});
    let running = client.call(arguments);
    let looking = async {
        for _ in 0..15 {
            assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (outcome, ()) = tokio::join!(running, looking);
    let told = outcome.json()["denials"].to_string();
    assert!(outcome.ran().1.contains("up") && told.contains(&format!("--publish {port}")), "{outcome:?}");
}
