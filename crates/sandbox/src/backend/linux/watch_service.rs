//! Watches folders for the guards of all sessions of this process, with one inotify instance and one thread.
//!
//! A user of the system may have few instances (128 mostly), and each session would need one. The kernel gives a folder one
//! number in an instance, whoever asked for it, so it is written down here who wants to hear what of it. A guard is told by
//! a bell that something happened, and asks what. Before any answer all that the kernel has to tell is read, so whoever asks
//! hears of everything that was done before.
//!
//! What commands do in folders is hostile: what is kept for a guard is bounded, and beyond that it is told to look itself.

use super::packet;
use super::wire::{self, Happened, MAX_HAPPENED, WatchCommand, Watched};
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use std::collections::{HashMap, HashSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// All that anybody wants to hear of: the kernel keeps one set of events for a folder, that of who asked last.
const EVENTS: WatchFlags = WatchFlags::MOVED_TO
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ONLYDIR);

/// New folders of one session that are watched at once. Whoever makes one binds its socket at once.
const MOST_MADE: usize = 128;
/// The same when all sessions together have their part of the user's watches: commands make such folders.
const LEAST_MADE: usize = 16;
/// The part of the user's watches that is for new folders: one of so many.
const PART_FOR_MADE: usize = 4;

/// Of the events, that of the kernel's instance.
const KERNEL: u64 = 0;

/// The one of this process, while its thread runs.
static RUNNING: Mutex<Weak<Service>> = Mutex::new(Weak::new());

struct Service {
    inotify: OwnedFd,
    epoll: OwnedFd,
    state: Mutex<State>,
    /// The most events that the kernel keeps.
    queued: usize,
    /// New folders of all sessions that may be watched before each has to do with few.
    made: usize,
}

#[derive(Default)]
struct State {
    guards: HashMap<u64, Guard>,
    last: u64,
    /// Who wants to hear of a folder.
    folders: HashMap<i32, HashMap<u64, Interest>>,
    made: usize,
}

/// A guard, and what it has not been told yet.
struct Guard {
    socket: OwnedFd,
    bell: OwnedFd,
    rung: bool,
    happened: Happened,
    folders: HashSet<i32>,
    made: HashSet<i32>,
}

/// What one guard wants to hear of one folder.
#[derive(Default)]
struct Interest {
    /// That one of these names comes or goes.
    names: HashSet<Vec<u8>>,
    /// Every name that comes.
    newcomers: bool,
}

/// Makes a guard's ends of a socket and of a bell. The first one of this process starts the thread.
///
/// # Errors
/// When the user has no inotify instance left.
pub(super) fn join() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let service = match running.upgrade() {
        Some(service) => service,
        None => Service::start(&mut running)?,
    };
    service.admit()
}

