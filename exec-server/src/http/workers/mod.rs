//! Principals with users of their own: each is served by a process that runs as his user, so that the kernel keeps them apart
//! also where commands run outside the sandbox, and that nothing is done for him with more rights than his.
//!
//! The front, which runs as root, knows who asks, and passes requests on; it opens nothing that is a principal's.

mod folders;
mod log;
mod seat;
mod summed;
mod turns;
mod uids;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::Full;
use hyper::body::Bytes;
use rustix::process::Signal;
use shell_engine::shell::Places;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, broadcast, mpsc};

use super::listener::remove_stale;
use super::principal::Identity;
use super::room::Room;
use crate::channels::{FromTerminal, NoAnswer as NotAnswered};
use crate::sys::keep;
use folders::Folders;
use summed::Summed;
use worker::{Started, Worker};

pub use folders::PlaceError;
pub(super) use seat::Seat;
pub(super) use turns::Asked;
use uids::EXAMPLE;
pub use uids::{UidRange, UidRangeError};
pub(super) use worker::NoAnswer;

/// How long a worker that is killed after all may take to be gone.
const GONE: Duration = Duration::from_secs(2);

/// How long a worker may take to hear that it is told to end, before it is told again.
const AGAIN_TOLD: Duration = Duration::from_millis(100);

/// How long a view waits before it looks at a worker's questions again.
const AGAIN: Duration = Duration::from_secs(1);

/// Workers that views have not heard of yet.
const NEW: usize = 1024;

/// Messages about questions that lie ready for a view.
const READY: usize = 8;

/// How many times a request is given to a new worker because the one before had ended.
const ATTEMPTS: usize = 3;

/// How the front serves principals by processes of theirs.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) uids: UidRange,
    /// The folder for workspaces.
    pub(super) workspaces: PathBuf,
    /// The folder for sessions, if servers share one.
    pub(super) sessions: Option<PathBuf>,
    /// The folder for sockets, which nobody but the front can go into.
    pub(super) sockets: PathBuf,
    pub(super) secret: String,
    pub(super) server: String,
    pub(super) operator: PathBuf,
    /// The most commands of one that run at a time.
    pub(super) calls: usize,
    /// The most requests of one that are answered at a time.
    pub(super) requests: usize,
    /// The most that are served.
    pub(super) most: usize,
    /// What all of them take turns at.
    pub(super) places: Places,
}

/// Why principals cannot have users of their own.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// The server cannot become them.
    #[error("--tenant-uids: only root can run commands as other users, and this server is user {0}")]
    NotRoot(u32),
    /// Who asks is not known.
    #[error("--tenant-uids: nothing says who asks; give --token-file, --jwks or --proxy")]
    NobodyKnown,
    /// Somebody on this machine would be a principal, or can become one.
    #[error(
        "--tenant-uids: numbers of the range are somebody's already: {0}; an example that is nobody's: {EXAMPLE}"
    )]
    Taken(String),
    /// Whoever is asked would be asked by a principal's process.
    #[error(
        "--tenant-uids: --approval-command and --approval-webhook would run as the principal that asks; people answer at /approve instead"
    )]
    Approvals,
    /// Principals could say that they are others.
    #[error(
        "--tenant-uids: programs that rules let outside reach this machine's addresses as the proxy does, and could say that they are anybody; use --http unix:PATH with --proxy unix"
    )]
    ProxyInReach,
    /// Control groups are not made for other users.
    #[error(
        "--tenant-uids: memory_max and cpu_max cannot be had with it; bound the users by the system (user-UID.slice)"
    )]
    Bounds,
    /// The folders cannot be had.
    #[error("--tenant-uids: {0}")]
    Place(#[from] PlaceError),
    /// A worker cannot be started.
    #[error("--tenant-uids: a process for a principal cannot be started")]
    Start(#[source] io::Error),
    /// One could not serve anybody.
    #[error(
        "--tenant-uids: as user {0} nobody could be served (see above); Bash, the wrapper, $CODEX_HOME with its rules and its config.toml must be readable for all"
    )]
    Trial(u32),
    /// There are too many already.
    #[error("the server serves as many as it may; ask again later")]
    Full,
}

/// The workers of all principals.
#[derive(Debug)]
pub(super) struct Workers {
    plan: Plan,
    folders: Folders,
    live: Mutex<Live>,
    made: broadcast::Sender<Arc<Worker>>,
}

#[derive(Debug, Default)]
struct Live {
    workers: BTreeMap<Identity, Served>,
    /// How many there have been.
    number: u64,
    /// What those counted that have ended.
    ended: Summed,
}

#[derive(Clone, Debug)]
struct Served {
    worker: Arc<Worker>,
    requests: Arc<Semaphore>,
    room: Room,
}

impl Workers {
    /// None yet. It is tried whether there could be one.
    pub(super) async fn new(plan: Plan) -> Result<Workers, WorkersError> {
        keep_descriptors().map_err(WorkersError::Start)?;
        for left in std::fs::read_dir(&plan.sockets).into_iter().flatten().flatten() {
            let _ = remove_stale(&left.path());
        }
        let folders =
            Folders::new(plan.workspaces.clone(), plan.sessions.clone(), plan.secret.clone(), plan.uids)?;
        let workers = Workers { plan, folders, live: Mutex::default(), made: broadcast::Sender::new(NEW) };
        workers.try_one().await?;
        Ok(workers)
    }

