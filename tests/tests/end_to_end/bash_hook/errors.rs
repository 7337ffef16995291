//! Files that cannot be executed: status, message, and what runs afterwards are those of the same Bash without the
//! hook.

use std::os::unix::process::CommandExt;

use rustix::process::{Resource, getrlimit};

use super::fixture::{Fixture, Mode};

/// Prepared in the working folder: name, content, permissions.
const FILES: &[(&str, &[u8], u32)] = &[
    ("not-executable", b"echo no", 0o644),
    ("unreadable", b"echo text", 0o111),
    ("text", b"echo \"text:$0|$*|$BASH_SUBSHELL|$((BASHPID - $$))|$-\"\nno-such-program\nexit 7\n", 0o755),
    ("empty", b"", 0o755),
    ("newline", b"\n", 0o755),
    ("binary", b"\x7fELF\x02\x01\x01\x00\x00\n", 0o755),
    ("nulls", b"\x00\x00\x00", 0o755),
    ("late-null", b"echo first line is text\n\x00\n", 0o755),
    ("no-interpreter", b"#!/nonexistent/interpreter -x\n", 0o755),
    ("dos-interpreter", b"#!/bin/sh\r\necho no\n", 0o755),
    ("interpreter-not-executable", b"#!/etc/passwd\n", 0o755),
    ("interpreter-is-folder", b"#!/etc\n", 0o755),
    ("empty-interpreter", b"#!\necho after\n", 0o755),
    ("blank-interpreter", b"#!   \necho after\n", 0o755),
    ("spaced-interpreter", b"#! \t /bin/sh\necho \"spaced:$0 $*\"\n", 0o755),
    ("no-newline", b"#!/bin/true", 0o755),
    ("interpreter-is-text", b"#!./text with argument\n", 0o755),
    ("chain-1", b"#!./chain-2\n", 0o755),
    ("chain-2", b"#!./chain-3\n", 0o755),
    ("chain-3", b"#!/bin/echo\n", 0o755),
    ("chain-broken", b"#!./no-interpreter\n", 0o755),
    ("loop", b"#!./loop\n", 0o755),
    ("-option", b"echo \"option:$0\"\n", 0o755),
    ("sh", b"echo \"sh:$0 $-\"; shopt -o posix\n", 0o755),
];

/// Names that are commands in themselves.
const COMMANDS: &[&str] = &[
    "no-such-program",
    "/nonexistent/program",
    "./nonexistent",
    "/etc/passwd/x",
    "''",
    "' '",
    "$'\\xff\\n'",
    ".",
    "./",
    "/",
    "/etc",
    "./folder",
    "folder",
    "./dangling",
    "./circle",
    "/dev/null",
    "./missing-loader",
];

/// Where COMMAND stands in a script.
const PLACES: &[&str] = &[
    "COMMAND one 'two three'; echo $?",
    "(COMMAND); echo $?",
    "exec COMMAND; echo not reached",
    "(exec COMMAND); echo $?",
    "(exec -a zero COMMAND x); echo $?",
    "(exec -l COMMAND x); echo $?",
    "(exec -c COMMAND x); echo $?",
    "trap 'echo bye $?' EXIT; exec COMMAND",
    "shopt -s execfail; exec COMMAND; echo \"still here $?\"; trap 'echo bye' EXIT; exec COMMAND; echo end",
    "set -e; COMMAND; echo not reached",
    "set -e; (exec COMMAND) || echo failed $?",
    "set -eE; trap 'echo \"ERR $? $LINENO\"' ERR; f() {\nCOMMAND\n}; f",
    "f() {\n\n  COMMAND\n  echo $?\n}\nf",
    "shopt -s gnu_errfmt; COMMAND; echo $?",
    "COMMAND | cat; echo ${PIPESTATUS[@]}",
    "COMMAND & wait $!; echo $?",
    "x=$(COMMAND 2>&1); echo \"$? $x\"",
    "coproc { COMMAND; }; wait $!; echo $?",
    "command COMMAND; echo $?",
    "command -v COMMAND; type COMMAND; echo $?",
    "eval 'eval \"\nCOMMAND\"'; echo $?",
    "cd folder; ../COMMAND; echo $?",
    "COMMAND 2>&-; echo $?",
    "T=x COMMAND > out; echo $?; cat out",
    "set -o posix; COMMAND; echo $?; exec COMMAND; echo no",
    "echo COMMAND > s; . ./s; \"$BASH\" ./s; \"$BASH\" -c 'exec COMMAND' name; echo $?",
];

/// Writes the files once, for [`prepare`].
fn originals() -> Fixture {
    let fixture = Fixture::new();
    let mut files: Vec<(&str, Vec<u8>, u32)> = FILES.iter().map(|(n, c, m)| (*n, c.to_vec(), *m)).collect();
    files.push(("missing-loader", program_without_loader(), 0o755));
    fixture.write_originals(&files);
    fixture
}

fn prepare(fixture: &Fixture, command: &std::process::Command) {
    let work = command.get_current_dir().expect("a folder");
    for original in std::fs::read_dir(fixture.path("originals")).expect("originals").flatten() {
        std::fs::hard_link(original.path(), work.join(original.file_name())).expect("link");
    }
    std::fs::create_dir(work.join("folder")).expect("folder");
    std::os::unix::fs::symlink("nowhere", work.join("dangling")).expect("link");
    std::os::unix::fs::symlink("circle", work.join("circle")).expect("link");
}

