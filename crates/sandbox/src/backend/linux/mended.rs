//! Puts mounts back that something outside has knocked off, and takes away what came to a protected name outside.

use super::laying::{MountError, READ_ONLY};
use super::mounts::{Pin, cover, covered_names, hide, if_there, is_mount, pin_down, pins, show_empty};
use super::sys;
use crate::names;
use crate::plan::Plan;
use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, fstatvfs, openat};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// A folder is only looked at.
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Puts back what was knocked off: every place that should be a mount and is none any more. Runs in the session's mount
/// namespace, with the capabilities of its user namespace.
pub(super) fn mend(plan: &Plan) -> Result<(), MountError> {
    for path in plan.execution.never_in.iter().filter(|path| !is_mount(path)) {
        if_there(pin_down(path, Pin::NotExecuted))?;
    }
    for (path, pin) in
        pins(plan).into_iter().filter(|(path, _)| !is_mount(path) && path.symlink_metadata().is_ok())
    {
        pin_down(&path, pin)?;
    }
    plan.hidden.iter().filter(|path| !is_mount(path)).try_for_each(|path| if_there(hide(path)))?;
    plan.emptied.iter().filter(|path| !is_mount(path)).try_for_each(|path| if_there(show_empty(path)))?;
    let uncovered = covered_names(plan).into_iter().filter(|(path, _)| !is_mount(path));
    uncovered.into_iter().try_for_each(|(path, text)| if_there(cover(&path, &text)))?;
    came_to_protected_names(plan).into_iter().try_for_each(|path| if_there(make_read_only(&path)))
}

/// Lists folders that were writable inside, and have got a protected name outside: their mounts came along.
fn came_to_protected_names(plan: &Plan) -> Vec<PathBuf> {
    names_that_hold(plan).filter(|path| is_mount(path) && !is_read_only(path)).collect()
}

/// Lists the protected names that are read-only with the folder that they lie in.
fn names_that_hold(plan: &Plan) -> impl Iterator<Item = PathBuf> {
    let held = if plan.brokered { names::held(plan) } else { Default::default() };
    let is_root = |path: &Path| plan.writable.iter().any(|root| root.starts_with(path));
    // Nobody gives something of a Git directory another name there.
    let is_of_git =
        |path: &Path| plan.repositories.iter().any(|known| path.starts_with(known) && path != known);
    let held_by_it = move |path: &&Path| path.parent().is_some_and(|folder| held.contains(folder));
    names::protected(plan)
        .filter(held_by_it)
        .filter(move |path| !is_root(path) && !is_of_git(path))
        .map(Path::to_owned)
}

fn is_read_only(path: &Path) -> bool {
    let found = openat(CWD, path, LOOK, Mode::empty()).and_then(fstatvfs);
    found.is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Makes the mount itself read-only, for those who stand in it as well; that takes that nobody has a file there open for writing.
fn make_read_only(path: &Path) -> Result<(), MountError> {
    let changed = openat(CWD, path, LOOK, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|mount| sys::change_mount(mount.as_fd(), true, READ_ONLY, 0));
    changed.map_err(|source| MountError::Change { path: path.to_owned(), source })
}

/// Lists every path that should be a mount and that programs outside may replace.
pub(super) fn places(plan: &Plan) -> Vec<PathBuf> {
    let covered = plan.hidden.iter().chain(&plan.emptied).chain(&plan.execution.never_in).cloned();
    // Opened folders come and go; whoever brokers names has them mounted when they are used.
    let pins = pins(plan).into_iter().filter(|(_, pin)| *pin != Pin::Opened);
    let names = covered_names(plan).into_iter().map(|(path, _)| path);
    pins.map(|(path, _)| path).chain(covered).chain(names).chain(names_that_hold(plan)).collect()
}
