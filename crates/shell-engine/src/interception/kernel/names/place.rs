//! Where a path of an asker's leads, in its own view of the file system: the folder, and the name in it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, StatVfsMountFlags, StatxFlags, fstat, fstatvfs, openat,
    openat2, readlinkat, statat, statx,
};
use rustix::io::Errno;

use sandbox::NameRules;

use super::wish::At;
use crate::sys::path_of;

/// Links that one path may follow at its end.
pub(super) const MOST_LINKS: usize = 8;

/// Tries to follow one path.
const MOST_TRIES: usize = 256;

/// A file is only looked at.
pub(super) const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Whose path it is, and how long following it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) thread: i32,
    /// Only what is known already is used: a path that takes a look at a disk, or a question to who serves the file system, is
    /// `EAGAIN`.
    pub(super) at_once: bool,
    /// It sees what we see, so links that only the kernel can follow are followed here, too.
    pub(super) shares_view: bool,
}

/// Where following a path begins.
#[derive(Debug)]
pub(super) enum Base<'a> {
    Directory,
    Descriptor(i32),
    Open(&'a OwnedFd),
}

/// A folder as the asker sees it, and a name in it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) seen: OwnedFd,
    pub(super) name: OsString,
    /// The path ended in a slash: only a folder is meant.
    pub(super) is_folder: bool,
}

impl At {
    pub(super) fn base(&self) -> Base<'static> {
        if self.folder == libc::AT_FDCWD { Base::Directory } else { Base::Descriptor(self.folder) }
    }
}

impl Asker {
    /// Splits a path into a folder, which is followed, and a name, which is not.
    pub(super) fn place(self, base: &Base<'_>, path: &[u8]) -> Result<Place, Errno> {
        let end = path.iter().rposition(|byte| *byte != b'/').ok_or(Errno::INVAL)?;
        let (plain, rest) = path.split_at(end + 1);
        let start = plain.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (folder, name) = plain.split_at(start);
        if name == b"." || name == b".." {
            return Err(Errno::INVAL);
        }
        let folder = if folder.is_empty() { b"." } else { folder };
        let seen = self.open(base, folder, LOOK | OFlags::DIRECTORY)?;
        Ok(Place { seen, name: OsString::from_vec(name.to_vec()), is_folder: !rest.is_empty() })
    }

    /// What a path leads to; an empty one to its base.
    pub(super) fn object(self, base: &Base<'_>, path: &[u8], follows: bool) -> Result<OwnedFd, Errno> {
        if path.is_empty() {
            return match base {
                Base::Descriptor(_) => self.base(base),
                Base::Directory | Base::Open(_) => Err(Errno::NOENT),
            };
        }
        match self.open(base, path, if follows { LOOK } else { LOOK | OFlags::NOFOLLOW }) {
            Err(Errno::LOOP | Errno::XDEV) if follows && self.shares_view => self.by_links(base, path),
            opened => opened,
        }
    }

    /// What a path leads to by links of which one is a descriptor of some process (`/dev/stdout`, `/proc/self/fd/1`).
    fn by_links(self, base: &Base<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
        let mut place = match descriptor_of(path) {
            Some(number) => return self.base(&Base::Descriptor(number)),
            None => self.place(base, path)?,
        };
        for _ in 0..MOST_LINKS {
            let folder = path_of(&place.seen).ok_or(Errno::XDEV)?;
            // What is our own there is the asker's own for it.
            let own = Path::new("/proc").join(std::process::id().to_string());
            let folder = match folder.strip_prefix(own) {
                Ok(rest) => Path::new("/proc").join(self.thread.to_string()).join(rest),
                Err(_) => folder,
            };
            if folder.starts_with("/proc") {
                return openat(CWD, folder.join(&place.name), LOOK, Mode::empty());
            }
            let Ok(link) = readlinkat(&place.seen, &place.name, Vec::new()) else {
                return openat(&place.seen, &place.name, LOOK | OFlags::NOFOLLOW, Mode::empty());
            };
            if let Some(number) = descriptor_of(link.as_bytes()) {
                return self.base(&Base::Descriptor(number));
            }
            place = self.place(&Base::Open(&place.seen), link.as_bytes())?;
        }
        Err(Errno::LOOP)
    }

    /// Opens as the asker would, without ever leaving its view: no link leads to the root of ours.
    fn open(self, base: &Base<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let (own, path) = own_of_process(path).map_or((None, path), |(base, rest)| (Some(base), rest));
        let base = own.as_ref().unwrap_or(base);
        let at_once = if self.at_once { ResolveFlags::CACHED } else { ResolveFlags::empty() };
        // Each rename on the machine has the kernel give up on a path with `..` in it, which may then be tried again.
        let tries = if self.at_once { 1 } else { MOST_TRIES };
        let open = |from: &OwnedFd, path: &[u8], how: ResolveFlags| {
            let open = || openat2(from, OsStr::from_bytes(path), flags, Mode::empty(), how | at_once);
            let mut tried = (0..tries).map(|_| open());
            tried.find(|opened| !matches!(opened, Err(Errno::AGAIN))).unwrap_or(Err(Errno::AGAIN))
        };
        if path.starts_with(b"/") {
            return open(&self.root()?, path, ResolveFlags::IN_ROOT);
        }
        let from = self.base(base)?;
        match open(&from, path, ResolveFlags::BENEATH) {
            // Upwards, or by a link that begins at the root.
            Err(Errno::XDEV) => {
                let folder = path_of(&from).ok_or(Errno::XDEV)?;
                let whole = folder.join(OsStr::from_bytes(path));
                open(&self.root()?, whole.as_os_str().as_bytes(), ResolveFlags::IN_ROOT)
            }
            other => other,
        }
    }

