//! What a broker does for an asker, by directory and name in our own view.
//!
//! Granting it to a hostile asker is harmless, because it could do the same itself if the folder were not held: the name is free
//! ([`NameRules::is_free`]), everything else that takes part lies where the asker may write, found in its own view and without links,
//! and we have its user and its capabilities.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, fstat, linkat, mkdirat, mknodat, openat,
    readlinkat, renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::net::sockopt::socket_domain;
use rustix::net::{AddressFamily, SocketAddrUnix, bind};
use rustix::process::{chdir, fchdir, umask};
use sandbox::{NameRules, Session};

use super::super::refused::Refused;
use super::made::MadeByCall;
use super::place::{
    Asker, Base, LOOK, MOST_LINKS, Place, descriptor_of, is_held, is_mount_point, is_read_only, mount_of,
    ours,
};
use super::wish::{At, Wish};
use crate::judgement::Refusals;
use crate::sys::connections::take_descriptor;

/// Tries while a name comes and goes.
const ATTEMPTS: usize = 4;

/// What the link leads to that `git init` makes and removes.
const TRIED_BY_GIT: &[u8] = b"testing";

/// Flags of open(2) that mean the same to us.
const FLAGS: OFlags = OFlags::ACCMODE
    .union(OFlags::APPEND)
    .union(OFlags::TRUNC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::DSYNC)
    .union(OFlags::SYNC)
    .union(OFlags::DIRECT)
    .union(OFlags::NOATIME)
    .union(OFlags::LARGEFILE);

/// What is answered.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The call happens: it is not ours to do.
    Happens,
    Done,
    Fails(Errno),
    Opened {
        file: OwnedFd,
        closes_on_exec: bool,
    },
}

impl From<Result<(), Errno>> for Outcome {
    fn from(done: Result<(), Errno>) -> Outcome {
        done.map_or_else(Outcome::Fails, |()| Outcome::Done)
    }
}

const NOT_THERE: Outcome = Outcome::Fails(Errno::NOENT);

/// What is done to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    MakeFolder,
    /// Something that is no folder; what is there already is not touched.
    Make,
    /// A file, as `Make`.
    MakeFile,
    /// A symbolic link.
    MakeLink,
    /// Opened to be written.
    Write {
        makes: bool,
    },
    Remove,
    MoveAway,
    MoveHere,
    /// Its mode changes.
    Mode,
    /// Something else about it changes.
    Change,
}

impl Act {
    fn makes(self) -> bool {
        matches!(
            self,
            Act::MakeFolder
                | Act::Make
                | Act::MakeFile
                | Act::MakeLink
                | Act::Write { makes: true }
                | Act::MoveHere
        )
    }

    /// Whether nobody can write an index by it, nor keep a way to do so.
    fn may_be_done_to_an_index(self) -> bool {
        match self {
            Act::MakeFolder | Act::Remove | Act::MoveAway | Act::MoveHere | Act::Mode => true,
            Act::Make | Act::MakeFile | Act::MakeLink | Act::Write { .. } | Act::Change => false,
        }
    }

    /// Whether it would have changed something, had it not been refused.
    fn means_a_change(self, is_there: bool) -> bool {
        match self {
            Act::MakeFolder | Act::Make | Act::MakeFile | Act::MakeLink => !is_there,
            Act::Remove | Act::MoveAway => is_there,
            Act::Write { makes } => makes || is_there,
            Act::MoveHere => true,
            Act::Mode | Act::Change => false,
        }
    }
}

/// Held while a name comes into being that may complete a Git directory.
static COMPLETING: Mutex<()> = Mutex::new(());

/// Does things for one asker.
pub(super) struct Worker<'a> {
    pub(super) session: &'a Session,
    pub(super) rules: &'a NameRules,
    pub(super) asker: Asker,
    /// Whether the thread has a working directory and a umask of its own.
    pub(super) own_umask: bool,
    pub(super) made: &'a MadeByCall,
    pub(super) refused: &'a Refused,
    pub(super) refusals: Option<&'a Refusals>,
}

