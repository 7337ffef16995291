//! A pass-through wrapper for tests of the patched Bash, and a program that records its arguments.
//!
//! As a **wrapper** (under its own name) it keeps the wrapper's side of the contract with Bash and judges
//! nothing: it executes `FILE ARGV0 ARG…`, and hands a refusal of the kernel back to Bash. If
//! `CODEX_ESCALATE_SOCKET`, which is opaque to Bash, is an absolute path, what is executed is appended there.
//!
//! As a **program** (a copy under another name) it appends its own argv and the part of its environment that tests look
//! at to the file `argv.log` beside itself, prints the word `ran`, and exits with the number after `--exit`, or 0.
//!
//! It has no Rust runtime around `main`: that would ignore SIGPIPE and reopen closed descriptors before the program
//! is executed, and Bash would look unfaithful where it is not.

#![no_main]
#![expect(unsafe_code, reason = "an exported `main` is the only way to start without the Rust runtime")]

use std::ffi::{CString, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const WRAPPER: &str = "BASH_EXEC_WRAPPER";
const SOCKET: &str = "CODEX_ESCALATE_SOCKET";
const SHELL: &str = "BASH_EXEC_SHELL";
const CONTEXT: &str = "BASH_EXEC_CONTEXT";
const FAILED: &str = "BASH_EXEC_FAILED";

/// What a wrapper exits with when it cannot do its work; Bash uses it for the same.
const CANNOT_EXECUTE: i32 = 126;

// SAFETY: no other symbol of this program is called `main`, and the C runtime calls it with these arguments or more,
// which the C calling convention lets it ignore.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let Ok(executable) = std::env::current_exe() else { return CANNOT_EXECUTE };
    if executable.file_name().is_some_and(|name| name == "record-exec") {
        wrap()
    } else {
        record(&executable)
    }
}

fn wrap() -> i32 {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let [_, file, program_argv @ ..] = argv.as_slice() else {
        return CANNOT_EXECUTE;
    };
    if let Some(log) = std::env::var_os(SOCKET).filter(|path| path.as_bytes().starts_with(b"/")) {
        append(Path::new(&log), &argv[1..]);
    }

    let shell = std::env::var_os(SHELL).unwrap_or_default();
    let is_shell = same_file(Path::new(file), Path::new(&shell));
    let mut environment = command_environment();
    if is_shell {
        environment.extend([entry(WRAPPER), entry(SOCKET)].into_iter().flatten());
    }
    let error = execute(file, program_argv, &environment);

    let mut environment = command_environment();
    environment.extend([entry(CONTEXT), entry(WRAPPER), entry(SOCKET)].into_iter().flatten());
    environment.push(format!("{FAILED}={error}").into());
    execute(&shell, &argv, &environment);
    CANNOT_EXECUTE
}

fn record(executable: &Path) -> i32 {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let mut record = argv.clone();
    record.extend(std::env::vars_os().filter(|(name, _)| is_of_interest(name)).map(|(name, value)| {
        let mut line = OsString::from("env:");
        line.push(name);
        line.push("=");
        line.push(value);
        line
    }));
    if let Some(folder) = executable.parent() {
        append(&folder.join("argv.log"), &record);
    }
    // Nothing depends on the words arriving: the reader may be gone.
    let _ = std::io::stdout().write_all(b"ran\n");
    argv.iter()
        .skip_while(|word| *word != "--exit")
        .nth(1)
        .and_then(|number| number.to_str()?.parse().ok())
        .unwrap_or(0)
}

/// Private names must never be seen here; `T_` names are those that tests set.
fn is_of_interest(name: &std::ffi::OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"T_") || name.starts_with(b"CODEX_") || is_private(name)
}

fn is_private(name: &[u8]) -> bool {
    name.starts_with(b"BASH_EXEC_") || name == SOCKET.as_bytes() || name == b"BASH_COMMAND_STRING_FD"
}

fn command_environment() -> Vec<OsString> {
    std::env::vars_os()
        .filter(|(name, _)| !is_private(name.as_bytes()))
        .map(|(name, value)| {
            let mut entry = name;
            entry.push("=");
            entry.push(value);
            entry
        })
        .collect()
}

fn entry(name: &str) -> Option<OsString> {
    let mut entry = OsString::from(format!("{name}="));
    entry.push(std::env::var_os(name)?);
    Some(entry)
}

/// Returns only if the kernel refused, with its error number.
fn execute(file: &OsString, argv: &[OsString], environment: &[OsString]) -> i32 {
    let strings = |list: &[OsString]| -> Vec<CString> { list.iter().map(c_string).collect() };
    match nix::unistd::execve(&c_string(file), &strings(argv), &strings(environment)) {
        Err(error) => error as i32,
    }
}

/// Strings that came from the kernel contain no null byte.
fn c_string(string: &OsString) -> CString {
    CString::new(string.clone().into_vec()).unwrap_or_default()
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// One record: strings separated by 0x1f, ended by 0x1e, in a single write so that records never mix.
fn append(log: &Path, strings: &[OsString]) {
    let mut record = Vec::new();
    for (index, string) in strings.iter().enumerate() {
        if index > 0 {
            record.push(0x1f);
        }
        record.extend_from_slice(string.as_bytes());
    }
    record.push(0x1e);
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(log) {
        // A record that is missing makes the test fail, which is what it is for.
        let _ = file.write_all(&record);
    }
}
