//! One egress: listeners inside, and the life of each connection that comes to them.

use crate::dns;
use crate::exchange::{self, Broken, reset};
use crate::hello::Inspector;
use crate::judge::{Attempt, Failure, Judge, Record, Verdict};
use crate::name::Host;
use crate::open::{Connections, Limits, OpenConnection, Owner, Place};
use crate::outside;
use crate::proxy::{self, Wanted, Way};
use crate::published::Sockets;
use crate::range::{Names, Range};
use crate::resolve::Resolve;
use rustix::net::{AddressFamily, sockopt};
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// Connections that the kernel keeps for a listener until they are accepted.
const BACKLOG: i32 = 4096;
/// Connections at a time of which it is not known yet whose they are.
const MOST_ARRIVING: usize = 1024;
/// Ports that are listened on at a time.
const MOST_PORTS: usize = 64;
/// Sockets for them that are made at once.
const AT_ONCE: u16 = 16;
/// How long to wait when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(20);

/// The sockets of an egress, which belong to a network namespace whose connections it makes outside.
#[derive(Debug)]
pub struct Inside {
    /// The range that is local where the listeners are.
    pub range: Range,
    /// TCP sockets that are not bound yet, for ports that will be listened on.
    pub unbound: Vec<OwnedFd>,
    /// Who makes more of them when they are used up, if anybody does.
    pub more: Option<Arc<dyn Sockets>>,
    /// Where names are asked for: bound UDP sockets, and TCP sockets that listen.
    pub datagrams: Vec<OwnedFd>,
    /// See above.
    pub streams: Vec<OwnedFd>,
    /// TCP sockets that listen already, in the place of addresses that are meant as such.
    pub listening: Vec<OwnedFd>,
    /// TCP sockets that listen already, and at which programs ask for hosts as at a proxy (HTTP, SOCKS 5).
    pub proxies: Vec<OwnedFd>,
}

/// Makes connections outside for those made inside. Dropping it ends all of them.
#[derive(Debug)]
pub struct Egress {
    shared: Arc<Shared>,
    runtime: Handle,
    listening: Mutex<Listening>,
}

#[derive(Debug, Default)]
struct Listening {
    unbound: Vec<OwnedFd>,
    more: Option<Arc<dyn Sockets>>,
    ports: HashSet<u16>,
    tasks: Vec<AbortHandle>,
}

struct Shared {
    names: Arc<Names>,
    connections: Arc<Connections>,
    /// Room for connections of which it is not known yet whose they are.
    arrivals: Arc<Semaphore>,
    judge: Arc<dyn Judge>,
    resolver: Arc<dyn Resolve>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// Why a port is not listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// All sockets are in use.
    #[error("so many ports are listened on that there is no socket left for another")]
    NoSocketLeft,
    /// The system refuses.
    #[error("port {0} cannot be listened on")]
    Refused(u16, #[source] io::Error),
}

impl Egress {
    /// Begins to answer for names, in the runtime that this is called in. No port is listened on yet.
    ///
    /// # Errors
    /// When a socket is not what it should be.
    pub fn start(
        inside: Inside,
        judge: Arc<dyn Judge>,
        resolver: Arc<dyn Resolve>,
        limits: Limits,
        owner: &Owner,
    ) -> io::Result<Egress> {
        let names = Arc::new(Names::new(inside.range));
        let mut tasks = Vec::new();
        for socket in inside.datagrams {
            rustix::io::ioctl_fionbio(&socket, true)?;
            let socket = UdpSocket::from_std(socket.into())?;
            tasks.push(tokio::spawn(dns::serve_datagrams(socket, Arc::clone(&names))).abort_handle());
        }
        for socket in inside.streams {
            rustix::io::ioctl_fionbio(&socket, true)?;
            let socket = TcpListener::from_std(socket.into())?;
            tasks.push(tokio::spawn(dns::serve_streams(socket, Arc::clone(&names))).abort_handle());
        }
        let connections = Arc::new(Connections::new(limits, owner.clone()));
        let arrivals = Arc::new(Semaphore::new(MOST_ARRIVING.min(limits.connections)));
        let shared = Arc::new(Shared { names, connections, arrivals, judge, resolver });
        let direct = inside.listening.into_iter().map(|socket| (socket, Shared::receive as Receive));
        let proxies = inside.proxies.into_iter().map(|socket| (socket, Shared::receive_for_proxy as Receive));
        for (socket, receive) in direct.chain(proxies) {
            rustix::io::ioctl_fionbio(&socket, true)?;
            let socket = TcpListener::from_std(socket.into())?;
            tasks.push(tokio::spawn(accept(socket, Arc::clone(&shared), receive)).abort_handle());
        }
        let Inside { unbound, more, .. } = inside;
        let listening = Listening { unbound, more, ports: HashSet::new(), tasks };
        Ok(Egress { shared, runtime: Handle::current(), listening: Mutex::new(listening) })
    }

