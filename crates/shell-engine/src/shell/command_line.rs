//! The command line of a call's shell, which does not have the command in it.

use std::ffi::{OsStr, OsString};

use super::login::login_options;

/// What stands for the command among the shell's arguments. The command itself is in nobody's: `pkill -f PATTERN` finds
/// what it looks for, and not the shell that runs it. It may be longer than an argument, too.
pub(super) const PLACEHOLDER: &str = ":";

/// Returns the arguments of a call's shell, its own name first; a login shell is a Bash.
pub(super) fn of(name: &str, is_login: bool, command: OsString) -> Vec<OsString> {
    let options: Vec<OsString> =
        if is_login { login_options().collect() } else { vec![name.into(), "-c".into()] };
    // A command may begin with `-` or `+`.
    options.into_iter().chain(["--".into(), command]).collect()
}

/// Returns the command line of a call's shell with the command in it, for people, if this is what `/proc` says of one.
pub(super) fn shown_with_command(line: &str, command: &str) -> Option<String> {
    let options = line.strip_suffix(PLACEHOLDER)?;
    let is_shells = |is_login| of("bash", is_login, PLACEHOLDER.into()).join(OsStr::new(" ")) == *line;
    (is_shells(false) || is_shells(true)).then(|| format!("{options}{command}"))
}