    /// Has somebody's worker answer a request.
    pub(super) async fn answer(
        self: &Arc<Workers>,
        identity: &Identity,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Body>, NoAnswer> {
        let mut refused = None;
        for _ in 0..ATTEMPTS {
            let worker = match self.of(identity) {
                Ok(served) => served.worker,
                Err(error) => return Err(NoAnswer::NotBegun(io::Error::other(error))),
            };
            match worker.answer(request.clone()).await {
                // Nobody listens any more: as soon as that is noticed, another one begins.
                Err(NoAnswer::NotBegun(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    refused = Some(error);
                    let _ = tokio::time::timeout(GONE, worker.gone.cancelled()).await;
                }
                answered => return answered,
            }
        }
        Err(NoAnswer::NotBegun(refused.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into())))
    }

    /// The places for somebody's requests, and the room for his messages.
    pub(super) fn places(
        self: &Arc<Workers>,
        identity: &Identity,
    ) -> Result<(Arc<Semaphore>, Room), WorkersError> {
        self.of(identity).map(|served| (served.requests, served.room))
    }

    /// Whether somebody is served already.
    pub(super) fn has(&self, identity: &Identity) -> bool {
        self.live().workers.contains_key(identity)
    }

    /// How many are served.
    pub(super) fn count(&self) -> usize {
        self.live().workers.len()
    }

    /// Has all of them take nothing new, and end as soon as nothing runs.
    pub(super) fn leave(&self) {
        for worker in self.all() {
            worker.signal(Signal::TERM);
        }
    }

    /// Completes when all have ended.
    pub(super) async fn all_ended(&self) {
        for worker in self.all() {
            worker.gone.cancelled().await;
        }
    }

    /// Ends all, those that have not ended within `timeout` at once.
    pub(super) async fn close(&self, timeout: Duration) {
        // Who is told again does not wait any longer.
        self.leave();
        tokio::time::sleep(AGAIN_TOLD).await;
        self.leave();
        if tokio::time::timeout(timeout, self.all_ended()).await.is_err() {
            self.all().iter().for_each(|worker| worker.signal(Signal::KILL));
            let _ = tokio::time::timeout(GONE, self.all_ended()).await;
        }
    }

    /// What is asked by all, and by those who come, as messages for a view.
    pub(super) fn questions(self: &Arc<Workers>) -> mpsc::Receiver<Vec<u8>> {
        let (sender, receiver) = mpsc::channel(READY);
        let (mut made, there) = (self.made.subscribe(), self.all());
        tokio::spawn(async move {
            let mut telling = tokio::task::JoinSet::new();
            there.into_iter().for_each(|worker| drop(telling.spawn(tell_of(worker, sender.clone()))));
            loop {
                let new = tokio::select! {
                    new = made.recv() => new,
                    () = sender.closed() => return,
                };
                match new {
                    Ok(worker) => drop(telling.spawn(tell_of(worker, sender.clone()))),
                    // The view is let go, and comes again to see all of them.
                    Err(_) => return,
                }
            }
        });
        receiver
    }

    /// Passes an answer on to the worker whose question it is for.
    pub(super) async fn answered(&self, answer: FromTerminal) -> Result<(), NotAnswered> {
        let (number, answer) = answer.relayed().ok_or(NotAnswered::NotOpen)?;
        let worker = self.all().into_iter().find(|worker| worker.number == number);
        let worker = worker.ok_or(NotAnswered::NotOpen)?;
        let answer = serde_json::to_vec(&answer).map_err(|_| NotAnswered::NotOpen)?;
        match worker.answered(answer).await {
            Some(204) => Ok(()),
            Some(422) => Err(NotAnswered::NoChoice),
            _ => Err(NotAnswered::NotOpen),
        }
    }

    /// What the front has counted, and its workers.
    pub(super) async fn metrics(&self, own: &str) -> String {
        let mut sum = Summed::of_front(own);
        sum.add_sum(&self.live().ended);
        let mut asking = tokio::task::JoinSet::new();
        for worker in self.all() {
            asking.spawn(async move { worker.metrics().await });
        }
        while let Some(text) = asking.join_next().await {
            if let Ok(Some(text)) = text {
                sum.add(&text);
            }
        }
        sum.text()
    }

    fn all(&self) -> Vec<Arc<Worker>> {
        self.live().workers.values().map(|served| Arc::clone(&served.worker)).collect()
    }

    fn of(self: &Arc<Workers>, identity: &Identity) -> Result<Served, WorkersError> {
        let mut live = self.live();
        if let Some(served) = live.workers.get(identity) {
            return Ok(served.clone());
        }
        if live.workers.len() >= self.plan.most {
            return Err(WorkersError::Full);
        }
        let place = self.folders.of(identity)?;
        live.number += 1;
        let seat = self.plan.seat(Some(identity.clone()), &place);
        let started = Worker::start(&seat, &place, (live.number, self.plan.socket(live.number)));
        let Started { worker, child, link, said } = started.map_err(WorkersError::Start)?;
        let worker = Arc::new(worker.ok_or_else(|| WorkersError::Start(io::ErrorKind::NotFound.into()))?);
        let link = UnixStream::from_std(link).map_err(WorkersError::Start)?;
        let said = said.map(UnixStream::from_std).transpose().map_err(WorkersError::Start)?;
        let requests = Arc::new(Semaphore::new(self.plan.requests));
        let served = Served { worker: Arc::clone(&worker), requests, room: Room::new() };
        live.workers.insert(identity.clone(), served.clone());
        drop(live);
        let _ = self.made.send(Arc::clone(&worker));
        if let Some(said) = said {
            tokio::spawn(log::pass_on(said, worker.identity.name.clone()));
        }
        tokio::spawn(Arc::clone(self).attend(worker, child, link));
        Ok(served)
    }

    /// Gives a worker turns until it is gone.
    async fn attend(self: Arc<Workers>, worker: Arc<Worker>, mut child: Child, link: UnixStream) {
        let idle = || {
            if !worker.resting.swap(true, Ordering::Relaxed) {
                let (workers, worker) = (Arc::clone(&self), Arc::clone(&worker));
                tokio::spawn(async move {
                    workers.rest(&worker).await;
                    worker.resting.store(false, Ordering::Relaxed);
                });
            }
        };
        let given = turns::give(link, self.plan.places.user(), self.plan.calls, idle).await;
        if given.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            tracing::error!(principal = %worker.identity, "a principal's process says what it must not, and is ended");
        }
        self.forget(&worker);
        // Nothing is waited for that could be held up by it: it has been told, and is killed if it does not end.
        let _ = child.kill();
        worker.ended.cancel();
        let _ = tokio::task::spawn_blocking(move || child.wait()).await;
        worker.gone.cancel();
    }