/// A name that may be made, replaced and removed.
pub(super) struct Free {
    seen: OwnedFd,
    pub(super) own: OwnedFd,
    pub(super) path: PathBuf,
    pub(super) name: OsString,
    is_folder: bool,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Free {
    pub(super) fn kind(&self) -> Option<FileType> {
        kind_at(&self.own, &self.name)
    }
}

impl Worker<'_> {
    pub(super) fn grant(&self, wish: &Wish) -> Outcome {
        let granted = match wish {
            Wish::Open { at, flags, mode } => self.open(at, *flags, *mode),
            Wish::MakeFolder { at, mode } => self.make_folder(at, *mode),
            Wish::MakeNode { at, mode } => self.make_node(at, *mode),
            Wish::MakeLink { at, target } => self.make_link(at, target),
            Wish::Remove { at, flags } => self.remove(at, *flags),
            Wish::Rename { from, to, flags } => self.rename(from, to, *flags),
            Wish::Link { from, to, flags } => self.link(from, to, *flags),
            Wish::Bind { socket, at } => self.bind(*socket, at),
            Wish::Change { at, follows, change } => self.change(at, *follows, change),
        };
        granted.unwrap_or_else(|| self.otherwise(wish))
    }

    /// Whether a name is not the asker's own to make, replace and remove.
    pub(super) fn holds(&self, place: &Place) -> bool {
        if self.rules.has_mounts() { is_read_only(&place.seen) } else { place.is_held(self.rules) }
    }

    /// Whether a thing is not the asker's own to change.
    pub(super) fn holds_thing(&self, seen: &OwnedFd) -> bool {
        if self.rules.has_mounts() { is_read_only(seen) } else { is_held(self.rules, seen) }
    }

    /// A name in a held folder, or below it where the asker still has the folder as it was when it was not opened.
    fn free(&self, at: &At, act: Act) -> Option<Free> {
        let place = self.asker.place(&at.base(), &at.path).ok()?;
        if !self.holds(&place) {
            return None;
        }
        let free = self.checked(place, act)?;
        if !self.opens(&free.path) {
            return Some(free);
        }
        // What is now writable by its path the asker does itself.
        let place = self.asker.place(&at.base(), &at.path).ok()?;
        self.holds(&place).then_some(free)
    }

    pub(super) fn checked(&self, place: Place, act: Act) -> Option<Free> {
        let Place { seen, name, is_folder } = place;
        let (own, folder) = ours(self.asker, &seen)?;
        self.rules.holder(&folder)?;
        let path = folder.join(&name);
        self.admitted(Free { seen, own, path, name, is_folder, _alone: None }, act)
    }

    /// Whether this may be done to a name. What may not is on record.
    fn admitted(&self, free: Free, act: Act) -> Option<Free> {
        let removes = matches!(act, Act::Remove | Act::MoveAway);
        let is_kept = removes && self.rules.is_head(&free.path) && !self.is_in_made(&free.path);
        let may = self.rules.is_free(&free.path) && !is_kept || self.is_first(&free, act);
        let may = may && (act.may_be_done_to_an_index() || !self.rules.is_index(&free.path));
        let others = self.rules.completing(&free.path).filter(|_| act.makes());
        let alone = others.is_some().then(|| COMPLETING.lock().unwrap_or_else(PoisonError::into_inner));
        let completes =
            others.is_some_and(|others| others.iter().all(|other| other.symlink_metadata().is_ok()));
        if may && !(completes && free.kind().is_none()) {
            return Some(Free { _alone: alone, ..free });
        }
        let kind = free.kind();
        let is_full = || act == Act::Remove && kind == Some(FileType::Directory) && !is_empty(&free);
        let stays = act == Act::Remove && self.made.lock().taken_out.contains(&free.path);
        if act.means_a_change(kind.is_some()) && !is_full() && !stays {
            self.is_refused(&free.path);
        }
        None
    }

