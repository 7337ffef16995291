//! Ports of programs inside, reachable on this machine's own loopback: the other way round, for a person's browser.

use crate::exchange::{Counts, exchange, reset};
use rustix::net::{AddressFamily, sockopt};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// Connections to one port at the same time: more wait.
const MOST: usize = 256;
/// Sockets that are made at once.
const AT_ONCE: u16 = 8;
/// How long a program may take to accept, and how long to wait when there are no descriptors left.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// Who makes TCP sockets that are inside.
pub trait Sockets: std::fmt::Debug + Send + Sync + 'static {
    /// Makes so many, or fewer. May take a moment.
    ///
    /// # Errors
    /// When there are none to be had.
    fn make(&self, count: u16) -> io::Result<Vec<OwnedFd>>;
}

/// A port that is reachable from outside. Dropping it ends that, and its connections.
#[derive(Debug)]
pub struct Published {
    address: SocketAddr,
    task: AbortHandle,
}

impl Published {
    /// Publishes what listens inside at an address, at the same port of this machine's loopback, or at another one where that is
    /// taken.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn open(inside: SocketAddr, sockets: Arc<dyn Sockets>, runtime: &Handle) -> io::Result<Published> {
        let listen = |port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = match listen(inside.port()) {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) =>
            {
                listen(0)?
            }
            other => other?,
        };
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let _entered = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let made = Made { sockets, left: Mutex::default() };
        let task = runtime.spawn(accept(listener, inside, Arc::new(made))).abort_handle();
        Ok(Published { address, task })
    }

    /// Returns where it is reachable.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sockets that were made and not used yet.
struct Made {
    sockets: Arc<dyn Sockets>,
    left: Mutex<Vec<OwnedFd>>,
}

impl Made {
    async fn take(self: &Arc<Self>) -> io::Result<OwnedFd> {
        if let Some(socket) = self.left.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(socket);
        }
        let maker = Arc::clone(&self.sockets);
        let made = tokio::task::spawn_blocking(move || maker.make(AT_ONCE)).await;
        let mut made = made.map_err(io::Error::other)??;
        let taken = made.pop().ok_or(io::ErrorKind::NotConnected)?;
        self.left.lock().unwrap_or_else(PoisonError::into_inner).append(&mut made);
        Ok(taken)
    }
}

async fn accept(listener: TcpListener, inside: SocketAddr, made: Arc<Made>) {
    let room = Arc::new(Semaphore::new(MOST));
    // They end with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(room) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((outer, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let made = Arc::clone(&made);
        connections.spawn(async move {
            if connect(&outer, inside, &made).await.is_err() {
                reset(&outer);
            }
            drop(room);
        });
    }
}

async fn connect(outer: &TcpStream, inside: SocketAddr, made: &Arc<Made>) -> io::Result<()> {
    let socket = made.take().await?;
    let is_v6 = sockopt::socket_domain(&socket)? == AddressFamily::INET6;
    rustix::io::ioctl_fionbio(&socket, true)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    let connected = tokio::time::timeout(PATIENCE, socket.connect(reached(inside, is_v6))).await;
    let program = connected.map_err(|_| io::ErrorKind::TimedOut)??;
    for stream in [outer, &program] {
        // Without, small messages wait for each other.
        let _ = stream.set_nodelay(true);
    }
    exchange(outer, &program, Vec::new(), None, &Counts::default()).await.map_err(|_| {
        reset(&program);
        io::ErrorKind::ConnectionReset.into()
    })
}

/// The address to connect to for what listens at this one, over a socket of either kind.
fn reached(inside: SocketAddr, is_v6: bool) -> SocketAddr {
    let any = inside.ip().is_unspecified();
    let address: IpAddr = match inside.ip() {
        IpAddr::V4(address) => {
            let address = if any { Ipv4Addr::LOCALHOST } else { address };
            if is_v6 { address.to_ipv6_mapped().into() } else { address.into() }
        }
        IpAddr::V6(address) => if any { Ipv6Addr::LOCALHOST } else { address }.into(),
    };
    SocketAddr::new(address, inside.port())
}
