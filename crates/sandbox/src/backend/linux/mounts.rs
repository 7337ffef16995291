//! What the file system looks like inside: read-only but for the writable roots, secrets covered, own `/dev`, `/proc`.
//!
//! Runs in init, in a mount namespace of its own. Paths stay the same as outside: mounts are laid over the host's tree
//! instead of pivoting into a new one. A new mount covers what it lies on, cannot be taken off without a capability that
//! no command has, and (being a mount point) cannot be renamed or removed from inside.

use super::laying::{
    MountError, NO_DEVICES, NO_EXEC, NO_SUID, READ_ONLY, change_and_place, copy, make, place,
};
use super::{accounts, bare, gateway, sys};
use crate::caches::{Claim, Layer};
use crate::names::{self, NameRules};
use crate::plan::Plan;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::MountPropagationFlags;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The devices that commands need; every other node of the host's `/dev` is absent inside.
const DEVICES: &[(&str, &str)] = &[
    ("null", "where output goes to die"),
    ("zero", "zeroes"),
    ("full", "tests of a full disk"),
    ("random", "randomness"),
    ("urandom", "randomness"),
    ("tty", "asking whether there is a terminal; there is none"),
];
/// An empty file in the session's own `/dev`, which is shown in place of others.
const EMPTY_FILE: &str = ".empty";
/// Links that the shell and libc expect in `/dev`.
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// What becomes of a place inside a writable root that is made a mount point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pin {
    /// It stays writable.
    Writable,
    /// It cannot be written, nor what is mounted in it.
    ReadOnly,
    /// No name can be made in it; what is mounted in it is as it was.
    Held,
    /// A folder in a held one: writable.
    Opened,
    /// Nothing in it is executed, nor in what is mounted in it.
    NotExecuted,
    /// It is executed all the same, and not written.
    Executed,
}

/// Folders of one held folder that are made writable when a session starts. More are when they are first used.
const MOST_OPENED: usize = 1000;