    /// A protected name stays as it is.
    pub(super) fn is_refused(&self, path: &Path) {
        self.refused.note(path);
        if let Some(refusals) = self.refusals {
            refusals.note_write(path.to_owned());
        }
    }

    /// Has the folder of a held one in which this path lies made writable, if it is not; tells whether it has just been.
    pub(super) fn opens(&self, path: &Path) -> bool {
        let Some(holder) = self.rules.holder(path).filter(|_| self.rules.has_mounts()) else { return false };
        let below = path.strip_prefix(holder).ok().map(Path::components);
        let Some(mut below) = below else { return false };
        let (Some(first), Some(_)) = (below.next(), below.next()) else { return false };
        let folder = holder.join(first);
        let is_mounted =
            self.asker.at_plain_path(holder).is_ok_and(|held| is_mount_point(held, first.as_os_str()));
        !is_mounted && self.rules.is_opened(&folder) && self.session.bind_writable(&folder).is_ok()
    }

    fn is_in_held(&self, free: &Free) -> bool {
        free.path.parent().is_some_and(|parent| self.rules.holder(parent) == Some(parent))
    }

    /// After a name has come into being: a folder in a held one is writable.
    fn open_up(&self, free: &Free) {
        if self.rules.has_mounts() && self.is_in_held(free) && free.kind() == Some(FileType::Directory) {
            // Where it fails, the first use tries again.
            let _ = self.session.bind_writable(&free.path);
        }
    }

    fn open(&self, at: &At, flags: u32, mode: u32) -> Option<Outcome> {
        let flags = OFlags::from_bits_retain(flags);
        if flags.contains(OFlags::TMPFILE) {
            return self.open_unnamed(at, flags, mode);
        }
        if flags.contains(OFlags::DIRECTORY) || flags.contains(OFlags::PATH) {
            return None;
        }
        self.open_at(self.last(at, flags).ok()?, flags, mode)
    }

    /// The name that a path to be opened leads to by links.
    pub(super) fn last(&self, at: &At, flags: OFlags) -> Result<Place, Errno> {
        let mut place = self.asker.place(&at.base(), &at.path)?;
        for _ in 0..MOST_LINKS {
            if place.is_folder {
                return Err(Errno::ISDIR);
            }
            let follows = !flags.contains(OFlags::NOFOLLOW) && !flags.contains(OFlags::CREATE | OFlags::EXCL);
            let link = readlinkat(&place.seen, &place.name, Vec::new()).ok().filter(|_| follows);
            let Some(link) = link else { return Ok(place) };
            place = self.asker.place(&Base::Open(&place.seen), link.as_bytes())?;
        }
        Err(Errno::LOOP)
    }

    fn open_at(&self, place: Place, flags: OFlags, mode: u32) -> Option<Outcome> {
        if !self.holds(&place) {
            return None;
        }
        let makes = flags.contains(OFlags::CREATE);
        let is_new = makes && flags.contains(OFlags::EXCL);
        let free = self.checked(place, if is_new { Act::MakeFile } else { Act::Write { makes } })?;
        // What comes later there the asker does itself; this is done here, wherever it stands.
        self.opens(&free.path);
        if let Some(stand_in) = self.stand_in(&free, is_new) {
            return Some(opened_or_fails(stand_in, flags));
        }
        for _ in 0..ATTEMPTS {
            match openat(&free.own, &free.name, LOOK | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(_) if flags.contains(OFlags::CREATE | OFlags::EXCL) => {
                    return Some(Outcome::Fails(Errno::EXIST));
                }
                Ok(file) => return self.reopen(&free, &file, flags),
                Err(Errno::NOENT) if flags.contains(OFlags::CREATE) => {}
                Err(_) => return None,
            }
            let make = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = self.masked(mode)?;
            match openat(&free.own, &free.name, flags & FLAGS | make, mode) {
                Err(Errno::EXIST) => {}
                made => {
                    if let Ok(file) = &made {
                        self.has_made_file(&free, file);
                    }
                    return Some(opened_or_fails(made, flags));
                }
            }
        }
        None
    }

