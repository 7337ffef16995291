//! What a waiting `execve` or `execveat` asks for, as far as its process's memory and descriptors show it.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use rustix::fs::{FileType, fstat};

use super::files::{self, Found};
use super::memory::{Budget, Memory};
use super::proof::Expected;
use crate::judgement::Exec;
use crate::programs::shebang::interpreter;
use crate::programs::{FileIdentity, reopen};
use crate::sys::notifications::Notification;
use crate::sys::path_of;

/// Only asks whether a file could be executed, as interpreters do before they read a script (Linux 6.14). Older kernels
/// refuse it.
const EXECUTES_NOTHING: u64 = 0x1_0000; // AT_EXECVE_CHECK

/// Whether a call executes nothing, whatever becomes of it. Its flags are in a register, which nobody changes.
pub(super) fn executes_nothing(notification: &Notification) -> bool {
    let [.., flags, _] = notification.arguments;
    notification.number == libc::SYS_execveat && flags & EXECUTES_NOTHING != 0
}

/// One request.
#[derive(Debug)]
pub(super) struct Request {
    /// What a wrapper executes in its place.
    pub(super) again: Again,
    /// What must be seen when it has happened. `None`: only the process itself can say which file it is.
    pub(super) expected: Option<Expected>,
    /// A person has let it run.
    pub(super) is_allowed: bool,
    /// Where its parts are in the process's memory.
    pub(super) addresses: Addresses,
    /// What the environment may still have.
    budget: Budget,
}

/// How the file is executed once more, by the wrapper that the process has become.
#[derive(Clone, Debug)]
pub(super) enum Again {
    /// By this path.
    Path(Vec<u8>),
    /// It was executed by a descriptor, which may be gone by then: by a new one.
    Descriptor,
}

/// Addresses in the asker's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    /// The NUL that ends the path.
    pub(super) empty: u64,
    pub(super) argv: u64,
    pub(super) environment: u64,
}

/// The file that is meant, and how it is named.
struct Named {
    found: Found,
    /// The name that the kernel gives it: where it is a script, its interpreter opens it by this.
    name: Vec<u8>,
    again: Again,
    empty: u64,
    argv: u64,
    environment: u64,
}

impl Request {
    /// Reads what is asked for, but for its environment. `root` is the root directory of all processes of the call,
    /// where nobody can have another.
    ///
    /// # Errors
    ///
    /// As the kernel would refuse it.
    pub(super) fn read(
        notification: &Notification,
        root: Option<&OwnedFd>,
    ) -> Result<(Request, Exec), Errno> {
        let thread = notification.thread;
        let memory = Memory::of(thread);
        let directory = files::working_directory(thread);
        let workdir = directory.as_ref().and_then(path_of);
        let named = named(notification, memory, workdir.as_deref(), root)?;
        let opened = match named.found {
            Found::Nothing(errno) => return Err(Errno::from_raw(errno.raw_os_error())),
            Found::File(file) if !may_be_executed(&file) => return Err(Errno::EACCES),
            Found::File(file) => Some(file),
            Found::Unclear => None,
        };
        let mut budget = Budget::default();
        let argv = memory.strings(named.argv, &mut budget)?;
        let first_line = opened.as_ref().and_then(reopen).as_ref().and_then(interpreter);
        let expected = opened.as_ref().and_then(|file| {
            Expected::of((thread, root), file, first_line.clone(), &named.name, &argv, workdir.as_deref())
        });
        let expected =
            expected.map(|expected| expected.within(directory.as_ref().and_then(FileIdentity::of)));
        let path = shown_path(&named.again, &named.name, opened.as_ref());
        let exec = Exec::seen_in((directory, workdir.unwrap_or_default()), &path, argv, opened);
        let exec = exec.with_first_line(first_line).running_as(expected.as_ref().map(Expected::program));
        let addresses = Addresses { empty: named.empty, argv: named.argv, environment: named.environment };
        Ok((Request { again: named.again, expected, is_allowed: false, addresses, budget }, exec))
    }

