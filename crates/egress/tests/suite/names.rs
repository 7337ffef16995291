//! The name server's sockets, and the machine's own way of resolving.

use crate::world::{LONG, Rules, World};
use domain::base::iana::Rtype;
use domain::base::{Message, MessageBuilder};
use egress::{Name, Resolve, SystemResolver};
use std::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

pub(crate) fn question(name: &str) -> Vec<u8> {
    let mut question = MessageBuilder::new_vec().question();
    question.push((name.parse::<domain::base::Name<Vec<u8>>>().unwrap(), Rtype::A)).unwrap();
    question.finish()
}

fn addresses(answer: &[u8]) -> Vec<String> {
    let message = Message::from_octets(answer).unwrap();
    let records = message.answer().unwrap().limit_to::<domain::rdata::A>();
    records.map(|record| record.unwrap().data().to_string()).collect()
}

#[tokio::test]
async fn names_are_answered_over_both_transports() {
    let world = World::new(Rules::allowing(&[]));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"garbage", world.name_server).await.unwrap();
    socket.send_to(&question("a.example"), world.name_server).await.unwrap();
    let mut answer = [0; 1500];
    let (length, _) = tokio::time::timeout(LONG, socket.recv_from(&mut answer)).await.unwrap().unwrap();
    assert_eq!(addresses(&answer[..length]), ["127.77.1.0"]);
    let mut stream = TcpStream::connect(world.name_server).await.unwrap();
    for (name, address) in [("b.example", "127.77.1.1"), ("a.example", "127.77.1.0")] {
        let question = question(name);
        stream.write_u16(question.len().try_into().unwrap()).await.unwrap();
        stream.write_all(&question).await.unwrap();
        let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(addresses(&answer), [address]);
    }
}

#[tokio::test]
async fn the_hosts_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    // Nobody listens there, so that nothing else is asked.
    let configuration = folder.path().join("resolv.conf");
    fs::write(&configuration, "nameserver 127.255.255.254\noptions timeout:1 attempts:1\n").unwrap();
    fs::write(&hosts, "10.0.0.5 db.internal\n").unwrap();
    let resolver = SystemResolver::of(hosts.clone(), configuration);
    let name = Name::new("db.internal").unwrap();
    let found = resolver.resolve(&name).await.unwrap();
    assert_eq!((found.addresses[0].to_string(), found.by_hosts_file), ("10.0.0.5".to_owned(), true));
    fs::write(&hosts, "10.0.0.66 db.internal\n").unwrap();
    assert_eq!(resolver.resolve(&name).await.unwrap().addresses[0].to_string(), "10.0.0.66");
    let unknown = Name::new("unknown.internal").unwrap();
    assert!(tokio::time::timeout(LONG, resolver.resolve(&unknown)).await.unwrap().is_err());
}