    /// Ends a worker that has had nothing to do for long, if that is still so.
    async fn rest(&self, worker: &Arc<Worker>) {
        let counted = worker.metrics().await;
        let mut live = self.live();
        let busy = |served: &Served| {
            !Arc::ptr_eq(&served.worker, worker) || served.requests.available_permits() < self.plan.requests
        };
        if live.workers.get(&worker.identity).is_none_or(busy) {
            return;
        }
        live.workers.remove(&worker.identity);
        if let Some(text) = counted {
            live.ended.add(&text);
        }
        worker.signal(Signal::TERM);
    }

    fn forget(&self, worker: &Arc<Worker>) {
        let mut live = self.live();
        if live.workers.get(&worker.identity).is_some_and(|served| Arc::ptr_eq(&served.worker, worker)) {
            live.workers.remove(&worker.identity);
        }
    }

    /// Tries whether somebody could be served as a user of the range.
    async fn try_one(&self) -> Result<(), WorkersError> {
        let uid = self.plan.uids.last();
        let temporary = folders::temporary(&self.folders, uid)?;
        let home = temporary.path().to_owned();
        let place = folders::Place { uid, own: home.join("own"), sessions: home.join("sessions"), home };
        let seat = self.plan.seat(None, &place);
        let socket = self.plan.socket(0);
        let started = Worker::start(&seat, &place, (0, socket.clone()));
        let _ = std::fs::remove_file(&socket);
        let Started { mut child, link: _link, .. } = started.map_err(WorkersError::Start)?;
        let ended = tokio::task::spawn_blocking(move || child.wait()).await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            _ => Err(WorkersError::Trial(uid)),
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn seat(&self, identity: Option<Identity>, place: &folders::Place) -> Seat {
        Seat {
            identity,
            server: self.server.clone(),
            operator: self.operator.clone(),
            home: place.home.clone(),
            own: place.own.clone(),
            sessions: place.sessions.clone(),
            calls: self.calls,
        }
    }

    fn socket(&self, number: u64) -> PathBuf {
        self.sockets.join(format!("{}-{number}", self.server))
    }
}

/// Whether this process can become users of this range, who are nobody else.
pub(super) fn can_become(range: UidRange) -> Result<(), WorkersError> {
    let user = rustix::process::geteuid();
    if !user.is_root() {
        return Err(WorkersError::NotRoot(user.as_raw()));
    }
    match range.taken(|path| std::fs::read_to_string(path).unwrap_or_default())[..] {
        [] => Ok(()),
        ref taken => Err(WorkersError::Taken(taken.join(", "))),
    }
}

/// Has no worker inherit what whoever started this process had open.
fn keep_descriptors() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Ok(number) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
        if number > 2 {
            keep(number);
        }
    }
    Ok(())
}

/// Tells a view of a worker's questions until either is gone.
async fn tell_of(worker: Arc<Worker>, view: mpsc::Sender<Vec<u8>>) {
    loop {
        let told = worker.questions(&view);
        tokio::select! {
            () = told => {}
            () = view.closed() => return,
        }
        tokio::select! {
            () = worker.gone.cancelled() => return,
            () = view.closed() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}
