//! Patches of one folder go one after the other: whoever reads a file to change it has its folder until that is done.
//!
//! The locks are those of the folders themselves (flock(2)). Nothing is left in a project, they end with their process, and
//! every command, session and server meets the same ones. The folder that all files of a patch lie in is locked for it alone,
//! those above it together with others; so two patches wait for each other exactly when one's folder lies in the other's.
//!
//! Whoever keeps a lock for longer than patches take is not waited for: what is replaced is compared with what was read in any
//! case (`apply`).

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

/// The longest that is waited for other patches.
pub(crate) const LONGEST: Duration = Duration::from_secs(20);

/// Time between two looks at a lock.
const PERIOD: Duration = Duration::from_millis(3);

/// The right to change files, for as long as it lives.
pub(crate) struct Turn {
    _held: Vec<OwnedFd>,
}

impl Turn {
    /// Waits until no other patch is at work where these files are, at most for so long.
    pub(crate) fn wait(places: &[PathBuf], longest: Duration) -> Turn {
        let until = Instant::now() + longest;
        let mut folders = opened(&common(places));
        let last = folders.pop();
        let alone = last.map(|last| (last, FlockOperation::NonBlockingLockExclusive));
        let shared = folders.into_iter().map(|folder| (folder, FlockOperation::NonBlockingLockShared));
        let held = shared.chain(alone).map_while(|(folder, how)| lock(folder, how, until));
        Turn { _held: held.collect() }
    }
}

/// Locks a folder; `None`: it takes too long. There are file systems whose folders cannot be locked.
fn lock(folder: OwnedFd, how: FlockOperation, until: Instant) -> Option<OwnedFd> {
    loop {
        match flock(&folder, how) {
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(PERIOD),
            Err(Errno::WOULDBLOCK) => return None,
            Err(Errno::INTR) => {}
            Ok(()) | Err(_) => return Some(folder),
        }
    }
}

/// The folder that all of them lie in.
fn common(places: &[PathBuf]) -> PathBuf {
    let mut parents = places.iter().filter_map(|place| place.parent());
    let mut common = parents.next().unwrap_or(Path::new("/"));
    for parent in parents {
        while !parent.starts_with(common) {
            common = common.parent().unwrap_or(Path::new("/"));
        }
    }
    common.to_owned()
}

/// The folders from the root down to this one, as far as there are any that can be read.
fn opened(folder: &Path) -> Vec<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut path = PathBuf::new();
    let mut opened = Vec::new();
    for part in folder.components().map(|part| -> &OsStr { part.as_os_str() }) {
        path.push(part);
        match openat(CWD, &path, flags, Mode::empty()) {
            Ok(folder) => opened.push(folder),
            Err(Errno::NOENT) => break,
            Err(_) => {}
        }
    }
    opened
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(root: &Path, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| root.join(name)).collect()
    }

    /// Whether a second patch would have to wait while a first one is at work.
    fn waits(root: &Path, first: &[&str], second: &[&str]) -> bool {
        let _first = Turn::wait(&places(root, first), LONGEST);
        let folders = opened(&common(&places(root, second)));
        let second = Turn::wait(&places(root, second), Duration::ZERO);
        second._held.len() < folders.len()
    }

    #[test]
    fn patches_wait_for_those_of_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir(root.join("c")).unwrap();
        for (first, second, expected) in [
            (&["a/x"][..], &["a/x"][..], true),
            (&["a/x"], &["a/b/y"], true),
            (&["a/b/y"], &["a/x"], true),
            (&["a/x", "c/x"], &["a/b/y"], true),
            (&["new/x"], &["new/deep/y"], true),
            (&["a/x"], &["c/x"], false),
            (&["a/b/x"], &["c/x"], false),
        ] {
            assert_eq!(waits(&root, first, second), expected, "{first:?} {second:?}");
        }
    }

    #[test]
    fn nobody_is_waited_for_without_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let _kept = Turn::wait(&places(&root, &["x"]), LONGEST);
        let _second = Turn::wait(&places(&root, &["x"]), Duration::from_millis(20));
    }
}
