//! A tree in which nothing is there that cannot be read: Landlock says who opens and lists, not who looks at attributes, follows
//! links, or is told of what others do.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use std::os::fd::AsFd;

use super::laying::{MountError, NO_DEVICES, NO_EXEC, NO_SUID, READ_ONLY, copy, make, place};
use super::sys;

/// Replaced as a whole, later.
const OWN: [&str; 2] = ["/dev", "/proc"];

/// Lays an empty folder over each folder of the root in which not all is `readable`, with what is in its place. Where a root
/// that is `writable` belongs there is an empty folder, which it is placed on later.
pub(super) fn lay(readable: &[PathBuf], writable: &[PathBuf], sockets: &[PathBuf]) -> Result<(), MountError> {
    let kept: BTreeSet<&PathBuf> = readable.iter().chain(writable).chain(sockets).collect();
    let tops = fs::read_dir("/").map_err(MountError::ReadOnly)?;
    for top in tops {
        let top = top.map_err(MountError::ReadOnly)?;
        let path = top.path();
        let is_folder = top.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && !OWN.iter().any(|own| path == Path::new(own)) && !kept.contains(&path) {
            let below = kept.iter().filter(|kept| kept.starts_with(&path)).copied();
            lay_over(&path, below, writable)?;
        }
    }
    Ok(())
}

fn lay_over<'p>(
    top: &Path,
    kept: impl Iterator<Item = &'p PathBuf>,
    writable: &[PathBuf],
) -> Result<(), MountError> {
    let mut back = Vec::new();
    let mut folders = Vec::new();
    for path in kept {
        // What lies in another one comes with it.
        let is_in = |outer: &&PathBuf| path.starts_with(outer);
        if folders.iter().any(is_in) || back.iter().any(|(outer, _, _)| is_in(outer)) {
            continue;
        }
        if writable.contains(path) {
            folders.push(path);
        } else if let Ok(found) = path.symlink_metadata() {
            back.push((path, found.is_dir(), copy(path)?));
        }
    }
    let empty = make("tmpfs", &[("mode", "0755"), ("size", "1m"), ("nr_inodes", "1k")])?;
    place(&empty, top)?;
    for path in folders {
        folder(path)?;
    }
    for (path, is_folder, tree) in &back {
        if *is_folder {
            folder(path)?;
        } else {
            path.parent().map_or(Ok(()), folder)?;
            File::create(path).map_err(|source| wrong(path, source))?;
        }
        place(tree, path)?;
    }
    sys::change_mount(empty.as_fd(), false, READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC, 0)
        .map_err(|source| wrong(top, source))
}

fn folder(path: &Path) -> Result<(), MountError> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(|source| wrong(path, source))
}

fn wrong(path: &Path, source: io::Error) -> MountError {
    MountError::Place { path: path.to_owned(), source }
}