    /// What is there already is opened by what was looked at: nothing that waits for somebody, or does something when opened.
    fn reopen(&self, free: &Free, file: &OwnedFd, flags: OFlags) -> Option<Outcome> {
        let kind = FileType::from_raw_mode(fstat(file).ok()?.st_mode);
        if kind != FileType::RegularFile || is_mount_point(&free.seen, &free.name) {
            return None;
        }
        let opened = openat(CWD, by_descriptor(file), flags & FLAGS | OFlags::CLOEXEC, Mode::empty());
        Some(opened_or_fails(opened, flags))
    }

    fn open_unnamed(&self, at: &At, flags: OFlags, mode: u32) -> Option<Outcome> {
        let seen = self.asker.object(&at.base(), &at.path, true).ok()?;
        if !self.holds_thing(&seen) {
            return None;
        }
        let (own, folder) = ours(self.asker, &seen)?;
        self.rules.holder(&folder).filter(|holder| *holder == folder)?;
        let flags_of_ours = flags & (FLAGS | OFlags::EXCL) | OFlags::TMPFILE | OFlags::CLOEXEC;
        Some(opened_or_fails(openat(&own, ".", flags_of_ours, self.masked(mode)?), flags))
    }

    fn make_folder(&self, at: &At, mode: u32) -> Option<Outcome> {
        let free = self.free(at, Act::MakeFolder)?;
        let made = mkdirat(&free.own, &free.name, self.masked(mode & 0o1777)?);
        if made.is_ok() {
            self.has_made(&free.path);
            self.open_up(&free);
        }
        Some(made.into())
    }

    /// Where Git writes what it finds by name there are no links, but the one by which it tries whether there can be any.
    fn make_link(&self, at: &At, target: &[u8]) -> Option<Outcome> {
        let free = self.free(at, Act::MakeLink).filter(|free| !free.is_folder)?;
        let may = self.rules.takes_links(&free.path) || target == TRIED_BY_GIT;
        may.then(|| symlinkat(OsStr::from_bytes(target), &free.own, &free.name).into())
    }

    /// Pipes, and files without content; what stands for a device is nobody's to make.
    fn make_node(&self, at: &At, mode: u32) -> Option<Outcome> {
        let kind = FileType::from_raw_mode(mode);
        let kind = if mode & libc::S_IFMT == 0 { FileType::RegularFile } else { kind };
        let may = matches!(kind, FileType::RegularFile | FileType::Fifo | FileType::Socket);
        let free = self.free(at, Act::Make).filter(|free| may && !free.is_folder)?;
        Some(mknodat(&free.own, &free.name, kind, self.masked(mode)?, 0).into())
    }

    /// By the name alone, in a directory that is this thread's own: no other address means exactly this folder.
    fn bind(&self, socket: i32, at: &At) -> Option<Outcome> {
        if !self.own_umask {
            return None;
        }
        let free = self.free(at, Act::Make).filter(|free| !free.is_folder)?;
        let address = SocketAddrUnix::new(&free.name).ok()?;
        let socket = take_descriptor(self.asker.thread, socket).ok()?;
        if socket_domain(&socket).ok()? != AddressFamily::UNIX {
            return None;
        }
        let mask = self.umask()?;
        fchdir(&free.own).ok()?;
        umask(mask);
        let bound = bind(&socket, &address);
        umask(Mode::empty());
        // Nothing is meant from there but this.
        let _ = chdir("/");
        Some(bound.into())
    }

    fn remove(&self, at: &At, flags: u32) -> Option<Outcome> {
        let flags = AtFlags::from_bits_retain(flags);
        if !(flags - AtFlags::REMOVEDIR).is_empty() {
            return None;
        }
        let Some(free) = self.free(at, Act::Remove) else { return self.is_absent(at).then_some(NOT_THERE) };
        if free.is_folder && !flags.contains(AtFlags::REMOVEDIR) {
            return None;
        }
        Some(unlinkat(&free.own, &free.name, flags).into())
    }