/// Builds the view; `own_processes` says that there is a PID namespace, whose `/proc` is mounted. Returns the caches that
/// have a layer.
pub(super) fn build(
    plan: &Plan,
    caches: Option<&Claim>,
    own_processes: bool,
) -> Result<Vec<PathBuf>, MountError> {
    let writes_everywhere = plan.writable.iter().any(|root| root == Path::new("/"));
    // What the host mounts later stays outside, and nothing mounted here is seen there.
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|errno| MountError::Private(errno.into()))?;
    let stand_in = plan.execution.shell.as_ref();
    let stand_in = stand_in.map(|shell| Ok((&shell.place, copy(&shell.program)?)));
    let stand_in = stand_in.transpose()?;
    // Copies taken before the tree becomes read-only keep their own flags.
    let mut roots = Vec::new();
    let own = caches.map(|caches| &caches.own);
    for root in plan.writable.iter().chain(own).filter(|root| *root != Path::new("/")) {
        roots.push((root, copy(root)?));
    }
    // A cache that can have no layer (no such file system, another one mounted in it) stays read-only like all the rest.
    let layered: Vec<(&PathBuf, OwnedFd)> = caches
        .iter()
        .flat_map(|caches| &caches.layers)
        .filter_map(|layer| Some((&layer.place, overlay(layer).ok()?)))
        .collect();
    let with_layers = layered.iter().map(|(place, _)| (*place).clone()).collect();
    roots.extend(layered);
    let devices = DEVICES
        .iter()
        .filter(|(name, _)| Path::new("/dev").join(name).exists())
        .map(|(name, _)| Ok((*name, copy(&Path::new("/dev").join(name))?)))
        .collect::<Result<Vec<_>, MountError>>()?;
    // One that is gone since the plan was made is not there inside either.
    let granted = plan.devices.iter().filter(|path| path.exists());
    let granted = granted.map(|path| Ok(Granted { path, is_folder: path.is_dir(), node: copy(path)? }));
    let granted = granted.collect::<Result<Vec<_>, MountError>>()?;
    // Everything is read-only, and set-user-id bits and device nodes mean nothing.
    let whole = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| MountError::ReadOnly(errno.into()))?;
    let flags = if writes_everywhere { NO_SUID | NO_DEVICES } else { READ_ONLY | NO_SUID | NO_DEVICES };
    sys::change_mount(whole.as_fd(), true, flags, 0).map_err(MountError::ReadOnly)?;
    if let Some(readable) = plan.only_readable.as_deref().filter(|_| plan.bare) {
        bare::lay(readable, &plan.writable, &plan.sockets)?;
    }
    // Outer roots first: an inner one lies on top of its outer one.
    roots.sort_by_key(|(root, _)| root.components().count());
    for (root, tree) in &roots {
        let flags = NO_SUID | NO_DEVICES | no_exec(plan.execution.is_never_in(root));
        sys::change_mount(tree.as_fd(), true, flags, 0)
            .map_err(|source| MountError::Change { path: (*root).clone(), source })?;
        place(tree, root)?;
    }
    for path in plan.execution.never_in.iter().filter(|path| !roots.iter().any(|(root, _)| root == path)) {
        if_there(pin_down(path, Pin::NotExecuted))?;
    }
    // What is listed by name in such a place.
    for path in plan.execution.only.iter().flatten().filter(|path| plan.execution.is_never_in(path)) {
        if_there(pin_down(path, Pin::Executed))?;
    }
    if let Some((place_of_shell, program)) = &stand_in {
        sys::change_mount(program.as_fd(), false, READ_ONLY | NO_SUID | NO_DEVICES, NO_EXEC)
            .map_err(|source| MountError::Change { path: (*place_of_shell).clone(), source })?;
        place(program, place_of_shell)?;
    }
    // Protected places, and everything on the way to them: a parent that could be renamed would take them along, and a
    // fresh one could be put in its place.
    for (path, pin) in pins(plan) {
        pin_down(&path, pin)?;
    }
    let mut texts = if plan.by_name.is_some() { gateway::name_files().to_vec() } else { Vec::new() };
    let hides_hashes = plan.hidden.iter().any(|path| path == Path::new(accounts::HASHES));
    let accounts = hides_hashes.then(accounts::list).flatten();
    let accounts = accounts.map(|text| texts.push((accounts::SHOWN, text)));
    own_devices(devices, granted, &texts, no_exec(!plan.execution.never_in.is_empty()))?;
    if own_processes {
        let processes = make("proc", &[])?;
        let flags = READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC;
        sys::change_mount(processes.as_fd(), false, flags, 0)
            .map_err(|source| MountError::Change { path: "/proc".into(), source })?;
        place(&processes, Path::new("/proc"))?;
    }
    // Last, so that no later mount uncovers a secret.
    plan.hidden.iter().try_for_each(|path| if_there(hide(path)))?;
    plan.emptied.iter().try_for_each(|path| if_there(show_empty(path)))?;
    covered_names(plan).iter().try_for_each(|(path, text)| if_there(cover(path, text)))?;
    // One that is replaced outside meanwhile shows through.
    if accounts.is_some() {
        if_there(cover(Path::new(accounts::LIST), &Path::new("/dev").join(accounts::SHOWN)))?;
    }
    // A working folder from before would still be the uncovered one.
    rustix::process::chdir("/").map_err(|errno| MountError::Private(errno.into()))?;
    Ok(with_layers)
}

fn no_exec(applies: bool) -> u64 {
    if applies { NO_EXEC } else { 0 }
}

/// Has nothing executed in some places, and others hidden or read-only, in a mount namespace that is like the host's in all
/// else.
pub(super) fn build_outside(plan: &Plan) -> Result<(), MountError> {
    // What the host mounts later is seen here, and nothing mounted here is seen there.
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|errno| MountError::Private(errno.into()))?;
    // Outer ones first: a copy of an inner one that is taken then has what the outer one has.
    let places: BTreeSet<&PathBuf> = plan.execution.never_in.iter().collect();
    places.into_iter().try_for_each(|path| if_there(pin_down(path, Pin::NotExecuted)))?;
    pins(plan).into_iter().try_for_each(|(path, pin)| if_there(pin_down(&path, pin)))?;
    plan.hidden.iter().try_for_each(|path| if_there(hide(path)))?;
    plan.emptied.iter().try_for_each(|path| if_there(show_empty(path)))?;
    // A working folder from before would still be on the other mounts.
    rustix::process::chdir("/").map_err(|errno| MountError::Private(errno.into()))
}