    fn base(self, base: &Base<'_>) -> Result<OwnedFd, Errno> {
        let own = |what: &str| openat(CWD, format!("/proc/{}/{what}", self.thread), LOOK, Mode::empty());
        match base {
            Base::Directory => own("cwd"),
            Base::Descriptor(number) => own(&format!("fd/{number}")),
            Base::Open(folder) => Ok(folder.try_clone().map_err(|_| Errno::MFILE)?),
        }
    }

    pub(super) fn root(self) -> Result<OwnedFd, Errno> {
        openat(CWD, format!("/proc/{}/root", self.thread), LOOK | OFlags::DIRECTORY, Mode::empty())
    }

    /// Opens what the asker finds at a path without links.
    pub(super) fn at_plain_path(self, path: &Path) -> Result<OwnedFd, Errno> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        openat2(self.root()?, path, LOOK | OFlags::NOFOLLOW, Mode::empty(), how)
    }
}

/// The number in `/proc/self/fd/N`.
pub(super) fn descriptor_of(path: &[u8]) -> Option<i32> {
    let own = [b"/proc/self/fd/".as_slice(), b"/proc/thread-self/fd/", b"/dev/fd/"];
    let number = own.iter().find_map(|own| path.strip_prefix(*own))?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// What a process calls its own, which is another's for whoever else follows the path.
fn own_of_process(path: &[u8]) -> Option<(Base<'static>, &[u8])> {
    let own = path.strip_prefix(b"/proc/self/").or_else(|| path.strip_prefix(b"/proc/thread-self/"));
    let descriptors = own.and_then(|own| own.strip_prefix(b"fd/")).or_else(|| path.strip_prefix(b"/dev/fd/"));
    if let Some(descriptors) = descriptors {
        let slash = descriptors.iter().position(|byte| *byte == b'/')?;
        let (number, rest) = descriptors.split_at(slash);
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        return Some((Base::Descriptor(number), relative(rest)));
    }
    let rest = own?.strip_prefix(b"cwd").filter(|rest| rest.starts_with(b"/"));
    if let Some(rest) = rest {
        return Some((Base::Directory, relative(rest)));
    }
    let rest = own?.strip_prefix(b"root").filter(|rest| rest.starts_with(b"/"))?;
    Some((Base::Directory, rest))
}

fn relative(rest: &[u8]) -> &[u8] {
    let start = rest.iter().position(|byte| *byte != b'/').unwrap_or(rest.len());
    match rest.get(start..) {
        Some([]) | None => b".",
        Some(rest) => rest,
    }
}

/// Where something lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lies {
    /// Where the kernel decides.
    Free,
    /// On a mount that cannot be written, and not held.
    ReadOnly,
    /// On the mount of a held folder, or it would.
    Held,
}

pub(super) fn lies(rules: &NameRules, seen: &OwnedFd) -> Lies {
    let is_in = |held: fn(&NameRules, &Path) -> bool| path_of(seen).is_some_and(|path| held(rules, &path));
    match rules.has_mounts() {
        true if !is_read_only(seen) => Lies::Free,
        true if is_in(|rules, path| rules.holder(path).is_some()) => Lies::Held,
        true => Lies::ReadOnly,
        false if is_in(NameRules::is_kept) => Lies::Held,
        false => Lies::Free,
    }
}

pub(super) fn is_held(rules: &NameRules, seen: &OwnedFd) -> bool {
    lies(rules, seen) == Lies::Held
}

impl Place {
    /// Where the name is or would be: held if it is made, replaced and removed for commands, or not at all.
    pub(super) fn lies(&self, rules: &NameRules) -> Lies {
        if rules.has_mounts() {
            return lies(rules, &self.seen);
        }
        let is_kept = path_of(&self.seen).is_some_and(|folder| rules.is_kept_name(&folder.join(&self.name)));
        if is_kept { Lies::Held } else { Lies::Free }
    }

    pub(super) fn is_held(&self, rules: &NameRules) -> bool {
        self.lies(rules) == Lies::Held
    }

    /// Whether there is something by that name.
    pub(super) fn exists(&self) -> bool {
        statat(&self.seen, &self.name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }
}

/// Whether nothing can be written by this mount.
pub(super) fn is_read_only(seen: impl AsFd) -> bool {
    fstatvfs(seen).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Which mount it was found on.
pub(super) fn mount_of(seen: impl AsFd) -> Option<u64> {
    let found = statx(seen, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(found.stx_mnt_id)
}

/// Whether something is mounted on this name.
pub(super) fn is_mount_point(folder: impl AsFd, name: &OsStr) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    statx(folder, name, flags, StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT))
}

/// Opens, in our view, where nothing is mounted read-only, what the asker sees here and finds at the path that it has. That is a
/// path without links, and the same file or folder for both; else none.
pub(super) fn ours(asker: Asker, seen: &OwnedFd) -> Option<(OwnedFd, PathBuf)> {
    let path = path_of(seen).filter(|path| path.is_absolute())?;
    let how = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let own = openat2(CWD, &path, LOOK | OFlags::NOFOLLOW, Mode::empty(), how).ok()?;
    let found = asker.at_plain_path(&path).ok()?;
    if !is_read_only(seen) && is_read_only(&found) {
        return None;
    }
    let wanted = identity(seen)?;
    (identity(&own)? == wanted && identity(&found)? == wanted).then_some((own, path))
}

fn identity(file: &OwnedFd) -> Option<(u64, u64)> {
    let found = fstat(file).ok()?;
    Some((found.st_dev, found.st_ino))
}
