//! What an answer about one program is bound to: another program, another argument, another folder, another
//! environment, another reason to ask is another question.

use std::os::unix::ffi::OsStrExt;

use super::exec::Exec;
use crate::approval::Identity;
use crate::programs::FileState;

/// Variables that a shell sets anew for each command and that programs do not act upon, beside the working directory
/// that is compared by itself.
const CHANGING: &[&str] = &["_", "SHLVL", "PWD", "OLDPWD"];

/// Where an approval lets the program run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Placement {
    Outside,
    Inside,
}

/// The identity of the question about this program that `asks` asks.
pub(super) fn identity(exec: &Exec, asks: &str, placement: Placement) -> Identity {
    let mut env: Vec<&[u8]> =
        exec.env.iter().map(|entry| entry.as_bytes()).filter(|entry| counts(entry)).collect();
    env.sort_unstable();
    identity_with(exec, asks, placement, &env)
}

/// The same for all that one command starts, whatever environment each gets: what of that matters is added.
pub(super) fn identity_in_call(exec: &Exec, asks: &str, placement: Placement) -> Identity {
    identity_with(exec, asks, placement, &[])
}

fn identity_with(exec: &Exec, asks: &str, placement: Placement, env: &[&[u8]]) -> Identity {
    let placement = match placement {
        Placement::Outside => "escalates",
        Placement::Inside => "runs",
    };
    let file = exec.seen.as_ref().map(FileState::to_bytes).unwrap_or_default();
    let count = |parts: usize| parts.to_le_bytes();
    let (arguments, variables) = (count(exec.argv.len()), count(env.len()));
    let head: [&[u8]; 5] = [
        asks.as_bytes(),
        placement.as_bytes(),
        exec.file.as_os_str().as_bytes(),
        &file,
        exec.workdir.as_os_str().as_bytes(),
    ];
    let argv = exec.argv.iter().map(|argument| argument.as_bytes());
    Identity::of(
        head.into_iter().chain([&arguments[..], &variables[..]]).chain(argv).chain(env.iter().copied()),
    )
}

fn counts(entry: &[u8]) -> bool {
    let name = entry.split(|byte| *byte == b'=').next().unwrap_or_default();
    !CHANGING.iter().any(|changing| changing.as_bytes() == name)
}
