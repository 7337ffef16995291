//! Notices Unix sockets that programs outside make in writable folders while a session lives: an agent's, a terminal
//! multiplexer's. Whoever talks to one finds it by its name, which a command could take.
//!
//! Watched are the tops of the writable roots and the folders that are made there. What is bound deeper is not noticed,
//! and between its making and our look a command may be faster.
//!
//! New folders themselves are noticed in held ones, too: they are to be writable as those are that were there at the start.

use super::process_tree::Tree;
use super::watch::Watch;
use super::wire::{Happened, Watched};
use crate::names::{self, NameRules};
use crate::plan::Plan;
use crate::resolve::HostSockets;
use rustix::event::Timespec;
use rustix::fs::{CWD, FileType, statat};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How often, and how far apart, the kernel's list is looked at: a socket has its file before it is in the list.
const LOOKS: usize = 3;
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

pub(super) struct Newcomers {
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
    pub(super) fn begin(watch: &Watch, plan: &Plan, shares_network: bool) -> io::Result<Newcomers> {
        let rules = plan.brokered.then(|| NameRules::of(plan, true));
        let held = if plan.brokered { names::held(plan) } else { BTreeSet::new() };
        let folders = HashMap::new();
        let mut newcomers = Newcomers { folders, rules, made: VecDeque::new(), shares_network };
        // What comes into a Git directory, Git makes.
        let held = held
            .into_iter()
            .filter(|folder| !plan.repositories.iter().any(|known| folder.starts_with(known)));
        let roots: BTreeSet<PathBuf> = plan.writable.iter().cloned().chain(held).collect();
        let roots: Vec<PathBuf> = roots.into_iter().filter(|folder| folder.is_dir()).collect();
        let wanted = roots.iter().filter_map(|folder| watched(folder, false)).collect();
        // One that cannot be watched is gone, or not ours to look into.
        let added = watch.add(wanted)?.into_iter().zip(roots);
        newcomers.folders.extend(added.filter_map(|(watch, folder)| Some((watch.ok()?, folder))));
        Ok(newcomers)
    }

    /// Watches a folder that was made; where that is one too many, the oldest gives way.
    fn add_made(&mut self, watch: &Watch, folder: &Path) -> io::Result<()> {
        let add = || Ok::<_, io::Error>(watch.add(watched(folder, true).into_iter().collect())?.pop());
        let mut added = add()?;
        if added == Some(Err(Errno::NOSPC))
            && let Some(oldest) = self.made.pop_front()
        {
            self.folders.remove(&oldest);
            watch.forget(oldest)?;
            added = add()?;
        }
        let Some(Ok(number)) = added else { return Ok(()) };
        if self.folders.insert(number, folder.to_owned()).is_none() {
            self.made.push_back(number);
        }
        Ok(())
    }

    /// Looks at what happened: which sockets of programs outside have come, and which folders that are to be writable.
    pub(super) fn come(&mut self, watch: &Watch, happened: &Happened, session: &Tree) -> io::Result<Come> {
        for gone in &happened.gone {
            self.folders.remove(gone);
            self.made.retain(|made| made != gone);
        }
        let mut files = HashSet::new();
        let mut folders = Vec::new();
        for (folder, path) in self.candidates(happened) {
            match kind(&path) {
                Some(FileType::Socket) => drop(files.insert(path)),
                Some(FileType::Directory) if !self.made.contains(&folder) => {
                    if self.rules.as_ref().is_some_and(|rules| rules.is_opened(&path)) {
                        folders.push(path.clone());
                    }
                    self.add_made(watch, &path)?;
                    // What was bound before we looked.
                    files.extend(entries(&path).filter(|path| kind(path) == Some(FileType::Socket)));
                }
                _ => {}
            }
        }
        let sockets = if files.is_empty() { Vec::new() } else { self.of_the_host(&files, session) };
        Ok(Come { sockets, folders })
    }

    /// Lists what has come; where not all of it is known, everything that is there.
    fn candidates(&self, happened: &Happened) -> Vec<(i32, PathBuf)> {
        if happened.lost {
            let all = self.folders.iter();
            return all.flat_map(|(number, folder)| entries(folder).map(|path| (*number, path))).collect();
        }
        let path = |(number, name): &(i32, Vec<u8>)| {
            Some((*number, self.folders.get(number)?.join(OsStr::from_bytes(name))))
        };
        happened.came.iter().filter_map(path).collect()
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

fn watched(folder: &Path, made: bool) -> Option<Watched> {
    let folder = CString::new(folder.as_os_str().as_bytes()).ok()?;
    Some(Watched { folder, names: None, made })
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}
