//! Connections that are allowed: every byte, each end, in both directions.

use crate::world::{LONG, Rules, World, has_descriptors, has_outside};
use egress::Failure;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn pair(world: &World) -> (TcpStream, TcpStream) {
    let (server, port) = world.server().await;
    let program = world.connect("good.example", port).await;
    let (accepted, _) = tokio::time::timeout(LONG, server.accept()).await.unwrap().unwrap();
    (program, accepted)
}

#[tokio::test]
async fn nothing_is_lost_when_one_side_has_said_its_last() {
    if !has_outside() {
        return;
    }
    let world = World::new(Rules::allowing(&["good.example"]));
    let (mut program, mut server) = pair(&world).await;
    program.write_all(b"all of it").await.unwrap();
    program.shutdown().await.unwrap();
    let mut heard = String::new();
    server.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "all of it");
    // Long after the program has ended its side.
    let answer = vec![7_u8; 3 << 20];
    server.write_all(&answer).await.unwrap();
    drop(server);
    let mut received = Vec::new();
    program.read_to_end(&mut received).await.unwrap();
    assert!(received == answer);
    let records = world.rules.records(1).await;
    assert_eq!((records[0].sent, records[0].received, &records[0].failure), (9, 3 << 20, &None));
    assert_eq!(records[0].allowed.as_deref(), Some("a rule"));
    assert_eq!(records[0].attempt.host.to_string(), "good.example");
}

#[tokio::test]
async fn nothing_is_lost_when_the_server_has_said_its_last_first() {
    if !has_outside() {
        return;
    }
    // Where the program is read along with, and where it is not any more.
    for begins in [b"EHLO x".as_slice(), b"\0"] {
        let world = World::new(Rules::allowing(&["good.example"]));
        let (mut program, mut server) = pair(&world).await;
        server.write_all(b"all of it").await.unwrap();
        server.shutdown().await.unwrap();
        let mut heard = String::new();
        program.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "all of it");
        let says = [begins, &vec![7; 3 << 20]].concat();
        let mut received = Vec::new();
        let says_it = async {
            program.write_all(&says).await.unwrap();
            program.shutdown().await.unwrap();
        };
        let ((), read) = tokio::join!(says_it, server.read_to_end(&mut received));
        read.unwrap();
        assert!(received == says);
        let record = world.rules.records(1).await.remove(0);
        assert_eq!((record.sent, record.received), (u64::try_from(says.len()).unwrap(), 9));
    }
}

#[tokio::test]
async fn what_was_said_before_a_reset_of_one_direction_is_heard() {
    if !has_outside() {
        return;
    }
    let world = World::new(Rules::allowing(&["good.example"]));
    let (mut program, mut server) = pair(&world).await;
    // The program says its last, hears some of the answer, and is gone without the rest.
    program.write_all(b"\0x").await.unwrap();
    program.shutdown().await.unwrap();
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"\0x");
    server.write_all(b"some").await.unwrap();
    program.read_exact(&mut [0; 4]).await.unwrap();
    rustix::net::sockopt::set_socket_linger(&program, Some(Duration::ZERO)).unwrap();
    drop(program);
    let error = loop {
        if let Err(error) = server.write_all(&[0; 4096]).await {
            break error;
        }
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    assert_eq!(world.rules.records(1).await[0].failure, None);
}

#[tokio::test]
async fn who_reads_nothing_keeps_nobody_else_waiting() {
    if !has_outside() {
        return;
    }
    let world = World::new(Rules::allowing(&["good.example"]));
    let (program, server) = pair(&world).await;
    // Until nothing more is taken: what waits is in sockets.
    let filled = async {
        loop {
            server.writable().await.unwrap();
            if server.try_write(&[7; 64 << 10]).is_err() {
                let more = tokio::time::timeout(Duration::from_millis(300), server.writable()).await;
                if more.is_err() {
                    break;
                }
            }
        }
    };
    tokio::time::timeout(LONG, filled).await.unwrap();
    let (mut other, mut others) = pair(&world).await;
    others.write_all(b"hello").await.unwrap();
    other.read_exact(&mut [0; 5]).await.unwrap();
    drop((program, server));
}

#[tokio::test]
async fn a_server_may_speak_first() {
    if !has_outside() {
        return;
    }
    let world = World::new(Rules::allowing(&["good.example"]));
    let (mut program, mut server) = pair(&world).await;
    server.write_all(b"SSH-2.0-server\r\n").await.unwrap();
    let mut heard = [0; 16];
    program.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"SSH-2.0-server\r\n");
    program.write_all(b"SSH-2.0-client\r\n").await.unwrap();
    server.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"SSH-2.0-client\r\n");
}

