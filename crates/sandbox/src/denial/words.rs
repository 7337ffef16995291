//! What a command printed: lines that sound like a denial, and the paths that they are about.
//!
//! Words only select what to look at. What a line says proves nothing.

use super::evidence::Denied;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const QUOTES: [char; 5] = ['\'', '"', '`', '‘', '’'];

/// How many lines around an error that names no path are looked at for it: cargo says what it did some lines before why
/// it failed, npm after it.
const BEFORE: usize = 6;
const AFTER: usize = 2;

/// More ports than this are looked at for nobody.
const MOST_PORTS: usize = 64;

/// What a line sounds like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// It is not there, which is what a hidden file looks like.
    Missing,
    Network,
    /// Nobody listens there.
    Connection,
    /// A system call that the sandbox refuses, whatever it is about.
    Call(Denied),
}

/// Errors of files, whatever their case: the C library's words, and Go's.
const FILE: &[&str] = &[
    "read-only file system",
    "permission denied",
    "operation not permitted",
    "device or resource busy",
    "could not lock config file",
    "error writing to the directory",
];
/// Names of errors, as Node.js says them.
const FILE_CODES: &[&str] = &["EROFS", "EACCES", "EPERM", "EBUSY"];
const MISSING: &[&str] = &["no such file or directory", "no such file", "cannot find the file"];
const MISSING_CODES: &[&str] = &["ENOENT"];
const NETWORK: &[&str] = &[
    "network is unreachable",
    "temporary failure in name resolution",
    "could not resolve host",
    "couldn't resolve host",
    "dns error",
    "name or service not known",
    "no address associated with hostname",
    "server misbehaving",
];
const NETWORK_CODES: &[&str] = &["ENETUNREACH", "EAI_AGAIN"];
const CONNECTION: &[&str] = &["connection refused", "couldn't connect to server"];
const CONNECTION_CODES: &[&str] = &["ECONNREFUSED"];

/// To make a namespace.
pub const NAMESPACES: Denied = Denied::Call("new namespaces");
pub(super) const BROWSER: Denied =
    Denied::Call("new namespaces (a browser's own sandbox; --no-sandbox does without)");
/// To change what is mounted where.
pub const MOUNTS: Denied = Denied::Call("mounting file systems");
/// To make a socket that no command may have.
pub const SOCKETS: Denied = Denied::Call("this kind of socket");

/// What programs say when one of the system calls that no command may make is refused: all of these in one line.
const CALLS: &[(&[&str], Denied)] = &[
    (&["ptrace", "not permitted"], Denied::Tracing),
    (&["could not trace the inferior"], Denied::Tracing),
    (&["ptrace", "permission denied"], Denied::Tracing),
    (&["leaksanitizer does not work under ptrace"], Denied::Tracing),
    // gdb, which then waits for what will not come.
    (&["opening /proc/", "/mem file"], Denied::Tracing),
    (&["perf_event", "not permitted"], Denied::Counters),
    (&["perf_event", "permission"], Denied::Counters),
    (&["no permission to enable", "event"], Denied::Counters),
    (&["unshare failed"], NAMESPACES),
    (&["creating new namespace failed"], NAMESPACES),
    (&["no permissions to create", "namespace"], NAMESPACES),
    (&["cannot clone", "not permitted"], NAMESPACES),
    (&["no usable sandbox"], BROWSER),
    (&["failed to move to new namespace"], BROWSER),
    (&["mount:", "permission denied"], MOUNTS),
    (&["mount:", "must be superuser"], MOUNTS),
    (&["mount failed", "not permitted"], MOUNTS),
    (&["socket", "operation not permitted"], SOCKETS),
];

/// How our own words begin where a program's would stand.
const OUR_OWN: &str = "Execution denied: ";

