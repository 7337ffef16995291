//! Who can change what lies at a path.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sandbox::Plan;

/// Write permission of group and others (stat(2)). A sticky folder such as `/tmp` has it too: what others put there
/// before is theirs.
const OTHERS_MAY_WRITE: u32 = 0o022;
/// Together, and without write permission for others: `/nix/store`, whose group are the users that build.
const STICKY: u32 = 0o1000;
const GROUP_MAY_WRITE: u32 = 0o020;

/// What is wrong with a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::judgement) enum Unsafe {
    /// It is gone, or cannot be looked at.
    #[error("{} cannot be looked at", .0.display())]
    Unknown(PathBuf),
    /// It belongs to somebody else.
    #[error("{} belongs to another user (uid {owner})", path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Others can change it.
    #[error("{} can be changed by other users (mode {mode:04o})", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The sandbox does not keep it.
    #[error("{} can be written from inside the sandbox", .0.display())]
    Writable(PathBuf),
    /// It has a name that is not beside it.
    #[error("{} has another name (hard link) that may be writable from inside the sandbox", .0.display())]
    LinkedElsewhere(PathBuf),
}

/// The rules for places of one call.
pub(super) struct Location<'p> {
    pub(super) plan: &'p Plan,
}

impl Location<'_> {
    /// Checks the file or folder at a path without links, and every folder above it: owned by root or the user, changed
    /// by nobody else, and not from inside the sandbox. (Without a sandbox the last says nothing: the user wanted
    /// everything to be writable.)
    pub(super) fn check(&self, canonical: &Path) -> Result<(), Unsafe> {
        let user = rustix::process::geteuid().as_raw();
        let enforced = self.plan.mode.is_enforced();
        let mut below = None;
        for path in canonical.ancestors() {
            let unknown = |_| Unsafe::Unknown(path.to_owned());
            let metadata = path.symlink_metadata().map_err(unknown)?;
            if metadata.uid() != 0 && metadata.uid() != user {
                return Err(Unsafe::Foreign { path: path.to_owned(), owner: metadata.uid() });
            }
            if others_may_change(&metadata, below.as_ref()) {
                return Err(Unsafe::Open { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
            }
            // Also of the folders above: who may write there can put another folder in the place of this one.
            if enforced && self.plan.may_write(path) {
                return Err(Unsafe::Writable(path.to_owned()));
            }
            if enforced && metadata.is_file() && metadata.uid() != 0 && has_names_elsewhere(path, &metadata) {
                return Err(Unsafe::LinkedElsewhere(path.to_owned()));
            }
            below = Some(metadata);
        }
        Ok(())
    }
}

/// Whether others can change a file, or what a folder has on the path `below` it.
fn others_may_change(metadata: &Metadata, below: Option<&Metadata>) -> bool {
    // A link has no permissions of its own.
    if metadata.is_symlink() || metadata.mode() & OTHERS_MAY_WRITE == 0 {
        return false;
    }
    // A folder of root's in a sticky one stays what it is: unlike a file, nobody else can put it there under another
    // name.
    let may_only_add = metadata.mode() & (STICKY | OTHERS_MAY_WRITE) == STICKY | GROUP_MAY_WRITE;
    !(may_only_add && below.is_some_and(|below| below.is_dir() && below.uid() == 0))
}

/// Whether a file has more names than its folder has for it. Root's files cannot be written by the user through any.
fn has_names_elsewhere(path: &Path, metadata: &Metadata) -> bool {
    if metadata.nlink() <= 1 {
        return false;
    }
    let Some(Ok(entries)) = path.parent().map(std::fs::read_dir) else { return true };
    let is_it = |entry: std::fs::DirEntry| entry.metadata().is_ok_and(|other| other.ino() == metadata.ino());
    let beside = entries.flatten().filter_map(|entry| is_it(entry).then_some(())).count();
    u64::try_from(beside).is_ok_and(|beside| beside < metadata.nlink())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn in_a_folder_that_a_group_may_only_add_to_a_folder_of_roots_is_kept() {
        let store = tempfile::tempdir().unwrap();
        let package = store.path().join("package");
        std::fs::create_dir(&package).unwrap();
        std::fs::write(store.path().join("file"), "").unwrap();
        let changeable = |mode: u32, below: &Path| {
            std::fs::set_permissions(store.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let of = |path: &Path| path.symlink_metadata().unwrap();
            others_may_change(&of(store.path()), Some(&of(below)))
        };
        assert!(!changeable(0o755, &package));
        let is_roots = rustix::process::geteuid().is_root();
        assert_eq!(changeable(0o1775, &package), !is_roots);
        // A file may be another name of one elsewhere; without the sticky bit, folders can be exchanged, too.
        assert!(changeable(0o1775, &store.path().join("file")));
        assert!(changeable(0o775, &package) && changeable(0o1777, &package) && changeable(0o1757, &package));
    }
}
