//! Connections that are refused, and what a hostile program inside tries.

use crate::world::{Hosts, LONG, RANGE, Rules, World, has_outside};
use egress::{Failure, Limits, Name};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Has a program say something; what its connection ends with.
async fn fate(mut program: TcpStream, says: &[u8]) -> Option<ErrorKind> {
    let _ = program.write_all(says).await;
    let ended = tokio::time::timeout(LONG, program.read(&mut [0; 64])).await.unwrap();
    ended.err().map(|error| error.kind())
}

#[tokio::test]
async fn what_nobody_allows_is_reset_at_once_and_its_name_stays_inside() {
    let world = World::new(Rules::allowing(&["good.example"]));
    let (_server, port) = world.server().await;
    let program = world.connect("the-secret-is-42.evil.example", port).await;
    assert_eq!(fate(program, b"").await, Some(ErrorKind::ConnectionReset));
    let records = world.rules.records(1).await;
    assert_eq!((&records[0].failure, &records[0].address), (&Some(Failure::Refused), &None));
    assert_eq!(world.hosts.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_leads_to_the_public_internet_only() {
    let addresses: Vec<IpAddr> = [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "168.63.129.16",
    ]
    .map(|text| text.parse().unwrap())
    .to_vec();
    for address in addresses {
        let hosts = Hosts { known: [("good.example", vec![address])].into(), ..Hosts::default() };
        let rules = Rules { grants_loopback: false, ..Rules::allowing(&["good.example"]) };
        let world = World::with(rules, hosts, Limits::with_descriptors(10_000));
        let (server, port) = world.server().await;
        let program = world.connect("good.example", port).await;
        assert_eq!(fate(program, b"x").await, Some(ErrorKind::ConnectionReset), "{address}");
        let records = world.rules.records(1).await;
        assert!(matches!(records[0].failure, Some(Failure::Address(..))), "{:?}", records[0]);
        assert_eq!(world.hosts.asked.load(Ordering::SeqCst), 1, "nobody is asked twice");
        let accepted = tokio::time::timeout(std::time::Duration::from_millis(5), server.accept()).await;
        assert!(accepted.is_err(), "{address}");
    }
}

#[tokio::test]
async fn a_name_that_is_bound_anew_is_checked_anew() {
    if !has_outside() {
        return;
    }
    let public = vec!["::1".parse().unwrap()];
    let private = vec!["10.0.0.1".parse().unwrap()];
    // The last one is answered first.
    let first = Mutex::new(vec![public.clone(), private, public]);
    let hosts = Hosts { first, ..Hosts::default() };
    let world = World::with(Rules::allowing(&["good.example"]), hosts, Limits::with_descriptors(10_000));
    let (server, port) = world.server().await;
    for (number, is_public) in [true, false, true].into_iter().enumerate() {
        let program = world.connect("good.example", port).await;
        if is_public {
            drop(tokio::time::timeout(LONG, server.accept()).await.unwrap().unwrap());
            drop(program);
        } else {
            assert_eq!(fate(program, b"x").await, Some(ErrorKind::ConnectionReset));
        }
        let record = world.rules.records(number + 1).await.pop().unwrap();
        assert_eq!(matches!(record.failure, Some(Failure::Address(..))), !is_public, "{record:?}");
    }
}

#[tokio::test]
async fn the_hosts_file_speaks_for_private_addresses_alone() {
    for (address, what) in [("127.0.0.1", "loopback"), ("169.254.169.254", "link-local")] {
        let known = [("good.example", vec![address.parse().unwrap()])].into();
        let hosts = Hosts { known, by_hosts_file: true, ..Hosts::default() };
        let rules = Rules { grants_loopback: false, ..Rules::allowing(&["good.example"]) };
        let world = World::with(rules, hosts, Limits::with_descriptors(10_000));
        let (_server, port) = world.server().await;
        let program = world.connect("good.example", port).await;
        assert_eq!(fate(program, b"x").await, Some(ErrorKind::ConnectionReset));
        let failure = Some(Failure::Address(address.parse().unwrap(), what.to_owned()));
        assert_eq!(world.rules.records(1).await[0].failure, failure);
    }
}

#[tokio::test]
async fn another_host_cannot_be_named_inside_a_connection() {
    if !has_outside() {
        return;
    }
    let smuggled = "GET / HTTP/1.1\r\nHost: good.example\r\nHost: evil.example\r\n\r\n";
    let second = "GET / HTTP/1.1\r\nHost: good.example\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    for says in ["GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", smuggled, second, "GET / HTTP/2.0\r\n\r\n"] {
        let world = World::new(Rules::allowing(&["good.example"]));
        let (server, port) = world.server().await;
        let program = world.connect("good.example", port).await;
        let (mut accepted, _) = server.accept().await.unwrap();
        assert_eq!(fate(program, says.as_bytes()).await, Some(ErrorKind::ConnectionReset), "{says}");
        let mut heard = Vec::new();
        let _ = accepted.read_to_end(&mut heard).await;
        assert!(!String::from_utf8_lossy(&heard).contains("evil"), "{says}");
        let failure = world.rules.records(1).await[0].failure.clone();
        assert!(matches!(failure, Some(Failure::OtherName(_) | Failure::Unreadable(_))), "{failure:?}");
    }
}

#[tokio::test]
async fn a_line_that_has_not_ended_goes_out_and_is_no_request_yet() {
    if !has_outside() {
        return;
    }
    for (first, then, arrives) in [
        ("x", "y", "xy"),
        ("GET / HT", "TP/1.1\r\nHost: good.example\r\n\r\n", "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n"),
        ("GET / HT", "TP/1.1\r\nHost: evil.example\r\n\r\n", "GET / HT"),
    ] {
        let world = World::new(Rules::allowing(&["good.example"]));
        let (server, port) = world.server().await;
        let mut program = world.connect("good.example", port).await;
        program.write_all(first.as_bytes()).await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        let mut heard = vec![0; first.len()];
        accepted.read_exact(&mut heard).await.unwrap();
        accepted.write_all(b"answer").await.unwrap();
        program.read_exact(&mut [0; 6]).await.unwrap();
        program.write_all(then.as_bytes()).await.unwrap();
        let _ = program.shutdown().await;
        // Until its end, or the reset.
        let _ = tokio::time::timeout(LONG, accepted.read_to_end(&mut heard)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), arrives);
    }
}