    /// Whether there is nothing in a held folder by a name that is refused: the kernel would say first that the mount is read-only.
    fn is_absent(&self, at: &At) -> bool {
        let place = self.asker.place(&at.base(), &at.path).ok();
        place.is_some_and(|place| {
            let found = statat(&place.seen, &place.name, AtFlags::SYMLINK_NOFOLLOW);
            self.holds(&place) && matches!(found, Err(Errno::NOENT))
        })
    }

    fn rename(&self, from: &At, to: &At, flags: u32) -> Option<Outcome> {
        let flags = RenameFlags::from_bits_retain(flags);
        if !(flags - (RenameFlags::NOREPLACE | RenameFlags::EXCHANGE)).is_empty() {
            return None;
        }
        let exchanges = flags.contains(RenameFlags::EXCHANGE);
        let (from, to) = self.both((from, Act::MoveAway), (to, Act::MoveHere))?;
        if flags.is_empty()
            && let Some(outcome) = self.configure(&from, &to)
        {
            return Some(outcome);
        }
        if let Some(outcome) = self.index(&from, &to, flags) {
            return Some(outcome);
        }
        if !self.may_stand(&from, &to) || exchanges && !self.may_stand(&to, &from) {
            let stays = if self.rules.is_held_whole(&from.path) { &from } else { &to };
            self.is_refused(&stays.path);
            return Some(Outcome::Fails(Errno::ROFS));
        }
        let names_folder = from.is_folder || to.is_folder;
        if names_folder && from.kind() != Some(FileType::Directory) {
            return None;
        }
        // Its mount would go along, to where nobody inside could move or remove it; programs copy instead.
        let leaves = |this: &Free, to: &Free| {
            self.rules.has_mounts()
                && self.is_in_held(this)
                && !self.is_in_held(to)
                && this.kind() == Some(FileType::Directory)
        };
        if leaves(&from, &to) || exchanges && leaves(&to, &from) {
            return Some(Outcome::Fails(Errno::XDEV));
        }
        let renamed = renameat_with(&from.own, &from.name, &to.own, &to.name, flags);
        if renamed.is_ok() {
            self.open_up(&to);
            self.open_up(&from);
        }
        Some(renamed.into())
    }

    /// Whether what has one name may have another: where Git writes what it finds by name there are no links, and nothing comes
    /// there or moves with all that is in it.
    fn may_stand(&self, this: &Free, to: &Free) -> bool {
        match this.kind() {
            Some(FileType::Symlink) => self.rules.takes_links(&to.path),
            Some(FileType::Directory) => {
                !self.rules.is_held_whole(&this.path) && !self.rules.is_held_whole(&to.path)
            }
            // Only Git's own way leads to a configuration.
            _ => [this, to].iter().all(|free| self.rules.is_free(&free.path)),
        }
    }

    fn link(&self, from: &At, to: &At, flags: u32) -> Option<Outcome> {
        let follows = flags & libc::AT_SYMLINK_FOLLOW.unsigned_abs() != 0;
        if follows && let Some(number) = descriptor_of(&from.path) {
            return self.name_unnamed(number, to);
        }
        if flags & !libc::AT_SYMLINK_FOLLOW.unsigned_abs() != 0 {
            return None;
        }
        let (from, to) = self.both((from, Act::Change), (to, Act::Make))?;
        let kind = from.kind()?;
        if from.is_folder || to.is_folder || follows && kind == FileType::Symlink {
            return None;
        }
        if !self.may_stand(&from, &to) {
            return Some(Outcome::Fails(Errno::ROFS));
        }
        Some(linkat(&from.own, &from.name, &to.own, &to.name, AtFlags::empty()).into())
    }