    /// Reads the environment, too, and whether there is something to be read.
    ///
    /// # Errors
    ///
    /// As the kernel would refuse it.
    pub(super) fn read_environment(&mut self, thread: i32, exec: Exec) -> Result<Exec, Errno> {
        let env = Memory::of(thread).strings(self.addresses.environment, &mut self.budget)?;
        if let Some(expected) = &mut self.expected {
            expected.look_at_environment(&env);
        }
        Ok(exec.with_environment(env).with_input(files::has_input(thread)))
    }
}

fn named(
    notification: &Notification,
    memory: Memory,
    workdir: Option<&Path>,
    root: Option<&OwnedFd>,
) -> Result<Named, Errno> {
    let thread = notification.thread;
    if notification.number == libc::SYS_execve {
        let [path, argv, environment, ..] = notification.arguments;
        return by_path((thread, root), memory, path, workdir, argv, environment);
    }
    let [folder, path, argv, environment, flags, _] = notification.arguments;
    // The low half is the descriptor's number.
    let folder = i32::from_ne_bytes(folder.to_ne_bytes()[..4].try_into().map_err(|_| Errno::EBADF)?);
    let text = if path == 0 { Vec::new() } else { memory.path(path)? };
    let flags = u32::try_from(flags & u64::from(u32::MAX)).unwrap_or_default();
    if text.is_empty() && flags & libc::AT_EMPTY_PATH.unsigned_abs() != 0 {
        let found = files::at_descriptor(thread, folder);
        let name = format!("/dev/fd/{folder}").into_bytes();
        return Ok(Named { found, name, again: Again::Descriptor, empty: path, argv, environment });
    }
    if folder == libc::AT_FDCWD || text.starts_with(b"/") {
        return by_path((thread, root), memory, path, workdir, argv, environment);
    }
    let base = files::folder_at_descriptor(thread, folder);
    let found = files::at_path((thread, root), &text, base.as_deref());
    let absolute = base.unwrap_or_default().join(OsStr::from_bytes(&text));
    let name = [format!("/dev/fd/{folder}/").as_bytes(), &text].concat();
    let again = Again::Path(absolute.into_os_string().as_bytes().to_vec());
    let empty = path.checked_add(u64::try_from(text.len()).unwrap_or_default()).ok_or(Errno::EFAULT)?;
    Ok(Named { found, name, again, empty, argv, environment })
}

fn by_path(
    thread: (i32, Option<&OwnedFd>),
    memory: Memory,
    path: u64,
    workdir: Option<&Path>,
    argv: u64,
    environment: u64,
) -> Result<Named, Errno> {
    let text = memory.path(path)?;
    let found = files::at_path(thread, &text, workdir);
    let empty = path.checked_add(u64::try_from(text.len()).unwrap_or_default()).ok_or(Errno::EFAULT)?;
    Ok(Named { found, name: text.clone(), again: Again::Path(text), empty, argv, environment })
}

/// The path that people and rules see: where the file is, when it was named by what the process calls its own.
fn shown_path(again: &Again, name: &[u8], opened: Option<&OwnedFd>) -> PathBuf {
    let is_own = |path: &[u8]| path.starts_with(b"/dev/fd/") || path.starts_with(b"/proc/");
    let named = match again {
        Again::Path(path) if !is_own(path) => Some(path.as_slice()),
        Again::Path(_) | Again::Descriptor => None,
    };
    let named = named.map(|path| PathBuf::from(OsStr::from_bytes(path)));
    named.or_else(|| opened.and_then(path_of)).unwrap_or_else(|| OsStr::from_bytes(name).into())
}

/// Whether anybody may execute it. Nothing else can be known here: the kernel decides by the rights of who asks.
fn may_be_executed(file: &OwnedFd) -> bool {
    fstat(file).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_mode & 0o111 != 0
    })
}

/// Descriptors as text.
pub(super) fn descriptor_path(number: i32) -> OsString {
    format!("/dev/fd/{number}").into()
}
