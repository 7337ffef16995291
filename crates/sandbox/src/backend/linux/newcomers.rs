//! Notices Unix sockets that programs outside make in writable folders while a session lives: an agent's, a terminal
//! multiplexer's. Whoever talks to one finds it by its name, which a command could take.
//!
//! Watched are the tops of the writable roots and the folders that are made there. What is bound deeper is not noticed,
//! and between its making and our look a command may be faster.
//!
//! New folders themselves are noticed in held ones, too: they are to be writable as those are that were there at the start.

use super::process_tree::Tree;
use crate::names::{self, NameRules};
use crate::plan::Plan;
use crate::resolve::HostSockets;
use rustix::event::Timespec;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{CWD, FileType, statat};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// New folders that are watched at once; the oldest gives way. Whoever makes one binds its socket at once.
const MAX_FOLDERS: usize = 128;
/// How often, and how far apart, the kernel's list is looked at: a socket has its file before it is in the list.
const LOOKS: usize = 3;
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

pub(super) struct Newcomers {
    descriptor: OwnedFd,
    folders: HashMap<i32, PathBuf>,
    /// Which new folders are to be writable.
    rules: Option<NameRules>,
    /// Those of them that were made while the session lives, the oldest first.
    made: VecDeque<i32>,
    /// The session shares the host's network, in whose list its own sockets are, too.
    shares_network: bool,
}

/// What has come.
pub(super) struct Come {
    pub(super) sockets: Vec<PathBuf>,
    pub(super) folders: Vec<PathBuf>,
}

impl Newcomers {
    /// Begins to watch the writable roots.
    pub(super) fn watch(plan: &Plan, shares_network: bool) -> io::Result<Newcomers> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let rules = plan.brokered.then(|| NameRules::of(plan, true));
        let held = if plan.brokered { names::held(plan) } else { BTreeSet::new() };
        let folders = HashMap::new();
        let mut newcomers = Newcomers { descriptor, folders, rules, made: VecDeque::new(), shares_network };
        // What comes into a Git directory, Git makes.
        let held = held
            .into_iter()
            .filter(|folder| !plan.repositories.iter().any(|known| folder.starts_with(known)));
        let watched: BTreeSet<PathBuf> = plan.writable.iter().cloned().chain(held).collect();
        for folder in watched.into_iter().filter(|folder| folder.is_dir()) {
            newcomers.add(folder);
        }
        Ok(newcomers)
    }

    fn add(&mut self, folder: PathBuf) -> Option<i32> {
        let events =
            WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
        // One that cannot be watched is gone, or not ours to look into.
        let watch = inotify::add_watch(&self.descriptor, &folder, events).ok()?;
        self.folders.insert(watch, folder);
        Some(watch)
    }

    fn add_made(&mut self, folder: PathBuf) {
        let Some(watch) = self.add(folder) else { return };
        self.made.push_back(watch);
        if self.made.len() > MAX_FOLDERS
            && let Some(oldest) = self.made.pop_front()
        {
            self.folders.remove(&oldest);
            let _ = inotify::remove_watch(&self.descriptor, oldest);
        }
    }

    /// Reads what happened: which sockets of programs outside have come, and which folders that are to be writable.
    pub(super) fn come(&mut self, session: &Tree) -> Come {
        let mut files = HashSet::new();
        let mut folders = Vec::new();
        for (folder, name) in self.events() {
            let Some(folder) = self.folders.get(&folder) else { continue };
            let path = folder.join(std::ffi::OsStr::from_bytes(&name));
            let is_below_a_root = !self.made.iter().any(|made| self.folders.get(made) == Some(folder));
            match kind(&path) {
                Some(FileType::Socket) => drop(files.insert(path)),
                Some(FileType::Directory) if is_below_a_root => {
                    if self.rules.as_ref().is_some_and(|rules| rules.is_opened(&path)) {
                        folders.push(path.clone());
                    }
                    self.add_made(path.clone());
                    // What was bound before we looked.
                    let entries = fs::read_dir(&path).into_iter().flatten().flatten();
                    let entries = entries.map(|entry| entry.path());
                    files.extend(entries.filter(|path| kind(path) == Some(FileType::Socket)));
                }
                _ => {}
            }
        }
        let sockets = if files.is_empty() { Vec::new() } else { self.of_the_host(&files, session) };
        Come { sockets, folders }
    }

    fn events(&mut self) -> Vec<(i32, Vec<u8>)> {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = inotify::Reader::new(&self.descriptor, &mut buffer);
        let mut events = Vec::new();
        while let Ok(event) = reader.next() {
            match event.file_name() {
                Some(name) => events.push((event.wd(), name.to_bytes().to_vec())),
                None if event.events().contains(ReadFlags::IGNORED) => {
                    self.folders.remove(&event.wd());
                    self.made.retain(|made| *made != event.wd());
                }
                None => {}
            }
        }
        events
    }

    /// Those of these files that are sockets of the host.
    fn of_the_host(&self, files: &HashSet<PathBuf>, session: &Tree) -> Vec<PathBuf> {
        let mut found = HashMap::new();
        for look in 0..LOOKS {
            if look > 0 {
                let _ = rustix::event::poll(&mut [], Some(&PAUSE));
            }
            let bound = HostSockets::now().unwrap_or_default().bound;
            found.extend(bound.into_iter().filter(|(path, _)| files.contains(path)));
            if found.len() == files.len() {
                break;
            }
        }
        if self.shares_network && !found.is_empty() {
            let own = session.sockets().unwrap_or_default();
            found.retain(|_, number| !own.contains(number));
        }
        found.into_keys().collect()
    }
}

fn kind(path: &Path) -> Option<FileType> {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    statat(CWD, path, flags).ok().map(|found| FileType::from_raw_mode(found.st_mode))
}

impl AsFd for Newcomers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