    /// Gives a file that has none yet a name: it was made by `O_TMPFILE`, by whoever holds it.
    fn name_unnamed(&self, number: i32, to: &At) -> Option<Outcome> {
        let file = self.asker.object(&Base::Descriptor(number), b"", false).ok()?;
        if fstat(&file).ok()?.st_nlink != 0 {
            return None;
        }
        let to = self.free(to, Act::Make).filter(|to| !to.is_folder)?;
        Some(linkat(CWD, by_descriptor(&file), &to.own, &to.name, AtFlags::SYMLINK_FOLLOW).into())
    }

    /// Two names, at least one of which is held, or which lie on two mounts that are one outside.
    fn both(&self, (from, away): (&At, Act), (to, here): (&At, Act)) -> Option<(Free, Free)> {
        let find = |at: &At| self.asker.place(&at.base(), &at.path).ok();
        let (mut first, mut second) = (find(from)?, find(to)?);
        for (place, at) in [(&mut first, from), (&mut second, to)] {
            // What lies in a folder that was not opened yet is looked at again.
            if self.holds(place) && self.opens(&crate::sys::path_of(&place.seen)?.join(&place.name)) {
                *place = find(at)?;
            }
        }
        let is_one = !self.rules.has_mounts() && !self.holds(&second)
            || self.rules.has_mounts() && mount_of(&first.seen) == mount_of(&second.seen);
        if is_one && !self.holds(&first) {
            return None;
        }
        let first = self.movable(first, away);
        // Without the first there is nothing to be refused.
        let second =
            first.as_ref().filter(|first| first.kind().is_some()).and_then(|_| self.movable(second, here));
        Some((first?, second?))
    }

    /// As `checked`, also for a name that the asker could make and remove by itself.
    fn movable(&self, place: Place, act: Act) -> Option<Free> {
        let is_mounted_on = is_mount_point(&place.seen, &place.name);
        let is_held = self.holds(&place);
        let Place { seen, name, is_folder } = place;
        let (own, folder) = ours(self.asker, &seen)?;
        let holder = self.rules.holder(&folder);
        let path = folder.join(&name);
        // A folder of a held one is a mount only because of that, wherever it was moved.
        // Where mounts do not tell, a writable root does.
        let is_askers = self.rules.has_mounts() || self.rules.is_in_root(&path);
        let may = holder.is_some() || is_askers && !is_held && !is_mounted_on;
        self.admitted(Free { seen, own, path, name, is_folder, _alone: None }, act).filter(|_| may)
    }

    /// The mode of something new, by the asker's umask.
    fn masked(&self, mode: u32) -> Option<Mode> {
        Some(Mode::from_raw_mode(mode & 0o7777) - self.umask()?)
    }

    fn umask(&self) -> Option<Mode> {
        // The second line of many; one read has it.
        let mut status = [0; 256];
        let mut file = std::fs::File::open(format!("/proc/{}/status", self.asker.thread)).ok()?;
        let length = std::io::Read::read(&mut file, &mut status).ok()?;
        let status = String::from_utf8_lossy(status.get(..length)?);
        let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?.trim();
        let mask = u32::from_str_radix(mask, 8).ok()?;
        Some(Mode::from_raw_mode(mask & 0o777))
    }
}

fn opened_or_fails(opened: Result<OwnedFd, Errno>, flags: OFlags) -> Outcome {
    match opened {
        Ok(file) => Outcome::Opened { file, closes_on_exec: flags.contains(OFlags::CLOEXEC) },
        Err(errno) => Outcome::Fails(errno),
    }
}

fn is_empty(free: &Free) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(&free.own, &free.name, flags, Mode::empty()).and_then(Dir::read_from);
    folder.is_ok_and(|mut folder| {
        !folder.any(|entry| entry.is_ok_and(|entry| !matches!(entry.file_name().to_bytes(), b"." | b"..")))
    })
}

fn kind_at(folder: &OwnedFd, name: &OsStr) -> Option<FileType> {
    let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(found.st_mode))
}

/// The path of what a descriptor of ours is open on, whatever has become of its name.
pub(super) fn by_descriptor(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