/// Recognises what a line sounds like.
pub(super) fn kind(line: &str) -> Option<Kind> {
    if line.starts_with(OUR_OWN) {
        return None;
    }
    let lower = line.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let has_code = |codes: &[&str]| {
        line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .any(|word| codes.contains(&word))
    };
    if says(NETWORK) || has_code(NETWORK_CODES) {
        return Some(Kind::Network);
    }
    if says(CONNECTION) || has_code(CONNECTION_CODES) {
        return Some(Kind::Connection);
    }
    if let Some((_, call)) = CALLS.iter().find(|(all, _)| all.iter().all(|word| lower.contains(word))) {
        return Some(Kind::Call(call.clone()));
    }
    if says(FILE) || has_code(FILE_CODES) {
        return Some(Kind::File);
    }
    (says(MISSING) || has_code(MISSING_CODES)).then_some(Kind::Missing)
}

/// Whether what was to be made is a folder.
pub(super) fn is_about_a_folder(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(output).to_lowercase();
    ["mkdir", "create directory", "create folder"].iter().any(|words| text.contains(words))
}

/// Lists what may be ports: in an error what stands where ports do, in a command every number.
pub(super) fn ports<'a>(error: &'a str, command: &'a str) -> impl Iterator<Item = u16> {
    let is_port = |before: &str| before.ends_with(':') || before.trim_end().to_lowercase().ends_with("port");
    let told = numbers(error).filter(move |(before, _)| is_port(before) && !is_about_another_host(error));
    told.chain(numbers(command)).map(|(_, number)| number).take(MOST_PORTS)
}

/// Whether an error is about a connection to a host that is not this machine: it names one, or an address that stands for one.
fn is_about_another_host(error: &str) -> bool {
    const STANDING_FOR_NAMES: [&str; 3] = ["198.18.", "198.19.", "fd5e:94a1:7c3b:"];
    let named =
        error.split_once("connect to ").map(|(_, rest)| rest.split([' ', ':', ',']).next().unwrap_or(rest));
    let is_own = |name: &str| name.contains("localhost") || name.starts_with("127.") || !name.contains('.');
    STANDING_FOR_NAMES.iter().any(|address| error.contains(address))
        || named.is_some_and(|name| !is_own(name))
}

/// The numbers in a text, each with what stands before it.
fn numbers(text: &str) -> impl Iterator<Item = (&str, u16)> {
    let starts = text.char_indices().filter(|(at, letter)| {
        letter.is_ascii_digit() && !text[..*at].ends_with(|before: char| before.is_ascii_digit())
    });
    starts.filter_map(|(at, _)| {
        let (before, rest) = text.split_at(at);
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        Some((before, rest[..digits].parse().ok()?))
    })
}

