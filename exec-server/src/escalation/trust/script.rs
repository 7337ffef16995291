//! `#!` lines: a script is what its interpreter is.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::place::Place;
use super::walk::walk;
use super::{Trust, Untrusted, look_at};
use crate::escalation::identity::FileState;

/// Bytes of a first line that the kernel reads (`BINPRM_BUF_SIZE`, execve(2)).
const LINE_BYTES: usize = 256;

/// As many interpreters of interpreters as the kernel follows (execve(2)).
const MOST_INTERPRETERS: usize = 4;

/// The interpreter of a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// Its path, as the script has it.
    pub(super) path: PathBuf,
    /// The one argument that the line gives it: the kernel does not split it.
    pub(super) argument: Option<OsString>,
}

/// Reads a file's `#!` line; `None` when it has none.
pub(super) fn interpreter(file: &File) -> Option<Interpreter> {
    let mut line = [0; LINE_BYTES];
    let length = file.read_at(&mut line, 0).ok()?;
    parse(line.get(..length)?)
}

fn parse(bytes: &[u8]) -> Option<Interpreter> {
    let rest = bytes.strip_prefix(b"#!")?;
    let line = rest.split(|byte| matches!(byte, b'\n' | 0)).next()?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = line.trim_ascii();
    let end = line.iter().position(is_blank).unwrap_or(line.len());
    let (path, argument) = line.split_at(end);
    let argument = argument.trim_ascii();
    let argument = (!argument.is_empty()).then(|| OsString::from_vec(argument.to_vec()));
    (!path.is_empty()).then(|| Interpreter { path: OsStr::from_bytes(path).into(), argument })
}

/// Opens what a wrapper showed us, to be read: a regular file only, so that nothing blocks.
pub(super) fn reopen(shown: &OwnedFd) -> Option<File> {
    if !FileState::of(shown.as_fd())?.is_regular() {
        return None;
    }
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        open(Path::new(&format!("/proc/self/fd/{}", shown.as_raw_fd())))
    }
    #[cfg(not(target_os = "linux"))]
    {
        shown.try_clone().ok().map(File::from)
    }
}

/// Opens a file to be read, unless it is one that blocks or does something when it is opened.
pub(super) fn open(path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = look_at(path)
        .filter(FileState::is_regular)
        .and_then(|_| openat(CWD, path, flags, Mode::empty()).ok())?;
    FileState::of(&file).filter(FileState::is_regular).map(|_| File::from(file))
}

/// Checks the interpreter of a file, its interpreter, and so on. A program without a `#!` line passes: the kernel runs it,
/// or nothing does.
pub(super) fn check(
    trust: &Trust,
    path: &Path,
    shown: Option<&OwnedFd>,
    depth: usize,
) -> Result<(), Untrusted> {
    let file = match shown {
        Some(shown) => reopen(shown),
        None => open(path),
    };
    // A program may be executable without being readable; then its place is all that speaks for it, and it is no script,
    // since its interpreter could not read it either.
    let Some(found) = file.as_ref().and_then(interpreter) else { return Ok(()) };
    let unclear = || Untrusted::UnclearInterpreter(path.to_owned());
    if depth >= MOST_INTERPRETERS || !found.path.is_absolute() {
        return Err(unclear());
    }
    check_interpreter(trust, &found.path, depth)?;
    if found.path.file_name() == Some(OsStr::new("env")) {
        // It looks its argument up on the search path, which outside is the server's.
        let name = program_of_env(found.argument.as_deref().unwrap_or_default()).ok_or_else(unclear)?;
        let (program, _) = trust.meaning(&name).ok_or_else(unclear)?;
        check_interpreter(trust, &program, depth)?;
    }
    Ok(())
}

fn check_interpreter(trust: &Trust, interpreter: &Path, depth: usize) -> Result<(), Untrusted> {
    let explain = |why| Untrusted::Interpreter { interpreter: interpreter.to_owned(), why: Box::new(why) };
    let walk = walk(interpreter).map_err(|_| explain(Untrusted::Absent(interpreter.to_owned())))?;
    let place = Place { plan: &trust.plan };
    // Unlike the program itself it is found by the script's own words, so every folder on the way counts.
    for path in walk.folders.iter().chain([&walk.canonical]) {
        place.check(path).map_err(|place| explain(Untrusted::Place { place }))?;
    }
    check(trust, &walk.canonical, None, depth + 1).map_err(explain)
}

/// The program that `env` would run: the first word that is no option and no assignment. `None` where that is not clear.
fn program_of_env(argument: &OsStr) -> Option<OsString> {
    let mut words = argument.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let first = words.next()?;
    let word = match first {
        b"-S" => words.find(|word| !word.contains(&b'='))?,
        word => word.strip_prefix(b"-S").unwrap_or(word),
    };
    let is_name = word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(byte));
    (is_name && !word.starts_with(b"-")).then(|| OsStr::from_bytes(word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(String, Option<String>)> {
        parse(line.as_bytes()).map(|found| {
            let text = |text: OsString| text.into_string().unwrap();
            (text(found.path.into_os_string()), found.argument.map(text))
        })
    }

    #[test]
    fn a_line_is_read_as_the_kernel_reads_it() {
        let found = |path: &str, argument: Option<&str>| Some((path.to_owned(), argument.map(str::to_owned)));
        assert_eq!(parsed("#!/bin/sh\nexit"), found("/bin/sh", None));
        assert_eq!(parsed("#! /bin/sh  -e -x \n"), found("/bin/sh", Some("-e -x")));
        assert_eq!(parsed("#!/bin/sh"), found("/bin/sh", None));
        assert_eq!(parsed("#!\n"), None);
        assert_eq!(parsed("\x7fELF"), None);
        assert_eq!(parsed(""), None);
    }

    #[test]
    fn what_env_would_run_is_a_plain_name_or_unclear() {
        let program =
            |argument: &str| program_of_env(OsStr::new(argument)).map(|name| name.into_string().unwrap());
        assert_eq!(program("python3").as_deref(), Some("python3"));
        assert_eq!(program("-S python3 -I").as_deref(), Some("python3"));
        assert_eq!(program("-S A=1 python3").as_deref(), Some("python3"));
        assert_eq!(program("-i python3"), None);
        assert_eq!(program("-S -i python3"), None);
        assert_eq!(program("./python3"), None);
        assert_eq!(program(""), None);
    }
}