#[tokio::test]
async fn a_request_of_http2_must_name_the_host_that_was_judged() {
    if !has_outside() {
        return;
    }
    let authority = |name: &str| {
        // A literal with the first name of the static table (RFC 7541, appendix A), in one HEADERS frame.
        let fields = [&[0x01, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
        [&[0, 0, u8::try_from(fields.len()).unwrap(), 1, 4, 0, 0, 0, 1], fields.as_slice()].concat()
    };
    for (name, arrives) in [("good.example", true), ("evil.example", false)] {
        let world = World::new(Rules::allowing(&["good.example"]));
        let (server, port) = world.server().await;
        let mut program = world.connect("good.example", port).await;
        program.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        accepted.read_exact(&mut [0; 24]).await.unwrap();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        accepted.write_all(&settings).await.unwrap();
        program.read_exact(&mut [0; 9]).await.unwrap();
        let request = authority(name);
        program.write_all(&request).await.unwrap();
        let mut heard = vec![0; request.len()];
        let whole = accepted.read_exact(&mut heard).await.is_ok();
        assert_eq!(whole && heard == request, arrives, "{name}");
    }
}

#[tokio::test]
async fn an_address_of_the_range_that_is_no_names_is_reset() {
    let world = World::new(Rules::allowing(&["good.example"]));
    let (_server, port) = world.server().await;
    let program = TcpStream::connect((RANGE.v4_at(4000), port)).await.unwrap();
    assert_eq!(fate(program, b"").await, Some(ErrorKind::ConnectionReset));
    assert_eq!(world.rules.records(1).await[0].failure, Some(Failure::UnknownAddress));
    assert_eq!(world.rules.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn whoever_opens_too_many_is_refused_more_and_frees_them_by_ending() {
    let limits = Limits { of_share: 8, waiting_of_share: 4, ..Limits::with_descriptors(10_000) };
    let rules = Rules { waits: true, ..Rules::allowing(&[]) };
    let world = World::with(rules, Hosts::default(), limits);
    let (_server, port) = world.server().await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(world.connect("late.example", port).await);
    }
    while world.rules.asked.load(Ordering::SeqCst) < 4 {
        tokio::task::yield_now().await;
    }
    let program = world.connect("late.example", port).await;
    assert_eq!(fate(program, b"").await, Some(ErrorKind::ConnectionReset));
    assert_eq!(world.rules.records(1).await[0].failure, Some(Failure::TooMany));
    drop(waiting);
    world.rules.records(5).await;
    let _one = world.connect("late.example", port).await;
    while world.rules.asked.load(Ordering::SeqCst) < 5 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_opens_too_many_takes_none_from_another() {
    if !has_outside() {
        return;
    }
    let limits = Limits { connections: 12, of_share: 8, ..Limits::with_descriptors(10_000) };
    let rules = Rules { shares_by_address: true, ..Rules::allowing(&["greedy.example", "good.example"]) };
    let world = World::with(rules, Hosts::default(), limits);
    let (server, port) = world.server().await;
    let mut open = Vec::new();
    for _ in 0..8 {
        let program = world.connect("greedy.example", port).await;
        open.push((program, tokio::time::timeout(LONG, server.accept()).await.unwrap().unwrap()));
    }
    for _ in 0..100 {
        let program = world.connect("greedy.example", port).await;
        assert_eq!(fate(program, b"").await, Some(ErrorKind::ConnectionReset));
    }
    let mut program = world.connect("good.example", port).await;
    let (mut accepted, _) = tokio::time::timeout(LONG, server.accept()).await.unwrap().unwrap();
    accepted.write_all(b"hello").await.unwrap();
    program.read_exact(&mut [0; 5]).await.unwrap();
}

#[tokio::test]
async fn ports_are_opened_as_far_as_there_are_sockets() {
    let world = World::new(Rules::allowing(&[]));
    let mut opened = 0;
    let refused = loop {
        let free = std::net::TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        match world.egress.listen(free) {
            Ok(()) => opened += 1,
            Err(egress::ListenError::Refused(..)) => {}
            Err(error) => break error,
        }
    };
    assert!(opened <= 8 && matches!(refused, egress::ListenError::NoSocketLeft), "{opened}");
    assert!(Name::new("good.example").is_some());
}