impl Service {
    fn start(running: &mut Weak<Service>) -> io::Result<Arc<Service>> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &inotify, epoll::EventData::new_u64(KERNEL), epoll::EventFlags::IN)?;
        let queued = limit("max_queued_events", 16_384);
        let made = limit("max_user_watches", 8192) / PART_FOR_MADE;
        let service = Arc::new(Service { inotify, epoll, state: Mutex::default(), queued, made });
        let own = Arc::clone(&service);
        std::thread::Builder::new().name("sandbox-watch".into()).spawn(move || own.serve())?;
        *running = Arc::downgrade(&service);
        Ok(service)
    }

    fn admit(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        let (socket, theirs) = packet::pair()?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let their_bell = bell.try_clone()?;
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        state.guards.insert(number, Guard::new(socket, bell));
        Ok((theirs, their_bell))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        loop {
            let mut ready = [MaybeUninit::uninit(); 64];
            let ready = match epoll::wait(&self.epoll, &mut ready[..], None) {
                Ok((ready, _)) => ready,
                Err(Errno::INTR) => continue,
                // Nobody is told anything any more: the guards notice, and end their sessions.
                Err(_) => return,
            };
            let mut state = self.state();
            self.hear(&mut state);
            for number in ready.iter().map(|event| event.data.u64()).filter(|number| *number != KERNEL) {
                if self.answer(&mut state, number).is_none() {
                    self.dismiss(&mut state, number);
                }
            }
        }
    }

    /// Reads what the kernel has to tell at this moment, and no more: who makes events fast must not keep others waiting.
    fn hear(&self, state: &mut State) {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        for _ in 0..=self.queued {
            let Ok(event) = reader.next() else { return };
            let name = event.file_name().map(std::ffi::CStr::to_bytes);
            state.tell(event.wd(), event.events(), name);
        }
    }

    /// Answers one message of a guard's; `None` when it is gone.
    fn answer(&self, state: &mut State, number: u64) -> Option<()> {
        let packet = packet::receive(&state.guards.get(&number)?.socket, RecvFlags::DONTWAIT);
        let packet = match packet {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(()),
            packet => packet.ok()??,
        };
        let command = wire::decode(&packet.bytes).ok()?;
        // What was done before it asked.
        self.hear(state);
        match command {
            WatchCommand::Watch(folders) => {
                let added: Vec<i32> =
                    folders.into_iter().map(|folder| self.watch(state, number, folder)).collect();
                state.guards.get(&number)?.say(&added)
            }
            WatchCommand::Forget { watch } => {
                self.forget(state, number, watch, false);
                state.guards.get(&number)?.say(&())
            }
            WatchCommand::Take => {
                let guard = state.guards.get_mut(&number)?;
                guard.rung = false;
                let happened = std::mem::take(&mut guard.happened);
                guard.say(&happened)
            }
        }
    }

    /// Watches a folder for a guard. Returns its number, or the negative one of an error.
    fn watch(&self, state: &mut State, number: u64, folder: Watched) -> i32 {
        let Some(guard) = state.guards.get_mut(&number) else { return -Errno::SRCH.raw_os_error() };
        let most = if state.made < self.made { MOST_MADE } else { LEAST_MADE };
        if folder.made && guard.made.len() >= most {
            return -Errno::NOSPC.raw_os_error();
        }
        // A link in the place of a new folder leads elsewhere.
        let follow = if folder.names.is_some() { WatchFlags::empty() } else { WatchFlags::DONT_FOLLOW };
        match inotify::add_watch(&self.inotify, &*folder.folder, EVENTS | follow) {
            Err(errno) => -errno.raw_os_error(),
            Ok(watch) => {
                guard.folders.insert(watch);
                if folder.made && guard.made.insert(watch) {
                    state.made += 1;
                }
                let interest = state.folders.entry(watch).or_default().entry(number).or_default();
                interest.newcomers |= folder.names.is_none();
                interest.names.extend(folder.names.into_iter().flatten());
                watch
            }
        }
    }

    /// Tells a guard no more of what comes to a folder, nor, with `all`, of anything there. A folder of which nobody wants to
    /// hear is not watched any more.
    fn forget(&self, state: &mut State, number: u64, watch: i32, all: bool) {
        let Some(guard) = state.guards.get_mut(&number) else { return };
        let Some(interested) = state.folders.get_mut(&watch) else { return };
        state.made -= usize::from(guard.made.remove(&watch));
        match interested.get_mut(&number) {
            Some(interest) if !all && !interest.names.is_empty() => interest.newcomers = false,
            _ => {
                interested.remove(&number);
                guard.folders.remove(&watch);
            }
        }
        if interested.is_empty() {
            state.folders.remove(&watch);
            let _ = inotify::remove_watch(&self.inotify, watch);
        }
    }

    fn dismiss(&self, state: &mut State, number: u64) {
        let Some(guard) = state.guards.get(&number) else { return };
        let folders: Vec<i32> = guard.folders.iter().copied().collect();
        for watch in folders {
            self.forget(state, number, watch, true);
        }
        if let Some(guard) = state.guards.remove(&number) {
            // A copy of the socket may be open elsewhere, and would be told of on and on.
            let _ = epoll::delete(&self.epoll, guard.socket.as_fd());
        }
    }
}

impl State {
    /// Tells whoever wants to hear of it.
    fn tell(&mut self, watch: i32, events: ReadFlags, name: Option<&[u8]>) {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            for guard in self.guards.values_mut() {
                guard.happened.concerned = true;
                guard.happened.lost = true;
                guard.ring();
            }
        } else if events.contains(ReadFlags::IGNORED) {
            for (number, interest) in self.folders.remove(&watch).unwrap_or_default() {
                let Some(guard) = self.guards.get_mut(&number) else { continue };
                guard.folders.remove(&watch);
                self.made -= usize::from(guard.made.remove(&watch));
                guard.has_lost(watch, &interest);
            }
        } else if let (Some(interested), Some(name)) = (self.folders.get(&watch), name) {
            let comes = events.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
            for (number, interest) in interested {
                if let Some(guard) = self.guards.get_mut(number) {
                    guard.hear(watch, name, comes, interest);
                }
            }
        }
    }
}

impl Guard {
    fn new(socket: OwnedFd, bell: OwnedFd) -> Guard {
        Guard {
            socket,
            bell,
            rung: false,
            happened: Happened::default(),
            folders: HashSet::new(),
            made: HashSet::new(),
        }
    }

    fn hear(&mut self, watch: i32, name: &[u8], comes: bool, interest: &Interest) {
        let concerned = interest.names.contains(name);
        let came = comes && interest.newcomers;
        self.happened.concerned |= concerned;
        if came && self.happened.came.len() < MAX_HAPPENED {
            self.happened.came.insert((watch, name.to_vec()));
        } else if came {
            self.happened.lost = true;
        }
        if concerned || came {
            self.ring();
        }
    }

    /// A folder is gone: what was to be in it may be elsewhere.
    fn has_lost(&mut self, watch: i32, interest: &Interest) {
        self.happened.concerned |= !interest.names.is_empty();
        if interest.newcomers && self.happened.gone.len() < MAX_HAPPENED {
            self.happened.gone.push(watch);
        }
        self.ring();
    }

    fn ring(&mut self) {
        if !self.rung {
            // It never holds more than one ring that nobody has heard.
            self.rung = rustix::io::write(&self.bell, &1_u64.to_ne_bytes()).is_ok();
        }
    }

    /// A guard waits for its answer, so that there is room for it.
    fn say(&self, answer: &impl serde::Serialize) -> Option<()> {
        packet::send_at_once(&self.socket, answer).ok()
    }
}

/// What the system allows (inotify(7)).
fn limit(name: &str, usually: usize) -> usize {
    let text = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok();
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(usually)
}
