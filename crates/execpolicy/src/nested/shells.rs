//! `sh -c SCRIPT` and its like: the script among a shell's arguments.

use crate::command::Command;

/// Shells whose `-c` takes a script in a grammar that is close to Bash's.
const SHELLS: &[&str] = &["ash", "bash", "dash", "ksh", "mksh", "oksh", "posh", "rbash", "sh", "yash", "zsh"];

/// Options that take the next word (bash(1), zsh(1)).
const LONG_VALUES: &[&str] = &["--rcfile", "--init-file", "--emulate"];

/// What a shell would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task<'c> {
    /// This text (`-c`).
    Script(&'c [u8]),
    /// What it reads from its standard input.
    Input,
    /// The argument of this index, a file, which is not read here.
    File(usize),
}

/// Whether a base name is a shell's.
pub(crate) fn is_shell(name: &[u8]) -> bool {
    // A login shell is called `-bash`.
    let name = name.strip_prefix(b"-").unwrap_or(name);
    std::str::from_utf8(name).is_ok_and(|name| SHELLS.contains(&name))
}

/// Finds what a shell would run, from its arguments.
pub(super) fn task<'c>(command: &'c Command<'_>) -> Task<'c> {
    let mut takes_script = false;
    let mut reads_input = false;
    let mut index = 0;
    while let Some(argument) = command.arg_bytes(index) {
        index += 1;
        match argument {
            b"-" | b"--" => break,
            [b'-', b'-', ..] => {
                if LONG_VALUES.iter().any(|option| option.as_bytes() == argument) {
                    index += 1;
                }
            }
            [b'-' | b'+', letters @ ..] if !letters.is_empty() => {
                let sets = argument.starts_with(b"-");
                takes_script |= sets && letters.contains(&b'c');
                reads_input |= sets && letters.contains(&b's');
                // `-o name` and `-O name`; a group may hold several.
                index += letters.iter().filter(|letter| matches!(letter, b'o' | b'O')).count();
            }
            // A script's variable may hold options.
            _ if !takes_script && index > command.certain_args() => {}
            _ => {
                index -= 1;
                break;
            }
        }
    }
    match command.arg_bytes(index) {
        Some(script) if takes_script => Task::Script(script),
        Some(_) if !reads_input => Task::File(index),
        Some(_) | None => Task::Input,
    }
}

#[cfg(test)]
mod tests {
    use super::{Task, task};
    use crate::command::Command;

    #[test]
    fn the_script_is_found_behind_any_options() {
        for (line, expected) in [
            ("sh|-c|ls x", Task::Script(b"ls x")),
            ("bash|-lc|ls|name|arg", Task::Script(b"ls")),
            ("bash|-c|-l|ls", Task::Script(b"ls")),
            ("bash|--norc|-e|-c|ls", Task::Script(b"ls")),
            ("bash|--rcfile|x|-ec|ls", Task::Script(b"ls")),
            ("bash|-o|pipefail|-c|ls", Task::Script(b"ls")),
            ("bash|-eo|pipefail|-c|ls", Task::Script(b"ls")),
            ("bash|+x|-c|--|ls", Task::Script(b"ls")),
            ("bash|script.sh|-c|ls", Task::File(0)),
            ("bash|-s|x", Task::Input),
            ("bash", Task::Input),
        ] {
            let words: Vec<&str> = line.split('|').collect();
            assert_eq!(task(&Command::from_words(&words).unwrap()), expected, "{line}");
        }
    }
}