/// Lists the lines that may name what an error is about that does not name it itself, the likeliest first.
pub(super) fn around<'a>(lines: &'a [&'a str], at: usize) -> impl Iterator<Item = &'a str> {
    let before = lines.get(at.saturating_sub(BEFORE)..at).unwrap_or_default();
    let after = lines.get(at + 1..).unwrap_or_default();
    // A stack trace names the program's own files.
    let is_trace =
        |line: &&str| line.trim_start().starts_with("at ") || line.trim_start().starts_with("File \"");
    let is_ours = |line: &&str| line.starts_with(OUR_OWN);
    let near = before.iter().rev().chain(after.iter().take(AFTER)).copied();
    near.filter(move |line| !is_trace(line) && !is_ours(line))
}

/// A line without the program that says it: `/usr/bin/bash: line 1: x: Permission denied` is about `x`.
pub(super) fn without_speaker(line: &str) -> &str {
    let is_program = |path: &str| {
        let found = Path::new(path).metadata();
        path.starts_with('/') && found.is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
    };
    let said = line.split_once(": ").filter(|(speaker, said)| said.contains(": ") && is_program(speaker));
    said.map_or(line, |(_, said)| said)
}

/// Finds the whole paths that a line has in quotes, or as words.
pub(super) fn whole_paths(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split(QUOTES).skip(1).step_by(2);
    quoted
        .chain(line.split(char::is_whitespace))
        .map(|word| word.trim_matches(QUOTES).trim_end_matches([':', '.', '!', ',', ')', ';']))
        .filter(|word| word.starts_with('/') && word.len() > 1 && word.len() < 4096)
}

/// Finds what may be paths in a line: words with or without quotes around them, absolute or relative to one of the
/// folders.
///
/// A bare word may be anything. It is taken for a name when it is one there, or stands where programs put the name of
/// what they could not make: in quotes, or right before the error (`bash: line 1: name: Read-only file system`).
pub(super) fn names<'a>(line: &'a str, folders: &'a [PathBuf]) -> impl Iterator<Item = &'a str> {
    let separators = |c: char| c.is_whitespace() || "'\"`‘’“”()[]<>,;|".contains(c);
    let quoted = line.split(QUOTES).skip(1).step_by(2);
    let before_the_error = line.rsplit(": ").nth(1).filter(|word| !word.contains(char::is_whitespace));
    let is_about_writing = line.to_lowercase().contains("read-only file system");
    let is_named = move |word: &str| {
        is_about_writing
            && (before_the_error == Some(word)
                || line.split(QUOTES).skip(1).step_by(2).any(|quoted| quoted == word))
    };
    line.split(separators)
        .chain(quoted)
        .map(|word| word.trim_end_matches([':', '.', '!']).trim_start_matches("path:"))
        .filter(|word| !word.is_empty() && word.len() < 4096)
        .filter(move |word| {
            (word.contains('/') && word.len() > 1)
                || (word.starts_with('.') && word.len() > 1)
                || is_named(word)
                || folders.iter().any(|folder| folder.join(word).symlink_metadata().is_ok())
        })
}

/// Finds paths with blanks in a line: what is in quotes, and what stands between colons where the folder is one with a
/// blank or the whole is there. Their words may be paths, too (`cannot link /a to /b`).
pub(super) fn paths_with_blanks<'a>(line: &'a str, folders: &'a [PathBuf]) -> impl Iterator<Item = &'a str> {
    let quoted = line.split(QUOTES).skip(1).step_by(2).filter(|path| path.contains('/'));
    let between_colons =
        line.split(": ").map(|part| part.find(" /").map_or(part, |blank| &part[blank + 1..]));
    let is_there = |path: &str| folders.iter().any(|folder| folder.join(path).symlink_metadata().is_ok());
    let is_one = move |path: &&str| match path.trim_end_matches('/').rsplit_once('/') {
        Some((folder, _)) => folder.contains(' ') || is_there(path),
        None => false,
    };
    quoted.chain(between_colons.filter(is_one)).filter(|path| path.contains(' ') && path.len() < 4096)
}

/// The words of each simple command in a script, as far as they are plain.
pub(super) fn commands(script: &str) -> impl Iterator<Item = Vec<&str>> {
    script
        .split(['&', ';', '|', '\n', '(', ')', '{', '}'])
        .map(|part| part.split_whitespace().skip_while(|word| is_assignment(word)).collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// The program and its first argument, where these are plain words: what a rule begins with.
pub(super) fn plain<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let is_plain = |word: &&&str| {
        !word.starts_with('-')
            && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.+:@".contains(letter))
    };
    let program = words.iter().take(1).map(|word| program_name(word));
    program.chain(words.iter().skip(1).take(1).filter(is_plain).copied()).collect()
}

/// The last part of a program's path.
pub(super) fn program_name(word: &str) -> &str {
    Path::new(word).file_name().and_then(|name| name.to_str()).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_whatever_their_case() {
        for (line, expected) in [
            ("mkdir /root/.cache/go-build: read-only file system", Some(Kind::File)),
            ("npm error code EROFS", Some(Kind::File)),
            ("zEROFSx", None),
            (
                "strace: ptrace(PTRACE_TRACEME, ...): Operation not permitted",
                Some(Kind::Call(Denied::Tracing)),
            ),
            ("unshare: unshare failed: Operation not permitted", Some(Kind::Call(NAMESPACES))),
            ("dial tcp: lookup x: Temporary failure in name resolution", Some(Kind::Network)),
            ("cat: /root/.ssh/id: No such file or directory", Some(Kind::Missing)),
            ("all is well", None),
        ] {
            assert_eq!(kind(line), expected, "{line}");
        }
    }

    #[test]
    fn plain_commands_are_found_in_a_script() {
        let found: Vec<Vec<&str>> = commands("cd x && A=1 git push -q | tail; (make)").collect();
        assert_eq!(found, [vec!["cd", "x"], vec!["git", "push", "-q"], vec!["tail"], vec!["make"]]);
    }
}
