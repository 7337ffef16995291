//! Prefixes that would allow far more than the human saw.

use crate::inner::runs_commands;

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

/// Why a prefix must not be allowed for good; `None` when it may.
///
/// A prefix is compared whole: `git` is too broad, `git status` is not.
#[must_use]
pub fn too_broad<S: AsRef<str>>(prefix: &[S]) -> Option<&'static str> {
    let words: Vec<&str> = prefix.iter().map(AsRef::as_ref).collect();
    let Some((program, arguments)) = words.split_first() else { return Some("it is empty") };
    let path = program.to_lowercase();
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = name.strip_suffix(".exe").unwrap_or(name);
    if name.is_empty() {
        return Some("it names no program");
    }
    let bare = arguments.is_empty();
    if bare && TOO_MANY_THINGS.contains(&name) {
        return Some("this program does too many things");
    }
    if bare && runs_commands(name.as_bytes()) {
        return Some("this program runs any other program");
    }
    let interpreter = INTERPRETERS.iter().find(|(names, _)| names.contains(&name));
    match (interpreter, arguments) {
        (Some(_), []) => Some("this program runs any code"),
        (Some((_, options)), [option]) if options.iter().any(|known| known.eq_ignore_ascii_case(option)) => {
            Some("this program runs any code")
        }
        _ => None,
    }
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
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(too_broad(&words).is_some(), "{line}");
        }
        for line in
            ["git status", "python3 x.py", "cargo test", "ls", "bash x.sh", "node x.js", "env LANG=C ls"]
        {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(too_broad(&words), None, "{line}");
        }
    }
}
