//! Commands that only read and print: the known-safe list.
//!
//! Exposed for callers that ask about everything else; [`crate::Policy::evaluate`] does not use it. No git
//! command is on it: configuration and hooks make git run programs.

use std::ffi::OsStr;

use crate::command::Command;
use crate::nested::{ReadBudget, nested};

/// Safe with any arguments: none of them writes a file, runs a program or changes anything outside of itself.
#[rustfmt::skip]
const ALWAYS: &[&str] = &[
    "cat", "head", "nl", "tac", "tail",                       // print files
    "cut", "numfmt", "paste", "rev", "tr", "wc",              // print files changed or counted
    "grep",                                                   // searches files
    "ls", "stat",                                             // print what is known of files
    "echo", "expr", "false", "seq", "true",                   // print or compute
    "id", "uname", "which", "whoami",                         // print what is known of the system
    "cd", "pwd",                                              // change or print the shell's own folder
];

/// Actions of find(1) that run, delete or write.
const FIND_ACTIONS: &[&str] =
    &["-delete", "-exec", "-execdir", "-fls", "-fprint", "-fprint0", "-fprintf", "-ok", "-okdir"];

/// Whether a command is on the list; a script is when it is understood and each of its commands is.
#[must_use]
pub fn is_known_safe(command: &Command<'_>) -> bool {
    let name = String::from_utf8_lossy(command.basename()).into_owned();
    match name.as_str() {
        name if ALWAYS.contains(&name) => true,
        "base64" => !command.args().any(|arg| begins(arg, &["-o", "--output"])),
        "find" => !command.args().any(|arg| FIND_ACTIONS.iter().any(|action| arg == *action)),
        "rg" => !command.args().any(|arg| {
            begins(arg, &["--pre=", "--hostname-bin="])
                || ["--pre", "--hostname-bin", "--search-zip", "-z"].iter().any(|option| arg == *option)
        }),
        // The second operand of uniq is written.
        "uniq" => command.args().filter(|arg| !arg.as_encoded_bytes().starts_with(b"-")).count() < 2,
        "sed" => is_line_printing_sed(command),
        "bash" | "sh" | "zsh" => nested(command, None, &mut ReadBudget::default()).is_some_and(|nested| {
            nested.doubt.is_none() && !nested.commands.is_empty() && nested.commands.iter().all(is_plain_safe)
        }),
        _ => false,
    }
}

/// Safe and no shell: scripts in scripts are not on the list.
fn is_plain_safe(command: &Command<'_>) -> bool {
    !matches!(command.basename(), b"bash" | b"sh" | b"zsh")
        && command.certain.is_none()
        && is_known_safe(command)
}

fn begins(argument: &OsStr, starts: &[&str]) -> bool {
    starts.iter().any(|start| argument.as_encoded_bytes().starts_with(start.as_bytes()))
}

/// `sed -n Np [FILE]` and `sed -n M,Np [FILE]`.
fn is_line_printing_sed(command: &Command<'_>) -> bool {
    let mut args = command.args();
    let is_quiet = args.next().is_some_and(|arg| arg == "-n");
    let prints = args.next().and_then(OsStr::to_str).and_then(|script| script.strip_suffix('p')).is_some_and(
        |lines| {
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            match lines.split_once(',') {
                Some((first, last)) => is_number(first) && is_number(last),
                None => is_number(lines),
            }
        },
    );
    let file_is_plain = args.next().is_none_or(|file| !file.as_encoded_bytes().starts_with(b"-"));
    is_quiet && prints && file_is_plain && args.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::is_known_safe;
    use crate::command::Command;

    #[test]
    fn the_list_is_narrow() {
        for (line, safe) in [
            ("ls|-l", true),
            ("/bin/cat|x", true),
            ("base64|x", true),
            ("base64|-ox", false),
            ("base64|--output=x", false),
            ("find|.|-name|x", true),
            ("find|.|-delete", false),
            ("find|.|-exec|ls|;", false),
            ("rg|x", true),
            ("rg|--pre|x", false),
            ("rg|--pre=x", false),
            ("rg|-z|x", false),
            ("sed|-n|1,5p|file", true),
            ("sed|-n|5p", true),
            ("sed|-n|5p|-i", false),
            ("sed|-i|s/a/b/", false),
            ("sed|-n|1e", false),
            ("git|status", false),
            ("uniq|-c|x", true),
            ("uniq|x|y", false),
            ("rm|x", false),
            ("bash|-lc|ls && pwd", true),
            ("zsh|-c|ls|extra", true),
            ("bash|-c|ls; rm x", false),
            ("bash|-c|ls > x", false),
            ("bash|-c|ls $(rm x)", false),
            ("bash|-c|bash -c ls", false),
            ("bash|-c|", false),
        ] {
            let words: Vec<&str> = line.split('|').collect();
            assert_eq!(is_known_safe(&Command::from_words(&words).unwrap()), safe, "{line}");
        }
    }
}
