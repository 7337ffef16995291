//! What it costs, over a direct connection: printed, and never asserted. `make bench-network`.

use crate::world::{Rules, World, has_descriptors};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

const ROUNDS: usize = 400;
const CROWD: usize = 1000;

async fn median(mut once: impl AsyncFnMut()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        once().await;
        times.push(begin.elapsed());
    }
    times.sort();
    times[ROUNDS / 2]
}

/// Connects, and has two round trips, as TLS does.
async fn greet(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for _ in 0..2 {
        stream.write_all(&[0; 600]).await.unwrap();
        stream.read_exact(&mut [0; 600]).await.unwrap();
    }
}

/// So many at once, each of which then has two round trips.
async fn crowd(address: SocketAddr) -> Duration {
    let begin = Instant::now();
    let all: JoinSet<()> = (0..CROWD).map(|_| greet(address)).collect();
    all.join_all().await;
    begin.elapsed()
}

/// Asks for the address of a name.
async fn ask(name_server: SocketAddr) -> Duration {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let question = crate::names::question("good.example");
    median(async || {
        socket.send_to(&question, name_server).await.unwrap();
        socket.recv(&mut [0; 512]).await.unwrap();
    })
    .await
}

fn serve(server: TcpListener) {
    std::thread::spawn(move || {
        let server = server.into_std().unwrap();
        server.set_nonblocking(false).unwrap();
        for mut stream in server.incoming().flatten() {
            std::thread::spawn(move || {
                use std::io::{Read, Write};
                let mut piece = [0; 600];
                stream.set_nodelay(true).unwrap();
                while stream.read_exact(&mut piece).is_ok() {
                    if piece[0] == 1 {
                        let block = vec![0; 1 << 20];
                        for _ in 0..1024 {
                            let _ = stream.write_all(&block);
                        }
                        return;
                    }
                    let _ = stream.write_all(&piece);
                }
            });
        }
    });
}

async fn download(address: SocketAddr) -> f64 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[1; 600]).await.unwrap();
    let begin = Instant::now();
    let (mut block, mut all) = (vec![0; 1 << 20], 0);
    while let Ok(length @ 1..) = stream.read(&mut block).await {
        all += length;
    }
    assert_eq!(all, 1 << 30);
    begin.elapsed().as_secs_f64()
}

#[tokio::test]
#[ignore = "a measurement"]
async fn speed() {
    if !has_descriptors() {
        return;
    }
    let (tell, told) = tokio::sync::oneshot::channel();
    // On a thread of its own, as in a server.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new(Rules::allowing(&["good.example"]));
            let (server, port) = world.server().await;
            serve(server);
            let name = egress::Name::new("good.example").unwrap();
            let (address, _) = world.egress.names().addresses_of(&name).unwrap();
            tell.send((address, port, world.name_server)).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let (address, port, name_server) = told.await.unwrap();
    let direct: SocketAddr = (Ipv6Addr::LOCALHOST, port).into();
    let through: SocketAddr = (address, port).into();
    for _ in 0..3 {
        let (one, other) = (median(|| greet(direct)).await, median(|| greet(through)).await);
        println!("connect and two round trips: direct {one:?}, through {other:?}");
    }
    for _ in 0..3 {
        println!("a name's address: {:?}", ask(name_server).await);
        let (one, other) = (crowd(direct).await, crowd(through).await);
        println!("{CROWD} connections at once: direct {one:?}, through {other:?}");
    }
    for _ in 0..7 {
        let (one, other) = (download(direct).await, download(through).await);
        println!("1 GB: direct {one:.2} s, through {other:.2} s, {:.2} x", one / other);
    }
}