/// Makes a file system that shows a place, and takes what is written. `userxattr`, because without it a mount in a user
/// namespace cannot remove what the lower layer holds.
fn overlay(layer: &Layer) -> Result<OwnedFd, MountError> {
    let text = |path: &Path| path.to_str().filter(|path| !path.contains([':', ',', '\\'])).map(str::to_owned);
    let unusable = || MountError::Make { kind: "overlay", source: io::ErrorKind::InvalidFilename.into() };
    let [lower, upper, work] =
        [&layer.place, &layer.upper, &layer.work].map(|path| text(path).ok_or_else(unusable));
    make("overlay", &[("lowerdir", &lower?), ("upperdir", &upper?), ("workdir", &work?), ("userxattr", "")])
}

/// Lists the files that say how names are found, and what lies over each where hosts are reached by name. One that is not there
/// says nothing either.
pub(super) fn covered_names(plan: &Plan) -> Vec<(PathBuf, PathBuf)> {
    let files = gateway::NAME_FILES.iter().filter(|_| plan.by_name.is_some());
    let placed =
        |(path, text): &(&str, &str)| Some((fs::canonicalize(path).ok()?, Path::new("/dev").join(text)));
    files.filter_map(placed).collect()
}

/// Tells whether something is mounted exactly here; what is not there is not.
pub(super) fn is_mount(path: &Path) -> bool {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW | rustix::fs::AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(CWD, path, flags, rustix::fs::StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT))
}

/// Makes a place a mount point, which cannot be renamed or removed from inside; read-only if it is protected.
pub(super) fn pin_down(path: &Path, pin: Pin) -> Result<(), MountError> {
    let tree = match (copy(path), pin) {
        // Whoever made the folder has removed it.
        (Err(_), Pin::Opened) => return Ok(()),
        // On the way to it was a socket of somebody's who has ended: with it goes what was to be kept.
        (Err(error), Pin::Writable) if error.is_of_nothing() => return Ok(()),
        (tree, _) => tree?,
    };
    let change = |whole_tree, set, clear| {
        sys::change_mount(tree.as_fd(), whole_tree, set, clear)
            .map_err(|source| MountError::Change { path: path.to_owned(), source })
    };
    match pin {
        Pin::ReadOnly => change(true, READ_ONLY, 0)?,
        Pin::Held => change(false, READ_ONLY, 0)?,
        // Copied from a held folder, it is read-only.
        Pin::Opened => change(false, 0, READ_ONLY)?,
        Pin::NotExecuted => change(true, NO_EXEC | NO_SUID | NO_DEVICES, 0)?,
        Pin::Executed => change(true, READ_ONLY | NO_SUID | NO_DEVICES, NO_EXEC)?,
        Pin::Writable => {}
    }
    match (place(&tree, path), pin) {
        (Err(_), Pin::Opened) => Ok(()),
        (Err(error), Pin::Writable) if error.is_of_nothing() => Ok(()),
        (placed, _) => placed,
    }
}

/// Makes a folder in a held one writable, if it is not.
pub(super) fn bind_writable(folder: &Path) -> Result<(), MountError> {
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir());
    if !is_folder || is_mount(folder) { Ok(()) } else { pin_down(folder, Pin::Opened) }
}

/// What goes meanwhile (a socket's owner ends) needs no cover.
pub(super) fn if_there(covered: Result<(), MountError>) -> Result<(), MountError> {
    covered.or_else(|error| if error.is_of_nothing() { Ok(()) } else { Err(error) })
}