    /// Returns the names that have addresses.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.shared.names
    }

    /// Listens on a port of all addresses of the range, if that is not done yet. Blocks while more sockets are made.
    ///
    /// # Errors
    /// When there is no socket for it, or the port is taken.
    pub fn listen(&self, port: u16) -> Result<(), ListenError> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if listening.ports.contains(&port) {
            return Ok(());
        }
        let socket = listening.take_unbound().ok_or(ListenError::NoSocketLeft)?;
        let task = self.bind(socket, port).map_err(|error| ListenError::Refused(port, error))?;
        listening.ports.insert(port);
        listening.tasks.push(task);
        Ok(())
    }

    /// Lists the connections that are made.
    #[must_use]
    pub fn open(&self) -> Vec<OpenConnection> {
        self.shared.connections.list()
    }

    /// Ends the connections that are made and not to be kept, by what they are and why they were allowed.
    pub fn retain(&self, keep: impl Fn(&Attempt, &str) -> bool) {
        self.shared.connections.retain(keep);
    }

    fn bind(&self, socket: OwnedFd, port: u16) -> io::Result<AbortHandle> {
        let any: IpAddr = match sockopt::socket_domain(&socket)? {
            AddressFamily::INET6 => {
                sockopt::set_ipv6_v6only(&socket, false)?;
                Ipv6Addr::UNSPECIFIED.into()
            }
            _ => Ipv4Addr::UNSPECIFIED.into(),
        };
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &SocketAddr::new(any, port))?;
        rustix::net::listen(&socket, BACKLOG)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        let _entered = self.runtime.enter();
        let listener = TcpListener::from_std(socket.into())?;
        Ok(self.runtime.spawn(accept(listener, Arc::clone(&self.shared), Shared::receive)).abort_handle())
    }
}

impl Listening {
    fn take_unbound(&mut self) -> Option<OwnedFd> {
        let left = MOST_PORTS.saturating_sub(self.ports.len());
        if let (true, 1.., Some(sockets)) = (self.unbound.is_empty(), left, &self.more) {
            let count = AT_ONCE.min(u16::try_from(left).unwrap_or(AT_ONCE));
            // The next port tries again.
            self.unbound = sockets.make(count).unwrap_or_default();
        }
        self.unbound.pop()
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        listening.tasks.iter().for_each(AbortHandle::abort);
        self.shared.connections.end_all();
    }
}

/// Takes a connection from inside, from this address.
type Receive = fn(&Arc<Shared>, TcpStream, SocketAddr);

