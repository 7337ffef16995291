//! Servers that understand more than the standards have: one site's permission is none for another at the same address.

use crate::world::{LONG, Rules, World, has_outside};
use egress::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to the host that is allowed, with both of its ends.
async fn connected(world: &World) -> (TcpStream, TcpStream) {
    let (server, port) = world.server().await;
    let program = world.connect("good.example", port).await;
    let (accepted, _) = tokio::time::timeout(LONG, server.accept()).await.unwrap().unwrap();
    (program, accepted)
}

/// What arrives outside, until the end or the reset.
async fn arrives(mut server: TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(LONG, server.read_to_end(&mut heard)).await.unwrap();
    heard
}

/// A ClientHello with a name in a record of some version (RFC 8446, section 4.1.2; RFC 6066, section 3).
fn client_hello(name: &str, version: [u8; 2]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let entry = [&[0], sized(name.as_bytes()).as_slice()].concat();
    let extension = [&[0, 0], sized(&sized(&entry)).as_slice()].concat();
    let fixed = [[3, 3].as_slice(), &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    let body = [fixed, sized(&extension)].concat();
    let message = [&[1, 0], sized(&body).as_slice()].concat();
    [[0x16, version[0], version[1]].as_slice(), &sized(&message)].concat()
}

/// How a server's hello begins.
const SERVER_HELLO: [u8; 11] = [0x16, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3];

#[tokio::test]
async fn a_request_in_a_form_that_only_some_servers_read_names_no_other_host() {
    if !has_outside() {
        return;
    }
    for line in [
        // Go, HAProxy: any token is a method.
        "A_B / HTTP/1.1",
        "G!T / HTTP/1.1",
        "123 / HTTP/1.1",
        // Python's http.server: any blank separates, and what is before it is skipped.
        "GET\t/\tHTTP/1.1",
        " GET\x0b/\x1cHTTP/1.1",
        // Node.js: no version at all, and the versions of others.
        "GET /",
        "POST /",
        "OPTIONS / RTSP/1.0",
        "SOURCE / ICE/1.0",
        // Servers behind a proxy.
        "PROXY UNKNOWN\r\nGET / HTTP/1.1",
    ] {
        let world = World::new(Rules::allowing(&["good.example"]));
        let (mut program, server) = connected(&world).await;
        let request = format!("{line}\r\nHost: evil.example\r\n\r\n");
        let _ = program.write_all(request.as_bytes()).await;
        let _ = program.shutdown().await;
        let heard = arrives(server).await;
        assert_eq!(String::from_utf8_lossy(&heard), "", "{line:?}");
        let failure = world.rules.records(1).await[0].failure.clone();
        assert!(matches!(failure, Some(Failure::OtherName(_) | Failure::Unreadable(_))), "{failure:?}");
    }
}

#[tokio::test]
async fn a_hello_in_a_record_of_another_version_names_no_other_host() {
    if !has_outside() {
        return;
    }
    for (name, version, is_whole) in [
        ("good.example", [3, 1], true),
        ("evil.example", [3, 1], false),
        ("evil.example", [2, 0], false),
        ("evil.example", [0, 0], false),
        ("evil.example", [0x0f, 0xff], false),
    ] {
        let world = World::new(Rules::allowing(&["good.example"]));
        let (mut program, server) = connected(&world).await;
        let hello = client_hello(name, version);
        let _ = program.write_all(&hello).await;
        let _ = program.shutdown().await;
        let heard = arrives(server).await;
        assert_eq!(heard, if is_whole { hello } else { Vec::new() }, "{name} {version:?}");
    }
}

#[tokio::test]
async fn tls_that_begins_within_another_protocol_names_the_host_as_well() {
    if !has_outside() {
        return;
    }
    // PostgreSQL's SSLRequest, and the answer to it.
    let wish = b"\0\0\0\x08\x04\xd2\x16\x2f";
    for (name, version, is_heard, is_answered) in [
        ("good.example", [3, 1], true, true),
        ("evil.example", [3, 1], false, false),
        // Nobody else takes that for a hello, but then its server answers with one.
        ("evil.example", [2, 0], true, false),
    ] {
        let world = World::new(Rules::allowing(&["good.example"]));
        let (mut program, mut server) = connected(&world).await;
        program.write_all(wish).await.unwrap();
        server.read_exact(&mut [0; 8]).await.unwrap();
        server.write_all(b"S").await.unwrap();
        program.read_exact(&mut [0]).await.unwrap();
        let hello = client_hello(name, version);
        program.write_all(&hello).await.unwrap();
        let mut heard = vec![0; hello.len()];
        let whole = tokio::time::timeout(LONG, server.read_exact(&mut heard)).await.unwrap().is_ok();
        assert_eq!(whole && heard == hello, is_heard, "{name} {version:?}");
        let _ = server.write_all(&SERVER_HELLO).await;
        let answered = tokio::time::timeout(LONG, program.read_exact(&mut [0; 11])).await.unwrap();
        assert_eq!(answered.is_ok(), is_answered, "{name} {version:?}");
        drop((program, server));
        let failure = world.rules.records(1).await[0].failure.clone();
        assert_eq!(failure.is_none(), is_answered, "{failure:?}");
    }
}

#[tokio::test]
async fn who_answers_in_http_to_what_was_not_read_as_such_is_not_heard() {
    if !has_outside() {
        return;
    }
    for (answer, is_heard) in [("+PONG\r\n", true), ("HTTP/1.1 200 OK\r\n", false)] {
        let world = World::new(Rules::allowing(&["good.example"]));
        let (mut program, mut server) = connected(&world).await;
        program.write_all(b"*1\r\n$4\r\nPING\r\n").await.unwrap();
        server.read_exact(&mut [0; 14]).await.unwrap();
        server.write_all(answer.as_bytes()).await.unwrap();
        let mut heard = vec![0; answer.len()];
        let heard = tokio::time::timeout(LONG, program.read_exact(&mut heard)).await.unwrap();
        assert_eq!(heard.is_ok(), is_heard, "{answer}");
    }
}