/// Lays an empty file over a file.
pub(super) fn show_empty(path: &Path) -> Result<(), MountError> {
    if !path.is_file() {
        return Ok(());
    }
    let empty = Path::new("/dev").join(EMPTY_FILE);
    match empty.is_file() {
        true => cover(path, &empty),
        // The host's devices have no such file.
        false => change_and_place(&copy(Path::new("/dev/null"))?, READ_ONLY | NO_SUID | NO_EXEC, path),
    }
}

/// Lists what becomes a mount point inside the writable roots, parents before children.
pub(super) fn pins(plan: &Plan) -> BTreeMap<PathBuf, Pin> {
    if !plan.mode.is_enforced() {
        return pins_outside(plan);
    }
    let mut pins = if plan.brokered { pins_of_held(plan) } else { pins_of_protected(plan) };
    keep_ways(plan, &mut pins);
    pins
}

/// Outside: what is read-only, and the folder that it lies in, which another one could else take the place of.
fn pins_outside(plan: &Plan) -> BTreeMap<PathBuf, Pin> {
    let reserved =
        plan.reserved.iter().map(|reserved| &reserved.path).filter(|path| path.symlink_metadata().is_ok());
    let read_only: Vec<&PathBuf> = plan.read_only.iter().chain(reserved).collect();
    let folders =
        read_only.iter().filter_map(|path| path.parent()).filter(|folder| folder.parent().is_some());
    let folders = folders.map(|folder| (folder.to_owned(), Pin::Writable));
    let mut pins: BTreeMap<PathBuf, Pin> = folders.collect();
    pins.extend(read_only.into_iter().map(|path| (path.clone(), Pin::ReadOnly)));
    pins
}

/// Where names are brokered: held folders, the way to them, and what is in them and not protected.
fn pins_of_held(plan: &Plan) -> BTreeMap<PathBuf, Pin> {
    let held = names::held(plan);
    let rules = NameRules::of(plan, true);
    let mut pins = BTreeMap::new();
    for folder in &held {
        for ancestor in folder.ancestors().skip(1).filter(|ancestor| {
            plan.writable.iter().any(|root| ancestor.starts_with(root) && ancestor != root)
        }) {
            let in_held = ancestor.parent().is_some_and(|parent| held.contains(parent));
            let pin = if in_held && !is_mount(ancestor) { Pin::Opened } else { Pin::Writable };
            pins.entry(ancestor.to_owned()).or_insert(pin);
        }
    }
    for folder in &held {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let free = folders.map(|entry| entry.path()).filter(|path| rules.is_opened(path) && !is_mount(path));
        for path in free.take(MOST_OPENED) {
            pins.entry(path).or_insert(Pin::Opened);
        }
        // One that comes later is held by the folder that it comes into.
        if folder.is_dir() {
            pins.insert(folder.clone(), Pin::Held);
        }
    }
    // What is protected is read-only with the folder that it lies in, unless it does not lie in one that can be held, or
    // something is mounted in it.
    let mounted = mount_points();
    for path in names::protected(plan).filter(|path| !held.contains(*path)) {
        let is_mounted_in = || mounted.iter().any(|point| point.starts_with(path));
        let in_root = plan.writable.iter().any(|root| path.starts_with(root) && path != root);
        let is_held =
            path.parent().is_some_and(|parent| held.contains(parent)) || names::is_in_held_whole(plan, path);
        if in_root && (!is_held || is_mounted_in()) && path.symlink_metadata().is_ok() {
            pins.insert(path.to_owned(), Pin::ReadOnly);
        }
    }
    keep_roots_writable(plan, pins)
}

/// Lists what is mounted now, as far as its name is plain.
fn mount_points() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}

/// Without a broker: protected places, and the way to them.
fn pins_of_protected(plan: &Plan) -> BTreeMap<PathBuf, Pin> {
    let mut pins = BTreeMap::new();
    // A name that could not be held lies in a folder that commands cannot write either.
    let reserved =
        plan.reserved.iter().map(|reserved| &reserved.path).filter(|path| path.symlink_metadata().is_ok());
    let in_root = |path: &&PathBuf| plan.writable.iter().any(|root| path.starts_with(root));
    for path in plan.read_only.iter().chain(reserved).filter(in_root) {
        for ancestor in way_to(plan, path) {
            pins.entry(ancestor.to_owned()).or_insert(Pin::Writable);
        }
        pins.insert(path.clone(), Pin::ReadOnly);
    }
    keep_roots_writable(plan, pins)
}

