//! What a waiting `execve` or `execveat` asks for, as far as its process's memory and descriptors show it.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::beginnings::Beginnings;
use super::files::{self, Found, Reach};
use super::memory::{Budget, Memory, Pointers};
use super::proof::{Expected, Farther};
use crate::judgement::Exec;
use crate::programs::FileState;
use crate::programs::shebang::Beginning;
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
    /// It is a text that the kernel does not execute, and that shells run by themselves when they are told so.
    pub(super) is_text: bool,
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

/// Why something was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It fails so.
    Fails(Errno),
    /// A file system has to be asked first.
    Farther,
}

impl From<Errno> for Unread {
    fn from(errno: Errno) -> Unread {
        Unread::Fails(errno)
    }
}

/// The file that is meant, and how it is named.
struct Named {
    found: Found,
    /// The name that the kernel gives it: where it is a script, its interpreter opens it by this.
    name: Vec<u8>,
    again: Again,
    empty: u64,
    argv: List,
    environment: u64,
}

/// A list in the asker's memory, which may have been read together with the path.
struct List {
    at: u64,
    read: Option<Pointers>,
}

impl From<u64> for List {
    fn from(at: u64) -> List {
        List { at, read: None }
    }
}

impl Request {
    /// Reads what is asked for, but for its environment. `root` is the root directory of all processes of the call,
    /// where nobody can have another.
    ///
    /// # Errors
    ///
    /// As the kernel would refuse it, or when files are out of reach.
    pub(super) fn read(
        notification: &Notification,
        root: Option<&OwnedFd>,
        (beginnings, reach): (&mut Beginnings, Reach),
    ) -> Result<(Request, Exec), Unread> {
        let thread = notification.thread;
        let memory = Memory::of(thread);
        let workdir = files::path_of_working_directory(thread);
        let Named { found, name, again, empty, argv, environment } =
            named(notification, memory, workdir.as_deref(), (root, reach))?;
        let opened = match found {
            Found::File(file) => {
                let state = FileState::of(&file).ok_or(Errno::EIO)?;
                if !state.may_be_executed() {
                    return Err(Errno::EACCES.into());
                }
                Some((file, state))
            }
            Found::Nothing(errno) => return Err(Errno::from_raw(errno.raw_os_error()).into()),
            Found::Farther => return Err(Unread::Farther),
            Found::Unclear => None,
        };
        let mut budget = Budget::default();
        let addresses = Addresses { empty, argv: argv.at, environment };
        let argv = match &argv.read {
            Some(pointers) => memory.strings_of(pointers, &mut budget)?,
            None => memory.strings(argv.at, &mut budget)?,
        };
        let beginning = opened.as_ref().and_then(|(file, state)| beginnings.of(file, state));
        let is_text = beginning == Some(Beginning::Text);
        let first_line = beginning.and_then(Beginning::interpreter);
        let expected = match (&opened, &first_line) {
            (None, _) => None,
            (Some((_, state)), None) => Some(Expected::of(state.identity(), &argv)),
            (Some(_), Some(line)) => {
                let how = (beginnings, reach);
                Expected::of_script((thread, root), line.clone(), &name, &argv, workdir.as_deref(), how)
                    .map_err(|Farther| Unread::Farther)?
            }
        };
        let expected = expected.map(|expected| expected.within(workdir.clone()));
        let path = shown_path(&again, &name, opened.as_ref().map(|(file, _)| file));
        let exec = Exec::seen_in(workdir.unwrap_or_default(), &path, argv, opened);
        let exec = exec.with_first_line(first_line).running_as(expected.as_ref().map(Expected::program));
        Ok((Request { again, expected, is_allowed: false, is_text, addresses, budget }, exec))
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
    (root, reach): (Option<&OwnedFd>, Reach),
) -> Result<Named, Errno> {
    let thread = notification.thread;
    let by_path = |path: u64, argv: u64, environment: u64| -> Result<Named, Errno> {
        let (text, argv) = match memory.path_and_pointers(path, argv) {
            Some((text, pointers)) => (text, List { at: argv, read: Some(pointers) }),
            None => (memory.path(path)?, argv.into()),
        };
        let found = files::at_path((thread, root), &text, workdir, reach);
        let empty = end_of(path, &text)?;
        Ok(Named { found, name: text.clone(), again: Again::Path(text), empty, argv, environment })
    };
    if notification.number == libc::SYS_execve {
        let [path, argv, environment, ..] = notification.arguments;
        return by_path(path, argv, environment);
    }
    let [folder, path, argv, environment, flags, _] = notification.arguments;
    // The low half is the descriptor's number.
    let folder = i32::from_ne_bytes(folder.to_ne_bytes()[..4].try_into().map_err(|_| Errno::EBADF)?);
    let text = if path == 0 { Vec::new() } else { memory.path(path)? };
    let flags = u32::try_from(flags & u64::from(u32::MAX)).unwrap_or_default();
    if text.is_empty() && flags & libc::AT_EMPTY_PATH.unsigned_abs() != 0 {
        let found = files::at_descriptor(thread, folder);
        let name = format!("/dev/fd/{folder}").into_bytes();
        return Ok(Named {
            found,
            name,
            again: Again::Descriptor,
            empty: path,
            argv: argv.into(),
            environment,
        });
    }
    if folder == libc::AT_FDCWD || text.starts_with(b"/") {
        return by_path(path, argv, environment);
    }
    let base = files::folder_at_descriptor(thread, folder);
    let found = files::at_path((thread, root), &text, base.as_deref(), reach);
    let absolute = base.unwrap_or_default().join(OsStr::from_bytes(&text));
    let name = [format!("/dev/fd/{folder}/").as_bytes(), &text].concat();
    let again = Again::Path(absolute.into_os_string().as_bytes().to_vec());
    Ok(Named { found, name, again, empty: end_of(path, &text)?, argv: argv.into(), environment })
}

/// Where the NUL of a string is.
fn end_of(address: u64, text: &[u8]) -> Result<u64, Errno> {
    address.checked_add(u64::try_from(text.len()).unwrap_or_default()).ok_or(Errno::EFAULT)
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

/// Descriptors as text.
pub(super) fn descriptor_path(number: i32) -> OsString {
    format!("/dev/fd/{number}").into()
}
