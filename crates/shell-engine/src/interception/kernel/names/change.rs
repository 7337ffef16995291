//! Modes, owners, times, lengths and attributes of what lies in a held folder.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    Access, AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, XattrFlags, accessat, chmod, chownat, fstat,
    ftruncate, openat, removexattr, setxattr, utimensat,
};
use rustix::io::Errno;

use sandbox::GitName;

use super::place::{Place, ours};
use super::wish::{At, Change};
use super::work::{Act, Outcome, Worker, by_descriptor};

/// Leaves an owner as it is.
const UNCHANGED: u32 = u32::MAX;

impl Worker<'_> {
    pub(super) fn change(&self, at: &At, follows: bool, change: &Change) -> Option<Outcome> {
        let seen = self.asker.object(&at.base(), &at.path, follows).ok()?;
        if !self.holds_thing(&seen) {
            return None;
        }
        let (own, path) = ours(self.asker, &seen)?;
        let holder = self.rules.holder(&path)?;
        // The held folder itself is the asker's as all others are.
        if matches!(change, Change::Length(_)) && self.rules.is_index(&path) {
            self.is_refused(&path);
            return None;
        }
        let is_askers = path == holder || self.rules.is_free(&path);
        if !is_askers && !self.only_tries_modes(&own, &path, change) && !self.is_new_mode(&path, change) {
            return None;
        }
        if self.opens(&path) && !self.holds_thing(&self.asker.object(&at.base(), &at.path, follows).ok()?) {
            return None;
        }
        let kind = FileType::from_raw_mode(fstat(&own).ok()?.st_mode);
        // By their descriptor links would be followed, and the others opened.
        let may = match change {
            Change::Owner(..) | Change::Times(_) => true,
            Change::Mode(_) | Change::Access(_) => kind != FileType::Symlink,
            Change::Length(_) | Change::SetAttribute { .. } | Change::RemoveAttribute { .. } => {
                matches!(kind, FileType::RegularFile | FileType::Directory)
            }
        };
        may.then(|| apply(&own, change).into())
    }
}

impl Worker<'_> {
    /// Whether it makes a configuration executable for its owner, or no longer: so `git init` finds out whether modes can be set.
    fn only_tries_modes(&self, own: &OwnedFd, path: &Path, change: &Change) -> bool {
        let differs = |mode: u32| {
            let found = fstat(own)
                .ok()
                .filter(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile);
            found.is_some_and(|found| (found.st_mode ^ mode) & 0o7777 == 0o100)
        };
        let is_configuration = || matches!(self.git_name(path), Some((_, GitName::Config)));
        matches!(change, Change::Mode(mode) if differs(*mode)) && is_configuration()
    }

    /// Whether it is the mode of what this call has made once.
    fn is_new_mode(&self, path: &Path, change: &Change) -> bool {
        let by_name = || {
            let (seen, name) = (self.asker.at_plain_path(path.parent()?).ok()?, path.file_name()?.to_owned());
            self.checked(Place { seen, name, is_folder: false }, Act::Mode)
        };
        matches!(change, Change::Mode(_)) && by_name().is_some()
    }
}

fn apply(own: &OwnedFd, change: &Change) -> Result<(), Errno> {
    let link = by_descriptor(own);
    match change {
        Change::Length(length) => {
            ftruncate(openat(CWD, link, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?, *length)
        }
        // As us: we have the user and the capabilities that the asker has.
        Change::Access(mode) => accessat(CWD, link, Access::from_bits_truncate(*mode), AtFlags::empty()),
        Change::Mode(mode) => chmod(link, Mode::from_raw_mode(mode & 0o7777)),
        Change::Owner(user, group) => {
            let user = (*user != UNCHANGED).then(|| Uid::from_raw(*user));
            let group = (*group != UNCHANGED).then(|| Gid::from_raw(*group));
            chownat(own, "", user, group, AtFlags::EMPTY_PATH)
        }
        Change::Times(times) => utimensat(own, "", times, AtFlags::EMPTY_PATH),
        Change::SetAttribute { name, value, flags } => {
            setxattr(link, name.as_os_str(), value, XattrFlags::from_bits_retain(*flags))
        }
        Change::RemoveAttribute { name } => removexattr(link, name.as_os_str()),
    }
}
