//! The command inside `sudo`: what is dangerous stays so as another user.

use std::ffi::OsStr;

use crate::command::Command;

/// Options of `sudo` that take a value in the next word (sudo(8)).
const WITH_VALUE: &[&str] = &[
    "-C",
    "-D",
    "-R",
    "-T",
    "-U",
    "-a",
    "-c",
    "-g",
    "-h",
    "-p",
    "-r",
    "-t",
    "-u",
    "--auth-type",
    "--chdir",
    "--chroot",
    "--close-from",
    "--command-timeout",
    "--group",
    "--host",
    "--login-class",
    "--other-user",
    "--prompt",
    "--role",
    "--type",
    "--user",
];

/// The command that `sudo` would run; `None` when it runs none.
pub(super) fn inner<'a>(command: &'a Command<'_>) -> Option<Command<'a>> {
    let mut index = 0;
    loop {
        let word = command.arg_bytes(index)?;
        if word == b"--" {
            index += 1;
            break;
        }
        if WITH_VALUE.iter().any(|option| option.as_bytes() == word) {
            index += 2;
        } else if word.starts_with(b"-") || word.contains(&b'=') {
            index += 1;
        } else {
            break;
        }
    }
    let (program, args) = command.args.get(index..)?.split_first()?;
    Some(Command::new::<OsStr, _>(program, args))
}
