//! Prefixes that would allow far more than the human saw.

use std::ffi::OsStr;

use crate::command::{Command, windows_name};
use crate::dangerous::git;
use crate::nested::{ReadBudget, is_shell, nested, runs_commands};

/// Interpreters that run any code given one of these options.
const INTERPRETERS: &[(&[&str], &[&str])] = &[
    (&["python", "python2", "python3", "py", "pypy", "pypy3", "pythonw", "pyw"], &["-", "-c", "-m"]),
    (&["bash", "sh", "zsh", "dash", "ksh", "ash", "fish"], &["-c", "-lc", "-l", "-s"]),
    (&["pwsh", "powershell"], &["-c", "-command", "-encodedcommand", "-file"]),
    (&["cmd"], &["/c", "/k", "/r"]),
    (&["node", "nodejs", "deno", "bun"], &["-e", "--eval", "-p", "--print"]),
    (&["perl"], &["-e", "-E"]),
    (&["ruby"], &["-e"]),
    (&["php"], &["-r"]),
    (&["lua", "luajit"], &["-e"]),
    (&["osascript"], &["-e"]),
    (&["awk", "gawk", "mawk"], &[]),
];

/// Programs whose sub-commands range from harmless to anything.
const TOO_MANY_THINGS: &[&str] = &["git", "docker", "podman", "ssh", "kubectl", "npx", "uvx", "make"];

/// Sub-commands that run any other program, given its name or its code.
const RUNNING: &[(&[&str], &[&str])] = &[
    (&["deno", "bun"], &["run", "eval", "repl", "x"]),
    (&["docker", "podman"], &["run", "exec", "create", "compose", "container"]),
    (&["kubectl"], &["run", "exec", "debug", "apply"]),
    (&["npm", "pnpm", "yarn"], &["exec", "x", "dlx"]),
    (&["uv", "poetry", "pipenv", "pdm", "hatch"], &["run", "tool"]),
];

/// Deepest nesting of wrappers in wrappers that is followed; deeper ones are refused.
const MAX_DEPTH: usize = 8;

/// Why a prefix must not be allowed for good; `None` when it may.
///
/// A prefix is compared whole: `git` is too broad, `git status` is not.
#[must_use]
pub fn too_broad<S: AsRef<str>>(prefix: &[S]) -> Option<&'static str> {
    too_broad_at(prefix, 0)
}

fn too_broad_at<S: AsRef<str>>(prefix: &[S], depth: usize) -> Option<&'static str> {
    let words: Vec<&str> = prefix.iter().map(AsRef::as_ref).collect();
    let Some((program, arguments)) = words.split_first() else { return Some("it is empty") };
    let name = windows_name(program);
    let name = name.as_str();
    if name.is_empty() {
        return Some("it names no program");
    }
    let bare = arguments.is_empty();
    if bare && TOO_MANY_THINGS.contains(&name) {
        return Some("this program does too many things");
    }
    // Of `ssh host`, whatever follows is run there.
    let runs = matches!(arguments, [first] if RUNNING.iter().any(|(names, known)| names.contains(&name) && known.contains(first)));
    if runs || (name == "ssh" && arguments.len() == 1) {
        return Some("this program runs any other program");
    }
    if name == "git" && !git::has_subcommand(arguments) {
        return Some("this program does too many things");
    }
    if matches!(name, "find" | "gfind") {
        return Some("more arguments can make it run any other program");
    }
    if interprets(name, arguments) {
        return Some("this program runs any code");
    }
    if runs_commands(name.as_bytes()) { runs_anything(&words, depth) } else { None }
}

/// The options of an interpreter behind which code stands, none where its first word is code; `None`: it is no
/// interpreter.
#[must_use]
pub fn code_options(name: &str) -> Option<&'static [&'static str]> {
    let family = name.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
    let row = INTERPRETERS.iter().find(|(names, _)| names.contains(&name) || names.contains(&family));
    row.map(|(_, options)| *options)
}

/// Whether an interpreter is left to run any code: no file is named that it runs.
fn interprets(name: &str, arguments: &[&str]) -> bool {
    // `python3.12` is `python`.
    let family = name.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
    let Some((_, options)) =
        INTERPRETERS.iter().find(|(names, _)| names.contains(&name) || names.contains(&family))
    else {
        return false;
    };
    match arguments {
        [] => true,
        ["--version" | "--help"] => false,
        // A value behind an option that takes code is that code, and more may follow it only as arguments.
        arguments => arguments.iter().all(|argument| {
            argument.starts_with('-') || options.iter().any(|known| known.eq_ignore_ascii_case(argument))
        }),
    }
}

/// Whether a program that runs others is left to run any: no command is named, or one that is too broad
/// itself.
fn runs_anything(words: &[&str], depth: usize) -> Option<&'static str> {
    const WHY: &str = "this program runs any other program";
    if words.len() == 1 || depth >= MAX_DEPTH {
        return Some(WHY);
    }
    let command = Command::from_words(words)?;
    let name = command.basename();
    let Some(nested) = nested(&command, None, &mut ReadBudget::default()) else { return Some(WHY) };
    let is_too_broad = |inside: &Command<'_>| {
        let words: Vec<_> = inside.words().map(OsStr::to_string_lossy).collect();
        too_broad_at(&words, depth + 1).is_some()
    };
    // A shell's script is a whole; a shell's file is a file.
    (!is_shell(name) && (nested.commands.is_empty() || nested.commands.iter().any(is_too_broad)))
        .then_some(WHY)
}

#[cfg(test)]
mod tests {
    use super::too_broad;

    #[test]
    fn what_runs_anything_is_refused_and_what_is_narrow_is_not() {
        for line in [
            "",
            "python",
            "python3 -c",
            "python3 -",
            "/usr/bin/python3",
            "py",
            "pypy3 -c",
            "git",
            "bash",
            "bash -c",
            "sh -lc",
            "zsh -c",
            "pwsh -Command",
            "powershell.exe -c",
            "env",
            "sudo",
            "node -e",
            "perl -e",
            "ruby -e",
            "php -r",
            "lua -e",
            "osascript",
            "osascript -e",
            "xargs",
            "nohup",
            "find",
            "busybox",
            "/lib64/ld-linux-x86-64.so.2",
            "python3.12",
            "python3.12 -c",
            "python3 -I -c",
            "pypy3.10 -",
            "perl5.36 -ne",
            "bash --norc -c",
            "bash -xc",
            "lua5.4 -e",
            "git -C /x",
            "git --no-pager",
            "find . -name x",
            "sudo -u root",
            "sudo python3 -c",
            "env A=1",
            "env A=1 bash -c",
            "timeout 5 nice sh -c",
            "xargs -0",
            "deno run",
            "docker run",
            "uv run",
            "ssh host",
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(too_broad(&words).is_some(), "{line}");
        }
        assert!(too_broad(&["nice"; 100_000]).is_some());
        for line in [
            "git status",
            "git -C /x status",
            "python3 x.py",
            "python3.12 x.py",
            "python3 --version",
            "cargo test",
            "ls",
            "bash x.sh",
            "node x.js",
            "env LANG=C ls",
            "timeout 5 cargo test",
            "sudo apt update",
            "xargs -0 ls",
            "deno run x.ts",
            "docker ps",
            "ssh host uptime",
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(too_broad(&words), None, "{line}");
        }
    }
}