#[tokio::test]
async fn much_goes_both_ways_at_once() {
    if !has_outside() {
        return;
    }
    let world = World::new(Rules::allowing(&["good.example"]));
    let (program, server) = pair(&world).await;
    const LENGTH: usize = 24 << 20;
    let pattern = |seed: u8| (0..=250_u8).cycle().take(LENGTH).map(|byte| byte ^ seed).collect::<Vec<u8>>();
    let exchange = |stream: TcpStream, says: Vec<u8>, hears: Vec<u8>| async move {
        let (mut reader, mut writer) = stream.into_split();
        let writing = async {
            writer.write_all(&says).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let (_, _) = tokio::join!(writing, reader.read_to_end(&mut heard));
        assert!(heard == hears);
    };
    let both = async {
        tokio::join!(
            exchange(program, pattern(0x80), pattern(0x21)),
            exchange(server, pattern(0x21), pattern(0x80))
        )
    };
    tokio::time::timeout(LONG, both).await.unwrap();
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset() {
    if !has_outside() {
        return;
    }
    let world = World::new(Rules::allowing(&["good.example"]));
    let reset = |stream: TcpStream| {
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        drop(stream);
    };
    let (mut program, mut server) = pair(&world).await;
    // So that the connection is past the part that is read.
    program.write_all(b"\0x").await.unwrap();
    server.read_exact(&mut [0; 2]).await.unwrap();
    reset(server);
    assert_eq!(program.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let (program, mut server) = pair(&world).await;
    reset(program);
    assert_eq!(server.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn who_gives_up_before_being_heard_is_on_record() {
    let world = World::new(Rules::allowing(&[]));
    let (_server, port) = world.server().await;
    let name = egress::Name::new("good.example").unwrap();
    let (address, _) = world.egress.names().addresses_of(&name).unwrap();
    // Nothing else happens on this thread meanwhile.
    let program = std::net::TcpStream::connect((address, port)).unwrap();
    let from = program.local_addr().unwrap();
    rustix::net::sockopt::set_socket_linger(&program, Some(Duration::ZERO)).unwrap();
    drop(program);
    assert_eq!(world.rules.records(1).await[0].attempt.program, from);
}

#[tokio::test]
async fn a_thousand_connections_are_open_at_once() {
    if !has_outside() {
        return;
    }
    if !has_descriptors() {
        return;
    }
    let world = World::new(Rules::allowing(&["good.example"]));
    let (server, port) = world.server().await;
    let serving = tokio::spawn(async move {
        let mut open = Vec::new();
        while open.len() < 1000 {
            open.push(server.accept().await.unwrap().0);
        }
        for stream in &mut open {
            stream.write_all(b"hello").await.unwrap();
        }
        open
    });
    let mut programs = Vec::new();
    for _ in 0..1000 {
        programs.push(world.connect("good.example", port).await);
    }
    let open = tokio::time::timeout(LONG, serving).await.unwrap().unwrap();
    assert_eq!(world.egress.open().len(), 1000);
    for program in &mut programs {
        let mut heard = [0; 5];
        program.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }
    drop((programs, open));
    assert_eq!(world.rules.records(1000).await.len(), 1000);
    assert!(world.egress.open().is_empty());
}

#[tokio::test]
async fn a_connection_waits_while_it_is_decided() {
    if !has_outside() {
        return;
    }
    let world = World::new(Rules { waits: true, ..Rules::allowing(&[]) });
    let (server, port) = world.server().await;
    let mut program = world.connect("late.example", port).await;
    program.write_all(b"\0early").await.unwrap();
    program.shutdown().await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(50), server.accept()).await;
    assert!(waiting.is_err());
    world.rules.allow("late.example");
    let (mut accepted, _) = server.accept().await.unwrap();
    let mut heard = String::new();
    accepted.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "\0early");
}

#[tokio::test]
async fn a_question_is_withdrawn_when_nobody_waits_any_more() {
    if !has_outside() {
        return;
    }
    let world = World::new(Rules { waits: true, ..Rules::allowing(&[]) });
    let (_server, port) = world.server().await;
    let program = world.connect("late.example", port).await;
    while world.rules.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    drop(program);
    world.rules.records(1).await;
    assert_eq!(world.rules.withdrawn.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_ends_with_its_rule_and_with_its_egress() {
    if !has_outside() {
        return;
    }
    let world = World::new(Rules::allowing(&["good.example"]));
    let ((mut gone, _one), (mut kept, _other)) = (pair(&world).await, pair(&world).await);
    let first = world.egress.open().iter().map(|open| open.attempt.number).min().unwrap();
    world.egress.retain(|attempt, _| attempt.number != first);
    assert_eq!(gone.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let records = world.rules.records(1).await;
    assert_eq!(records[0].failure, Some(Failure::Revoked));
    assert_eq!(world.egress.open().len(), 1);
    drop(world);
    assert_eq!(kept.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
