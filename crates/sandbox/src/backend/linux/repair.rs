//! Puts mounts back that something outside has knocked off.
//!
//! When a program outside replaces a file that is protected or hidden inside (`git config` writes a new file and renames it
//! over the old one; so do most editors and logins), the kernel takes the mount on the old file away, in every namespace.
//! The guard watches the folders of all such places and, milliseconds later, has a child enter the session's
//! namespaces and mount anew. What cannot be repaired ends the session.

use super::namespaces::Attempt;
use super::sys::{self, Forked, SingleThreaded};
use super::watch::Watch;
use super::wire::Watched;
use super::{mended, mounts};
use crate::enforcement::Namespace;
use crate::names::NameRules;
use crate::plan::Plan;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How often, and how far apart, a repair is tried while files come and go.
const ATTEMPTS: usize = 20;
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 3_000_000 };

/// The session's namespaces, opened while init may still be looked at.
pub(super) struct Doors {
    user: Option<OwnedFd>,
    mount: OwnedFd,
}

impl Doors {
    /// Opens them; none when the session has no mounts of its own.
    pub(super) fn open(init: Pid, attempt: &Attempt) -> io::Result<Option<Self>> {
        if !attempt.has(Namespace::Mount) {
            return Ok(None);
        }
        let open = |kind: &str| {
            let path = format!("/proc/{}/ns/{kind}", init.as_raw_nonzero());
            rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        };
        let user = if attempt.has(Namespace::User) { Some(open("user")?) } else { None };
        Ok(Some(Doors { user, mount: open("mnt")? }))
    }
}

/// Whether all mounts were found in place, and none has come or gone since.
pub(super) struct Verified {
    /// Init's `mountinfo`, which tells that its namespace's mounts have changed since that was last asked
    /// (proc_pid_mountinfo(5), poll(2)).
    table: OwnedFd,
    holds: bool,
}

impl Verified {
    /// Opens it, while init may still be looked at.
    pub(super) fn open(init: Pid) -> io::Result<Self> {
        let path = format!("/proc/{}/mountinfo", init.as_raw_nonzero());
        let table = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Verified { table, holds: false })
    }

    /// Has `verify` look, unless nothing has changed since it last did.
    pub(super) fn renew(&mut self, verify: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut polled = [PollFd::new(&self.table, PollFlags::PRI)];
        // Asked before it looks: what changes meanwhile is told the next time.
        let told = rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        if self.holds && told == Ok(0) {
            return Ok(());
        }
        self.holds = false;
        verify()?;
        self.holds = true;
        Ok(())
    }

    /// Something was replaced, or has come, where there was no mount yet.
    pub(super) fn forget(&mut self) {
        self.holds = false;
    }
}

/// Watches the way to every place of the plan, as it is now: a folder that is replaced takes what is mounted in it along.
/// A folder that cannot be watched is one that we may not read; its entries are not ours to replace.
pub(super) fn watch_places(watch: &Watch, plan: &Plan) -> io::Result<()> {
    let mut folders: HashMap<&Path, HashSet<&OsStr>> = HashMap::new();
    let places = mended::places(plan);
    for path in places.iter().flat_map(|place| place.ancestors()) {
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            folders.entry(folder).or_default().insert(name);
        }
    }
    let wanted = folders.into_iter().filter_map(|(folder, names)| watched(folder, names)).collect();
    if watch.add(wanted)?.contains(&Err(Errno::NOSPC)) {
        return Err(io::Error::other("the user's limit of inotify watches is reached"));
    }
    Ok(())
}

/// Watches one more place, and the way to it, as far as watches last.
pub(super) fn watch_place(watch: &Watch, place: &Path) -> io::Result<()> {
    let way = place.ancestors().take(2).filter_map(|path| Some((path.parent()?, path.file_name()?)));
    watch.add(way.filter_map(|(folder, name)| watched(folder, [name])).collect()).map(drop)
}

/// One of a path's own folders; none has a NUL in its name.
fn watched<'a>(folder: &Path, names: impl IntoIterator<Item = &'a OsStr>) -> Option<Watched> {
    let folder = CString::new(folder.as_os_str().as_bytes()).ok()?;
    let names = names.into_iter().map(|name| name.as_bytes().to_vec()).collect();
    Some(Watched { folder, names: Some(names), made: false })
}

/// Mounts anew whatever is missing. Only returns without an error when all is in place again.
pub(super) fn repair(proof: SingleThreaded, doors: &Doors, plan: &Plan) -> io::Result<()> {
    for _ in 1..ATTEMPTS {
        if mend(proof, doors, plan, false).is_ok() {
            return Ok(());
        }
        // Whoever replaces a file may be in the middle of it.
        let _ = rustix::event::poll(&mut [], Some(&PAUSE));
    }
    mend(proof, doors, plan, true)
}

/// Makes folders in held ones writable inside, if they are not.
pub(super) fn bind_writable(
    proof: SingleThreaded,
    doors: &Doors,
    plan: &Plan,
    folders: &[PathBuf],
) -> io::Result<()> {
    if folders.is_empty() {
        return Ok(());
    }
    // The folder that is held and the kind of its entry are looked at once more: nothing else may become writable.
    let rules = NameRules::of(plan, true);
    if !plan.brokered || !folders.iter().all(|folder| rules.is_opened(folder)) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    inside(proof, doors, || {
        folders.iter().try_for_each(|folder| mounts::bind_writable(folder).map_err(io::Error::other))
    })
}

fn mend(proof: SingleThreaded, doors: &Doors, plan: &Plan, is_last: bool) -> io::Result<()> {
    inside(proof, doors, || {
        let done = mended::mend(plan).map_err(io::Error::other);
        if let Err(error) = &done
            && is_last
        {
            // Standard error is the server's log.
            let text = format!("sandbox: could not put a protection back: {error}\n");
            let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
        }
        done
    })
}

/// Takes steps where the session's mounts are, by a child.
fn inside(proof: SingleThreaded, doors: &Doors, steps: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    inside_of(proof, doors, (doors.mount.as_fd(), LinkNameSpaceType::Mount), steps)
}

/// Takes steps in one of the session's namespaces, by a child.
pub(super) fn inside_of(
    proof: SingleThreaded,
    doors: &Doors,
    (namespace, kind): (BorrowedFd<'_>, LinkNameSpaceType),
    steps: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    match sys::fork(proof)? {
        Forked::Child => {
            let entered = doors
                .user
                .as_ref()
                .map_or(Ok(()), |user| move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User)))
                .and_then(|()| move_into_link_name_space(namespace, Some(kind)));
            let done = entered.map_err(io::Error::from).and_then(|()| steps());
            sys::exit_now(i32::from(done.is_err()))
        }
        Forked::Parent(child) => {
            let status = rustix::process::waitpid(Some(child), WaitOptions::empty())?;
            match status.and_then(|(_, status)| status.exit_status()) {
                Some(0) => Ok(()),
                _ => Err(io::Error::other("it could not be done inside")),
            }
        }
    }
}
