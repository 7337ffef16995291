//! A command reaches Bash through a descriptor, with the hook and without it: it is among nobody's arguments and as long
//! as it likes, and `bash -c` in every other respect.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

use super::fixture::{Fixture, Mode, Outcome, place};

/// Standard input is the descriptor here: tests may hand down no other without unsafe code. The shell closes it.
const FD: &str = "0";

fn run_by_descriptor(fixture: &Fixture, mode: Mode, script: &[u8], arguments: &[&str]) -> Outcome {
    let all: Vec<&str> = ["-c", "placeholder"].iter().chain(arguments).copied().collect();
    fixture.run_with(mode, &all, |command| hand_over(command, script))
}

fn hand_over(command: &mut Command, script: &[u8]) {
    place(command, "../command", script, 0o600);
    let file = File::open(command.get_current_dir().expect("a folder").join("../command")).expect("open");
    assert!(file.as_raw_fd() > 2);
    command.stdin(file).env("BASH_COMMAND_STRING_FD", FD);
}

#[test]
fn a_command_by_descriptor_is_like_one_by_argument() {
    let fixture = Fixture::new();
    for script in [
        "echo \"$0|$*|$#\"; exit 5",
        "no-such-program",
        "echo one\nno-such-program; (exit 3)",
        "echo 'unterminated",
        "echo $(",
        "for x in; do",
        "echo \"${BASH_EXECUTION_STRING@Q}\" \"$-\"",
        "exec show a",
        "show a; show b",
        "trap 'echo bye' EXIT; set -e; false; echo no",
        "cat <<X\n$0\nX\n",
        "return 3; echo $?; ${x?gone}; echo no",
        "set -n; echo no",
        "",
        "\n\n\n  fi",
        "echo é ${#1}",
        "# only a comment",
        "kill -TERM $$",
    ] {
        for (mode, arguments) in
            [(Mode::Hooked, &[][..]), (Mode::Hooked, &["name", "é", ""][..]), (Mode::Plain, &["name"][..])]
        {
            let all: Vec<&str> = ["-c", script].iter().chain(arguments).copied().collect();
            // Descriptor 0 is closed afterwards, and so it is in the twin.
            let closed = format!("exec <&-\n{script}");
            let by_argument = fixture.run_with(mode, &all, |_| {});
            let by_descriptor = run_by_descriptor(&fixture, mode, script.as_bytes(), arguments);
            assert_eq!(by_descriptor, by_argument, "{script:?} {closed:?}");
        }
    }
}

#[test]
fn a_megabyte_runs() {
    let fixture = Fixture::new();
    let script =
        format!(": {}\necho \"${{#BASH_EXECUTION_STRING}} $0\"; show end; exit 9", "x".repeat(1 << 20));
    let outcome = run_by_descriptor(&fixture, Mode::Hooked, script.as_bytes(), &["name"]);
    let expected = format!("{} name\nran\n", script.len());
    assert_eq!((outcome.status, outcome.stdout, outcome.stderr), (9, expected, String::new()));
    assert_eq!(fixture.execs_of_show().len(), 1);
}

#[test]
fn neither_descriptor_nor_variable_nor_text_is_left() {
    let fixture = Fixture::new();
    let script =
        b"[ -e /proc/$$/fd/0 ] && echo open; ls /proc/self/fd; env; tr '\\0' ' ' < /proc/$$/cmdline; echo; \
        echo \"[$BASH_COMMAND_STRING_FD]\"";
    for mode in [Mode::Hooked, Mode::Plain] {
        let outcome = run_by_descriptor(&fixture, mode, script, &[]);
        assert!(!outcome.stdout.contains("open"), "{outcome:?}");
        assert!(!outcome.stdout.contains("BASH_COMMAND_STRING_FD="), "{outcome:?}");
        assert!(outcome.stdout.ends_with(" -c placeholder \n[]\n"), "{outcome:?}");
    }
}

#[test]
fn a_descriptor_that_cannot_be_read_is_an_error() {
    let fixture = Fixture::new();
    for (fd, message) in [
        ("77", "bash: BASH_COMMAND_STRING_FD: Bad file descriptor\n"),
        ("-1", "bash: BASH_COMMAND_STRING_FD: not a file descriptor\n"),
        ("", "bash: BASH_COMMAND_STRING_FD: not a file descriptor\n"),
        ("0x0", "bash: BASH_COMMAND_STRING_FD: not a file descriptor\n"),
    ] {
        let outcome = fixture.run_with(Mode::Hooked, &["-c", "echo ran"], |command| {
            command.env("BASH_COMMAND_STRING_FD", fd);
        });
        assert_eq!((outcome.status, outcome.stdout.as_str(), outcome.stderr.as_str()), (126, "", message));
    }
}

#[test]
fn a_null_byte_is_an_error() {
    let fixture = Fixture::new();
    let outcome = run_by_descriptor(&fixture, Mode::Hooked, b"echo one\0echo two", &[]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (126, ""));
    assert_eq!(outcome.stderr, "bash: BASH_COMMAND_STRING_FD: the command contains a null byte\n");
}
