//! A script is as good as its interpreters.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::known::Trust;
use super::location::Location;
use super::untrusted::Untrusted;
use crate::programs::shebang::{MOST_INTERPRETERS, interpreter, program_of_env};
use crate::programs::{open, reopen, walk};

/// Checks the interpreter of a file, its interpreter, and so on. A program without a `#!` line passes: the kernel runs
/// it, or nothing does.
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
    // A program may be executable without being readable; then its place is all that speaks for it, and it is no
    // script, since its interpreter could not read it either.
    let Some(found) = file.as_ref().and_then(interpreter) else { return Ok(()) };
    let unclear = || Untrusted::UnclearInterpreter(path.to_owned());
    if depth >= MOST_INTERPRETERS || !found.path.is_absolute() {
        return Err(unclear());
    }
    check_interpreter(trust, &found.path, depth)?;
    if found.path.file_name() == Some(OsStr::new("env")) {
        // It looks its argument up on the search path, which outside is the server's.
        let name = program_of_env(found.argument.as_deref().unwrap_or_default()).ok_or_else(unclear)?;
        let (program, _) = trust.meaning_outside(&name).ok_or_else(unclear)?;
        check_interpreter(trust, &program, depth)?;
    }
    Ok(())
}

fn check_interpreter(trust: &Trust, interpreter: &Path, depth: usize) -> Result<(), Untrusted> {
    let explain = |why| Untrusted::Interpreter { interpreter: interpreter.to_owned(), why: Box::new(why) };
    let walk = walk(interpreter).map_err(|_| explain(Untrusted::Absent(interpreter.to_owned())))?;
    let place = Location { plan: &trust.plan };
    // Unlike the program itself it is found by the script's own words, so every folder on the way counts.
    for path in walk.folders.iter().chain([&walk.canonical]) {
        place.check(path).map_err(|place| explain(Untrusted::Place { place }))?;
    }
    check(trust, &walk.canonical, None, depth + 1).map_err(explain)
}
