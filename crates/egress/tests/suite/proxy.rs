//! Programs that ask a proxy for hosts.

use crate::world::{Hosts, LONG, Rules, STRANGER, World, connect_from, has_descriptors, has_outside};
use egress::{Failure, Limits};
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a program hears from the proxy, to its end.
async fn answer(world: &World, says: &[u8]) -> Vec<u8> {
    let mut program = TcpStream::connect(world.proxy).await.unwrap();
    program.write_all(says).await.unwrap();
    let mut heard = Vec::new();
    // An end, or a reset after it.
    let _ = tokio::time::timeout(LONG, program.read_to_end(&mut heard)).await.unwrap();
    heard
}

async fn hears(stream: &mut TcpStream, expected: &[u8]) {
    let mut heard = vec![0; expected.len()];
    tokio::time::timeout(LONG, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), String::from_utf8_lossy(expected));
}

#[tokio::test]
async fn a_tunnel_leads_to_the_host_that_was_asked_for() {
    if !has_outside() {
        return;
    }
    let world = World::new(Rules::allowing(&["good.example"]));
    let (server, port) = world.server().await;
    let socks = [&[5, 1, 0, 5, 1, 0, 3, 12], b"good.example".as_slice(), &port.to_be_bytes()].concat();
    let connect = format!("CONNECT good.example:{port} HTTP/1.1\r\nHost: x\r\n\r\n");
    for (asks, told) in [
        (connect.as_bytes(), b"HTTP/1.1 200 Connection established\r\n\r\n".as_slice()),
        (&socks, &[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    ] {
        let mut program = TcpStream::connect(world.proxy).await.unwrap();
        // With the first words to the host right behind.
        program.write_all(&[asks, b"SSH-2.0-me\r\n"].concat()).await.unwrap();
        let (mut accepted, _) = tokio::time::timeout(LONG, server.accept()).await.unwrap().unwrap();
        hears(&mut program, told).await;
        hears(&mut accepted, b"SSH-2.0-me\r\n").await;
        accepted.write_all(b"SSH-2.0-you\r\n").await.unwrap();
        hears(&mut program, b"SSH-2.0-you\r\n").await;
        // Each direction ends by itself.
        program.shutdown().await.unwrap();
        assert_eq!(accepted.read(&mut [0]).await.unwrap(), 0);
        accepted.write_all(b"more").await.unwrap();
        drop(accepted);
        let mut rest = Vec::new();
        program.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"more");
    }
}

#[tokio::test]
async fn a_request_is_passed_on_as_its_server_expects_it() {
    if !has_outside() {
        return;
    }
    let world = World::new(Rules::allowing(&["good.example"]));
    let (server, port) = world.server().await;
    let mut program = TcpStream::connect(world.proxy).await.unwrap();
    let host = format!("good.example:{port}");
    let asks = format!("POST http://{host}/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\nbody");
    program.write_all(asks.as_bytes()).await.unwrap();
    let (mut accepted, _) = tokio::time::timeout(LONG, server.accept()).await.unwrap().unwrap();
    let passed =
        format!("POST /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
    hears(&mut accepted, passed.as_bytes()).await;
    // The next one may not be for another host, however it is written.
    program.write_all(b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(LONG, accepted.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"");
    assert_eq!(world.rules.records(1).await[0].failure, Some(Failure::OtherName("evil.example".into())));
}

#[tokio::test]
async fn what_is_refused_is_answered_and_nothing_is_asked_outside() {
    let world = World::new(Rules::allowing(&["good.example"]));
    for asks in [
        "CONNECT evil.example:443 HTTP/1.1\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        // The name that counts is the one that was asked for.
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: good.example\r\n\r\n",
        // Addresses are hosts of their own, which nothing names here, in every notation.
        "CONNECT 10.0.0.1:443 HTTP/1.1\r\n\r\n",
        "CONNECT 169.254.169.254:80 HTTP/1.1\r\n\r\n",
        "CONNECT [::ffff:10.0.0.1]:443 HTTP/1.1\r\n\r\n",
        "CONNECT [64:ff9b::a00:1]:443 HTTP/1.1\r\n\r\n",
        "CONNECT localhost:443 HTTP/1.1\r\n\r\n",
        "GET http://127.0.0.1/ HTTP/1.1\r\n\r\n",
    ] {
        let heard = String::from_utf8(answer(&world, asks.as_bytes()).await).unwrap();
        assert!(
            heard.starts_with("HTTP/1.1 403 Forbidden\r\n") && heard.contains("no rule"),
            "{asks}: {heard}"
        );
    }
    for asks in [
        "CONNECT 127.1:443 HTTP/1.1\r\n\r\n",
        "CONNECT 0x7f.1:443 HTTP/1.1\r\n\r\n",
        "CONNECT [fe80::1%25eth0]:443 HTTP/1.1\r\n\r\n",
        "GET http://good.example@10.0.0.1/ HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let heard = String::from_utf8(answer(&world, asks.as_bytes()).await).unwrap();
        assert!(heard.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{asks}: {heard}");
    }
    assert_eq!(answer(&world, &[5, 1, 0, 5, 1, 0, 1, 10, 0, 0, 1, 1, 187]).await[2..4], [5, 2]);
    assert_eq!(answer(&world, &[5, 1, 2]).await, [5, 0xff]);
    assert_eq!(world.hosts.asked.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_tunnel_leads_to_no_private_address_and_to_no_other_site() {
    if !has_outside() {
        return;
    }
    let hosts =
        Hosts { known: [("private.example", vec!["10.0.0.1".parse().unwrap()])].into(), ..Hosts::default() };
    let world = World::with(
        Rules::allowing(&["private.example", "good.example"]),
        hosts,
        Limits::with_descriptors(10_000),
    );
    let heard = answer(&world, b"CONNECT private.example:443 HTTP/1.1\r\n\r\n").await;
    let heard = String::from_utf8(heard).unwrap();
    assert!(
        heard.starts_with("HTTP/1.1 403 Forbidden\r\n") && heard.contains("10.0.0.1 (private)"),
        "{heard}"
    );
    let (server, port) = world.server().await;
    let mut program = TcpStream::connect(world.proxy).await.unwrap();
    let asks =
        format!("CONNECT good.example:{port} HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    program.write_all(asks.as_bytes()).await.unwrap();
    let (mut accepted, _) = tokio::time::timeout(LONG, server.accept()).await.unwrap().unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(LONG, accepted.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"", "the smuggled request");
}

#[tokio::test]
async fn whoever_says_nothing_keeps_nobody_from_being_served() {
    if !has_outside() || !has_descriptors() {
        return;
    }
    let rules = Rules { shares_by_address: true, ..Rules::allowing(&["good.example"]) };
    let limits = Limits { of_share: 64, waiting_of_share: 16, ..Limits::with_descriptors(100_000) };
    let world = World::with(rules, Hosts::default(), limits);
    let (server, port) = world.server().await;
    let asks = format!("CONNECT good.example:{port} HTTP/1.1\r\n\r\n");
    let (greedy, modest) = ("127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap());
    // More than arrive at a time; whoever speaks without an end is no better.
    let mut silent = Vec::new();
    for number in 0..1500 {
        let Ok(mut program) = connect_from(greedy, world.proxy).await else { continue };
        if number % 2 == 0 {
            let _ = program.write_all(b"CONNECT good").await;
        }
        silent.push(program);
    }
    let mut other = connect_from(modest, world.proxy).await.unwrap();
    other.write_all(asks.as_bytes()).await.unwrap();
    hears(&mut other, b"HTTP/1.1 200 Connection established\r\n\r\n").await;
    drop(tokio::time::timeout(LONG, server.accept()).await.unwrap().unwrap());
    // What it has no place for is reset, and holds no descriptor.
    let is_held =
        |program: &TcpStream| program.try_read(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
    let mut held = silent.len();
    while held > 16 {
        tokio::task::yield_now().await;
        held = silent.iter().filter(|program| is_held(program)).count();
    }
    assert_eq!(held, 16);
    // Places are free again when their programs end.
    drop(silent);
    loop {
        let Ok(mut program) = connect_from(greedy, world.proxy).await else { continue };
        let _ = program.write_all(asks.as_bytes()).await;
        if program.read(&mut [0]).await.is_ok_and(|length| length > 0) {
            break;
        }
    }
}

#[tokio::test]
async fn whoever_is_nobody_is_reset_before_it_speaks() {
    let world = World::new(Rules::allowing(&["good.example"]));
    let mut known = connect_from("127.0.0.2".parse().unwrap(), world.proxy).await.unwrap();
    known.write_all(b"nonsense\r\n\r\n").await.unwrap();
    hears(&mut known, b"HTTP/1.1 400 Bad Request\r\n").await;
    let ended = match connect_from(STRANGER, world.proxy).await {
        Ok(mut stranger) => tokio::time::timeout(LONG, stranger.read(&mut [0])).await.unwrap(),
        Err(error) => Err(error),
    };
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