/// Adds the way to what is covered (which is a mount point by that), to sockets and to roots. Somebody outside who looks
/// for a socket would meet what a command has put in the place of its folder; a root would be found at another place.
fn keep_ways(plan: &Plan, pins: &mut BTreeMap<PathBuf, Pin>) {
    let held = if plan.brokered { names::held(plan) } else { BTreeSet::new() };
    let folders = plan.socket_folders.iter().map(|folder| &folder.path);
    let kept = plan.hidden.iter().chain(&plan.emptied).chain(&plan.sockets).chain(&plan.writable);
    for path in kept.chain(folders.clone()) {
        for ancestor in way_to(plan, path) {
            let in_held = ancestor.parent().is_some_and(|parent| held.contains(parent));
            let pin = if in_held && !is_mount(ancestor) { Pin::Opened } else { Pin::Writable };
            pins.entry(ancestor.to_owned()).or_insert(pin);
        }
    }
    let in_root = |path: &&PathBuf| plan.writable.iter().any(|root| path.starts_with(root));
    pins.extend(plan.sockets.iter().filter(in_root).map(|path| (path.clone(), Pin::Writable)));
    let folders = folders.filter(in_root).filter(|path| path.symlink_metadata().is_ok());
    pins.extend(folders.map(|path| (path.clone(), Pin::ReadOnly)));
}

/// A writable root inside a read-only place inside a writable root was asked for by name: it stays writable.
fn keep_roots_writable(plan: &Plan, mut pins: BTreeMap<PathBuf, Pin>) -> BTreeMap<PathBuf, Pin> {
    for root in &plan.writable {
        let below = |(path, pin): (&PathBuf, &Pin)| {
            matches!(pin, Pin::ReadOnly | Pin::Held) && root.starts_with(path) && root != path
        };
        if pins.iter().any(below) {
            pins.entry(root.clone())
                .and_modify(|pin| {
                    if *pin != Pin::Held {
                        *pin = Pin::Writable
                    }
                })
                .or_insert(Pin::Writable);
        }
    }
    pins
}

/// Lists the folders between a place in a writable root and that root, the outermost one that has it.
fn way_to<'a>(plan: &Plan, path: &'a Path) -> impl Iterator<Item = &'a Path> {
    let roots = plan.writable.iter().filter(|root| path.starts_with(root) && *root != path);
    let root = roots.min_by_key(|root| root.as_os_str().len()).cloned();
    path.ancestors().skip(1).take_while(move |ancestor| {
        root.as_ref().is_some_and(|root| ancestor.starts_with(root) && ancestor != root)
    })
}

/// Covers a secret: a folder by an empty one, anything else by a device node on a mount that forbids devices, which fails
/// every open with EACCES, whoever asks, and every connect with ECONNREFUSED.
pub(super) fn hide(path: &Path) -> Result<(), MountError> {
    let Ok(kind) = fs::symlink_metadata(path).map(|metadata| metadata.file_type()) else {
        // Gone since the plan was made: nothing to hide.
        return Ok(());
    };
    if kind.is_dir() {
        let empty = make("tmpfs", &[("mode", "0000"), ("size", "4k"), ("nr_inodes", "2")])?;
        return change_and_place(&empty, READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC, path);
    }
    cover(path, Path::new("/dev/null"))
}

/// Lays something of the session's own `/dev` over a file. From there, because kernels before 6.15 only copy mounts that
/// have a place: a copy of a detached one is EINVAL (`may_copy_tree` in fs/namespace.c).
pub(super) fn cover(path: &Path, with: &Path) -> Result<(), MountError> {
    change_and_place(&copy(with)?, READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC, path)
}

/// A device of the host, or a folder of them, that the user grants.
struct Granted<'a> {
    path: &'a Path,
    is_folder: bool,
    node: OwnedFd,
}