async fn accept(listener: TcpListener, shared: Arc<Shared>, receive: Receive) {
    loop {
        match listener.accept().await {
            Ok((program, from)) => receive(&shared, program, from),
            // There are no descriptors left, or what came is gone.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A connection that has come, and what its program wants.
struct Arrived {
    attempt: Attempt,
    program: TcpStream,
    /// How a proxy was asked for it, and what the program has said already to the host.
    way: Option<Way>,
    said: Vec<u8>,
    begin: Instant,
}

impl Shared {
    /// Takes a connection from inside, or resets it at once. The socket of a program that has given up already does not know
    /// any more where it comes `from`.
    fn receive(self: &Arc<Self>, program: TcpStream, from: SocketAddr) {
        let begin = Instant::now();
        let Ok(here) = program.local_addr() else { return reset(&program) };
        let (from, here) = (canonical(from), canonical(here));
        let address = here.ip();
        let name = self.names.connected(address);
        let is_unknown = name.is_none() && self.names.range().place_of(address).is_some();
        let host = name.map_or(Host::Address(address), Host::Name);
        let number = self.connections.number();
        let attempt = Attempt { number, host, port: here.port(), program: from, inside: here };
        let arrived = Arrived { attempt, program, way: None, said: Vec::new(), begin };
        let room = if is_unknown { None } else { Arc::clone(&self.arrivals).try_acquire_owned().ok() };
        let Some(room) = room else {
            let failure = if is_unknown { Failure::UnknownAddress } else { Failure::TooMany };
            return self.turn_away(&arrived, failure);
        };
        tokio::spawn(Arc::clone(self).serve(arrived, room));
    }

    /// The same at a proxy, where the program says what it wants. Until then it has a place of its share like any other.
    fn receive_for_proxy(self: &Arc<Self>, program: TcpStream, from: SocketAddr) {
        let begin = Instant::now();
        let room = Arc::clone(&self.arrivals).try_acquire_owned();
        let (Ok(here), Ok(room)) = (program.local_addr(), room) else { return reset(&program) };
        let (from, here) = (canonical(from), canonical(here));
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let number = shared.connections.number();
            let Some(mut place) = shared.enter(number, from, here, room).await else {
                return reset(&program);
            };
            let heard = tokio::select! {
                heard = proxy::hear(&program) => heard,
                // The egress itself ends.
                _ = &mut place.ended => None,
            };
            let Some(Wanted { host, port, way, said }) = heard else { return };
            let attempt = Attempt { number, host, port, program: from, inside: here };
            shared.see_through(Arrived { attempt, program, way: Some(way), said, begin }, place).await;
        });
    }

    async fn serve(self: Arc<Self>, arrived: Arrived, room: OwnedSemaphorePermit) {
        let Attempt { number, program, inside, .. } = arrived.attempt;
        match self.enter(number, program, inside, room).await {
            Some(place) => self.see_through(arrived, place).await,
            None => self.turn_away(&arrived, Failure::TooMany),
        }
    }

    /// Takes a place of the share that a connection counts to, if it is anybody's and there is one.
    async fn enter(
        &self,
        number: u64,
        program: SocketAddr,
        inside: SocketAddr,
        room: OwnedSemaphorePermit,
    ) -> Option<Place> {
        let share = self.judge.share(program, inside).await;
        drop(room);
        self.connections.enter(number, share?)
    }

    async fn see_through(&self, mut arrived: Arrived, place: Place) {
        let record = self.attend(&mut arrived, place).await;
        // Before the program sees its end, which it may tell of at once.
        self.judge.ended(&record);
        if let (Some(failure), None) = (&record.failure, record.address) {
            arrived.answer(failure).await;
        }
    }

    fn turn_away(&self, arrived: &Arrived, failure: Failure) {
        self.judge.ended(&Record { failure: Some(failure), ..arrived.record() });
        reset(&arrived.program);
    }

    /// The life of one connection.
    async fn attend(&self, arrived: &mut Arrived, mut place: Place) -> Record {
        let mut record = arrived.record();
        let counts = Arc::clone(&place.counts);
        let (end, ended) = tokio::sync::oneshot::channel();
        let mut told = std::mem::replace(&mut place.ended, ended);
        drop(end);
        let attended = self.make(&mut record, arrived, &place);
        let outcome = tokio::select! {
            outcome = attended => outcome,
            // Or the egress itself ends.
            told = &mut told => Err(told.ok()),
        };
        if let Err(failure) = outcome {
            record.failure = failure;
            // Whoever asked a proxy and was not told yet that there is a connection is told why not.
            let waits = arrived.way.is_some() && record.address.is_none() && record.failure.is_some();
            if !waits {
                reset(&arrived.program);
            }
        }
        record.sent = counts.sent.load(Ordering::Relaxed);
        record.received = counts.received.load(Ordering::Relaxed);
        record.duration = arrived.begin.elapsed();
        record
    }

    async fn make(
        &self,
        record: &mut Record,
        arrived: &mut Arrived,
        place: &Place,
    ) -> Result<(), Option<Failure>> {
        let said = std::mem::take(&mut arrived.said);
        let Arrived { attempt, program, way, .. } = &*arrived;
        let allowed = tokio::select! {
            verdict = self.judge.judge(attempt) => match verdict {
                Verdict::Allow(why) => why,
                Verdict::Refuse => return Err(Some(Failure::Refused)),
            },
            () = gone(program, way.is_some()) => return Err(None),
        };
        record.allowed = Some(allowed.clone());
        let server = outside::connect(attempt, &*self.judge, &*self.resolver).await.map_err(Some)?;
        record.address = server.peer_addr().ok();
        place.made(attempt, &allowed);
        self.judge.opened(attempt);
        if let Some(way) = way {
            way.made(program).await.map_err(|_| None)?;
        }
        for stream in [program, &server] {
            // Without, small messages wait for each other; and who is gone without a word holds a place for ever.
            let _ = stream.set_nodelay(true);
            let _ = sockopt::set_socket_keepalive(stream, true);
        }
        let inspector = Inspector::new(match &attempt.host {
            Host::Name(name) => Some(name.clone()),
            Host::Address(_) => None,
        });
        exchange::exchange(program, &server, said, inspector, &place.counts).await.map_err(|broken| {
            reset(&server);
            match broken {
                Broken::Reset => None,
                Broken::Forbidden(failure) => Some(failure),
            }
        })
    }
}

impl Arrived {
    fn record(&self) -> Record {
        Record {
            attempt: self.attempt.clone(),
            allowed: None,
            address: None,
            failure: None,
            sent: 0,
            received: 0,
            duration: self.begin.elapsed(),
        }
    }

    /// Says why there is no connection, where the program waits for an answer.
    async fn answer(&self, failure: &Failure) {
        if let Some(way) = self.way {
            // Who is gone needs none.
            let _ = way.failed(&self.program, failure).await;
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Completes when a program has given its connection up: it is reset, or ended without a word that was heard.
async fn gone(program: &TcpStream, was_heard: bool) {
    let mut byte = [0];
    if was_heard {
        let _ = program.ready(Interest::ERROR).await;
    } else if program.readable().await.is_ok() && program.peek(&mut byte).await.is_ok_and(|length| length > 0)
    {
        // It has said something, and may well have ended its side: it waits for the answer.
        let _ = program.ready(Interest::ERROR).await;
    }
}
