//! Which file a waiting call means: its path, followed as its process would follow it, without doing anything by it.
//!
//! The kernel follows the path once more when the call happens. Where it arrives elsewhere (a link was exchanged, or is
//! one that only the process itself can follow), `proof` sees it.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::sys::connections::take_descriptor;

/// A file is only looked at.
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// How far a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// As far as the kernel can without asking a file system, which may take as long as another machine does, or another
    /// process.
    Memory,
    /// To its end.
    FileSystems,
}

/// What came of following a path.
#[derive(Debug)]
pub(super) enum Found {
    /// This file.
    File(OwnedFd),
    /// It is not known in memory.
    Farther,
    /// None; `execve` fails so.
    Nothing(Errno),
    /// What only the process itself can say.
    Unclear,
}

/// The path of the working directory of a process.
pub(super) fn path_of_working_directory(thread: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{thread}/cwd")).ok()
}

/// The working directory of a process.
pub(super) fn working_directory(thread: i32) -> Option<OwnedFd> {
    openat(CWD, format!("/proc/{thread}/cwd"), LOOK | OFlags::DIRECTORY, Mode::empty()).ok()
}

/// The root directory of a process.
pub(super) fn root(thread: i32) -> Option<OwnedFd> {
    openat(CWD, format!("/proc/{thread}/root"), LOOK | OFlags::DIRECTORY, Mode::empty()).ok()
}

/// The file at a path of a thread's, which is meant from `directory` where it is relative. The thread's root is looked
/// up where it is not given.
pub(super) fn at_path(
    (thread, root): (i32, Option<&OwnedFd>),
    path: &[u8],
    directory: Option<&Path>,
    reach: Reach,
) -> Found {
    if path.is_empty() {
        return Found::Nothing(Errno::NOENT);
    }
    if let Some(own) = own_of_process(thread, path) {
        return own.map_or(Found::Unclear, Found::File);
    }
    let own_root = path.strip_prefix(b"/proc/self/root").filter(|rest| rest.starts_with(b"/"));
    let own_directory = path.strip_prefix(b"/proc/self/cwd/").filter(|rest| !rest.starts_with(b"/"));
    let path = Path::new(OsStr::from_bytes(own_root.or(own_directory).unwrap_or(path)));
    let absolute: PathBuf = match (path.is_absolute(), directory) {
        (true, _) => path.to_owned(),
        (false, Some(directory)) if directory.is_absolute() => directory.join(path),
        (false, Some(_) | None) => return Found::Unclear,
    };
    // Its own `/proc` has links that lead each process elsewhere.
    if absolute.starts_with("/proc") {
        return Found::Unclear;
    }
    let own;
    let root = match root {
        Some(root) => root,
        None => {
            own = self::root(thread);
            let Some(own) = &own else { return Found::Unclear };
            own
        }
    };
    let follow = match reach {
        Reach::Memory => ResolveFlags::IN_ROOT | ResolveFlags::CACHED,
        Reach::FileSystems => ResolveFlags::IN_ROOT,
    };
    match openat2(root, &absolute, LOOK, Mode::empty(), follow) {
        Ok(file) => Found::File(file),
        Err(Errno::AGAIN) if reach == Reach::Memory => Found::Farther,
        Err(errno @ (Errno::NOENT | Errno::NOTDIR)) => {
            // A link that leads nowhere, as seen from here, may lead somewhere for the process.
            match openat2(root, &absolute, LOOK | OFlags::NOFOLLOW, Mode::empty(), follow) {
                Ok(_) => Found::Unclear,
                Err(Errno::AGAIN) if reach == Reach::Memory => Found::Farther,
                Err(_) => Found::Nothing(errno),
            }
        }
        Err(_) => Found::Unclear,
    }
}

/// The file that an open descriptor of the process is.
pub(super) fn at_descriptor(thread: i32, number: i32) -> Found {
    let link = format!("/proc/{thread}/fd/{number}");
    match openat(CWD, link, LOOK, Mode::empty()) {
        Ok(file) => Found::File(file),
        Err(Errno::NOENT) => Found::Nothing(Errno::BADF),
        Err(_) => Found::Unclear,
    }
}

/// The path of a folder that an open descriptor of the process is.
pub(super) fn folder_at_descriptor(thread: i32, number: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{thread}/fd/{number}")).ok()
}

/// What a process calls its own: `/dev/fd/N`, `/proc/self/fd/N` and `/proc/self/exe`. `None`: the path is none of
/// these.
fn own_of_process(thread: i32, path: &[u8]) -> Option<Option<OwnedFd>> {
    let own = path
        .strip_prefix(b"/proc/self/")
        .or_else(|| path.strip_prefix(b"/proc/thread-self/"))
        .filter(|own| *own == b"exe" || own.starts_with(b"fd/"));
    let own = match (own, path.strip_prefix(b"/dev/fd/")) {
        (Some(own), _) => own.to_vec(),
        (None, Some(number)) => [b"fd/", number].concat(),
        (None, None) => return None,
    };
    let is_plain = own == b"exe" || own.get(3..).is_some_and(|number| number.iter().all(u8::is_ascii_digit));
    let link = [format!("/proc/{thread}/").as_bytes(), &own].concat();
    Some(is_plain.then(|| openat(CWD, OsStr::from_bytes(&link), LOOK, Mode::empty()).ok()).flatten())
}

/// Whether a thread's standard input is something to be read: open, and neither `/dev/null` nor a pipe that is empty and that nobody
/// writes to, which `make -j` gives to all but one. Where it is not, what it starts outside gets none.
pub(super) fn has_input(thread: i32) -> bool {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    match std::fs::metadata(format!("/proc/{thread}/fd/0")) {
        Ok(input) if input.file_type().is_fifo() => {
            !take_descriptor(thread, 0).is_ok_and(|pipe| is_at_its_end(&pipe))
        }
        Ok(input) => !(input.file_type().is_char_device() && input.rdev() == rustix::fs::makedev(1, 3)),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

fn is_at_its_end(pipe: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(pipe, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&at_once)).is_ok() && polled.iter().all(|pipe| pipe.revents() == PollFlags::HUP)
}