/// A dynamic program whose loader does not exist: the kernel says ENOENT of a file that is there.
fn program_without_loader() -> Vec<u8> {
    let mut bytes = std::fs::read("/bin/true").expect("read /bin/true");
    let place =
        bytes.windows(5).position(|window| window == b"/lib6" || window == b"/lib/").expect("a loader");
    bytes[place..place + 5].copy_from_slice(b"/nil/");
    bytes
}

/// With `exec` in the shell itself, what only the kernel can find out is found out after the shell is gone. Such a
/// shell runs nothing more: no EXIT trap, no `execfail`. (See bash-patches/README.md.)
fn is_known_difference(place: &str, command: &str) -> bool {
    let kernel_only = ["./missing-loader", "./binary", "./nulls", "./empty", "./loop"].contains(&command);
    kernel_only && place.contains("execfail")
}

#[test]
fn every_refusal_reads_and_ends_as_in_plain_bash() {
    let fixture = originals();
    let files = FILES.iter().map(|(name, ..)| format!("./{name}"));
    let commands: Vec<String> = COMMANDS.iter().map(|name| (*name).to_owned()).chain(files).collect();
    let mut differences = Vec::new();
    for command in &commands {
        for place in PLACES.iter().filter(|place| !is_known_difference(place, command)) {
            let script = place.replace("COMMAND", command);
            let [plain, hooked] = [Mode::Plain, Mode::Hooked]
                .map(|mode| fixture.run_with(mode, &["-c", &script], |command| prepare(&fixture, command)));
            if plain != hooked {
                differences.push(format!(
                    "{script}\n  plain:  {}\n  hooked: {}",
                    brief(&plain),
                    brief(&hooked)
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn brief(outcome: &super::fixture::Outcome) -> String {
    format!("{} {:?} {:?}", outcome.status, outcome.stdout, outcome.stderr)
}

#[test]
fn the_usual_statuses_are_the_usual_ones() {
    let fixture = originals();
    for (command, status, message) in [
        ("no-such-program", 127, "bash: line 1: no-such-program: command not found\n"),
        ("./nonexistent", 127, "bash: line 1: ./nonexistent: No such file or directory\n"),
        ("./not-executable", 126, "bash: line 1: ./not-executable: Permission denied\n"),
        ("./folder", 126, "bash: line 1: ./folder: Is a directory\n"),
        (
            "./no-interpreter",
            127,
            "bash: line 1: ./no-interpreter: cannot execute: required file not found\n",
        ),
        ("./binary", 126, "bash: line 1: ./binary: cannot execute binary file: Exec format error\n"),
        ("./text", 7, "./text: line 2: no-such-program: command not found\n"),
    ] {
        let outcome = fixture.run_with(Mode::Hooked, &["-c", command], |command| {
            command.arg0("bash");
            prepare(&fixture, command);
        });
        assert_eq!((outcome.status, outcome.stderr.as_str()), (status, message), "{command}");
    }
}

#[test]
fn a_text_file_is_run_by_the_hooked_shell() {
    let fixture = Fixture::new();
    let script = "printf 'show inner\\n' > text; chmod +x text; ./text; (exec -a name ./text); exec ./text";
    fixture.run(Mode::Hooked, script);
    assert_eq!(fixture.programs().len(), 3);
    assert_eq!(fixture.execs_of_show().len(), 3);
}

#[test]
fn too_long_arguments_are_reported_as_such() {
    let fixture = Fixture::new();
    for script in [
        "printf -v x %200000d 0; show \"$x\"; echo $?",
        "printf -v x %100000d 0; show {1..30}\"$x\"; echo $?",
        "printf -v x %100000d 0; exec show {1..30}\"$x\"; echo no",
        "shopt -s execfail; printf -v x %200000d 0; exec show \"$x\"; echo \"here $?\"; show small",
        "printf -v T_X %200000d 0; export T_X; show a; echo $?",
    ] {
        let plain = fixture.run(Mode::Plain, script);
        assert!(plain.stderr.contains("Argument list too long"), "{plain:?}");
        assert_eq!(fixture.run(Mode::Hooked, script), plain);
    }
}

#[test]
fn as_many_arguments_as_the_kernel_takes_pass() {
    let fixture = Fixture::new();
    // A quarter of the stack limit, at most 2 MiB here, including 8 bytes for each string; 128 KiB in any case
    // (execve(2)).
    let stack = getrlimit(Resource::Stack).maximum.unwrap_or(u64::MAX).min(8 << 20);
    let arguments = (stack / 4).max(128 << 10) / 1059;
    let script =
        format!("ulimit -S -s {}; printf -v x %1000d 0; show {{1..{arguments}}}\"$x\"; echo $?", stack >> 10);
    let plain = fixture.run(Mode::Plain, &script);
    assert_eq!(plain.stdout, "ran\n0\n", "{}", plain.stderr);
    let programs = fixture.programs();
    assert_eq!(fixture.run(Mode::Hooked, &script), plain);
    assert_eq!(fixture.programs(), programs);
}

#[test]
fn a_deleted_working_folder_changes_nothing() {
    let fixture = Fixture::new();
    for script in [
        "mkdir d; cd d; rmdir ../d; show a; echo $?; \"$HOME/../bin/show\" b; exec show c",
        "mkdir d; cd d; rmdir ../d; ./show; echo $?; nothing; echo $?; exec ./show",
        "mkdir d; cp ../bin/show d/; cd d; rm -r ../d; ./show; echo $?; (exec show x)",
    ] {
        let plain = fixture.run(Mode::Plain, script);
        let programs = fixture.programs();
        assert_eq!(fixture.run(Mode::Hooked, script), plain, "{script}");
        assert_eq!(fixture.programs(), programs, "{script}");
    }
}