/// Replaces `/dev` by one with the few nodes of [`DEVICES`], terminals of its own and a private `/dev/shm`.
fn own_devices(
    devices: Vec<(&'static str, OwnedFd)>,
    granted: Vec<Granted<'_>>,
    texts: &[(&'static str, String)],
    no_exec: u64,
) -> Result<(), MountError> {
    let folder = Path::new("/dev");
    let wrong = |name: &'static str| move |source: io::Error| MountError::Devices { name, source };
    let tree = make("tmpfs", &[("mode", "0755"), ("size", "192k")])?;
    place(&tree, folder)?;
    for (name, node) in devices {
        fs::File::create(folder.join(name)).map_err(wrong(name))?;
        // Devices can be written all the same; the node is the host's own.
        sys::change_mount(node.as_fd(), false, READ_ONLY | NO_SUID | NO_EXEC, 0).map_err(wrong(name))?;
        place(&node, &folder.join(name))?;
    }
    for Granted { path, is_folder, node } in granted {
        let made = if is_folder { fs::create_dir_all(path) } else { make_file(path) };
        made.map_err(|source| MountError::Place { path: path.to_owned(), source })?;
        change_and_place(&node, READ_ONLY | NO_SUID | NO_EXEC, path)?;
    }
    let read = Mode::RUSR | Mode::RGRP | Mode::ROTH;
    rustix::fs::open(folder.join(EMPTY_FILE), OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, read)
        .map_err(|errno| wrong(EMPTY_FILE)(errno.into()))?;
    for (name, text) in texts {
        fs::write(folder.join(name), text).map_err(wrong(name))?;
    }
    for (name, target) in DEVICE_LINKS {
        std::os::unix::fs::symlink(target, folder.join(name)).map_err(wrong(name))?;
    }
    for name in ["pts", "shm"] {
        fs::create_dir(folder.join(name)).map_err(wrong(name))?;
    }
    let terminals = make("devpts", &[("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")])?;
    change_and_place(&terminals, NO_SUID | NO_EXEC, &folder.join("pts"))?;
    // A share of memory that one session cannot exceed; nothing in it is seen outside.
    let shared = make("tmpfs", &[("mode", "1777"), ("size", "25%")])?;
    change_and_place(&shared, NO_SUID | NO_DEVICES | no_exec, &folder.join("shm"))?;
    let placed = rustix::fs::open(folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| wrong("read-only")(errno.into()))?;
    sys::change_mount(placed.as_fd(), false, READ_ONLY | NO_SUID | NO_EXEC, 0).map_err(wrong("read-only"))
}

/// Makes an empty file, and the folders that lead to it.
fn make_file(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::File::create(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode as SandboxMode, Network};

    #[test]
    fn the_way_to_a_protected_place_is_pinned() {
        let mut plan = Plan::unenforced(SandboxMode::WorkspaceWrite, Network::Restricted);
        plan.writable = vec!["/tmp".into(), "/tmp/a/ws".into(), "/tmp/a/ws/.git/hooks/mine".into()];
        plan.read_only = vec!["/tmp/a/ws/.git/hooks".into(), "/elsewhere".into()];
        plan.hidden = vec!["/tmp/ssh-a/agent.1".into(), "/home/ann/.ssh".into()];
        plan.sockets = vec!["/tmp/b/granted".into(), "/run/granted".into()];
        let found: Vec<(String, Pin)> =
            pins(&plan).into_iter().map(|(path, pin)| (path.display().to_string(), pin)).collect();
        let expected = [
            ("/tmp/a", Pin::Writable),
            ("/tmp/a/ws", Pin::Writable),
            ("/tmp/a/ws/.git", Pin::Writable),
            ("/tmp/a/ws/.git/hooks", Pin::ReadOnly),
            ("/tmp/a/ws/.git/hooks/mine", Pin::Writable),
            ("/tmp/b", Pin::Writable),
            ("/tmp/b/granted", Pin::Writable),
            ("/tmp/ssh-a", Pin::Writable),
        ];
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(found, expected)| found.0 == expected.0 && found.1 == expected.1)
        );
        assert_eq!(found.len(), expected.len());
    }
}
