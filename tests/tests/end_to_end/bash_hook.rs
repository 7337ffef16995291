//! The patched Bash and its contract with the wrapper: every external command goes through it, nothing in a script can
//! change that, and nothing else is different.
//!
//! The wrapper here is `record-exec`, which judges nothing. Where a test asks whether something is *refused*, the same
//! script without the hook runs first, to show that it would have worked.

#![expect(clippy::expect_used, clippy::panic, reason = "a test ends where its preparation fails")]

pub(crate) mod fixture;

mod errors;
mod large_command;
mod random_scripts;
mod tampering;

use std::os::unix::process::CommandExt;

use fixture::{Fixture, Mode, place, record, sorted};

/// Each way in which Bash executes a program, and how often `show` runs in it.
const FORMS: &[(&str, &str, usize)] = &[
    ("simple command", "show a 'b c' ''", 1),
    ("by a path with a slash", "../bin/show a", 1),
    ("by an absolute path", "\"$HOME/../bin/show\" a", 1),
    ("with an assignment", "T_X=1 show a", 1),
    ("exec", "exec show a", 1),
    ("exec in a subshell", "(exec show a); show b", 2),
    ("exec -a", "(exec -a other show a)", 1),
    ("exec -a with an empty name", "(exec -a '' show a)", 1),
    ("exec -a with a name like an option", "(exec -a --help show a)", 1),
    ("exec -l", "(exec -l show a)", 1),
    ("exec -c", "T_X=1; export T_X; (exec -c show a)", 1),
    ("exec -cl -a", "(exec -cl -a name show a)", 1),
    ("command", "command show a", 1),
    ("command -p", "command -p \"$HOME/../bin/show\" a", 1),
    ("a program with a name like an option", ": && -dash -x -- --", 1),
    ("escaped name", "\\show a", 1),
    ("pipeline", "show a | show b | show c", 3),
    ("pipeline with lastpipe", "shopt -s lastpipe; show a | show b", 2),
    ("|&", "show a |& show b", 2),
    ("background", "show a & wait", 1),
    ("subshell", "(show a; show b)", 2),
    ("group", "{ show a; show b; }", 2),
    ("command substitution", "x=$(show a); : \"$x\" $(show b)", 2),
    ("backquotes", "x=`show a`; : \"$x\"", 1),
    ("nested substitution", ": $(show $(show a))", 2),
    ("process substitution, read", "read x < <(show a)", 1),
    ("process substitution, argument", "cat <(show a) > /dev/null", 1),
    ("process substitution, write", "show a > >(cat > out)", 1),
    ("coproc", "coproc show a; cat <&\"${COPROC[0]}\" > /dev/null; wait", 1),
    ("named coproc", "coproc NAME { show a; }; cat <&\"${NAME[0]}\" > /dev/null; wait", 1),
    ("time", "time -p show a", 1),
    ("negation", "! show a", 1),
    ("and, or", "show a && show b || show c", 2),
    ("if and while", "if show a; then while ! show b; do :; done; fi", 2),
    ("for and case", "for i in 1 2; do case $i in *) show $i;; esac; done", 2),
    ("function", "f() { show \"$@\"; }; f a b; export -f f", 1),
    ("exported function", "f() { show \"$@\"; }; export -f f; \"$BASH\" -c 'f a'", 1),
    ("alias", "shopt -s expand_aliases\nalias s='show a'\ns", 1),
    ("eval", "eval 'show a; show b'", 2),
    ("source", "echo 'show a' > s; . ./s", 1),
    ("source from a substitution", ". <(echo show a)", 1),
    ("trap EXIT", "trap 'show a' EXIT; exit 3", 1),
    ("trap DEBUG", "trap 'show a' DEBUG; :; trap - DEBUG", 2),
    ("trap of a signal", "trap 'show a' USR1; kill -USR1 $$; :", 1),
    ("hashed under another name", "hash -p \"$HOME/../bin/show\" ls; ls a", 1),
    ("disabled built-in", "enable -n echo; hash -p \"$HOME/../bin/show\" echo; echo a", 1),
    ("command_not_found_handle", "command_not_found_handle() { show \"$@\"; }; no-such-program a", 1),
    ("here-document", "show a <<X\n$(show b)\nX", 2),
    ("redirections", "show a > out 2>&1 < /dev/null", 1),
    ("closed descriptors", "show a <&- >&- 2>&-", 1),
    ("the same shell again", "\"$BASH\" -c 'show a; exec show b'", 2),
    ("the same shell by exec -c", "(exec -c \"$BASH\" -c \"'$HOME/../bin/show' a\")", 1),
    (
        "a script with #! of the same shell",
        "echo \"#!$BASH\" > s; echo show a >> s; chmod +x s; show b; ./s",
        2,
    ),
    ("text file without #!", "echo 'show a; (exec show b)' > s; chmod +x s; ./s", 2),
    ("text file by exec", "echo 'show a' > s; chmod +x s; exec ./s", 1),
    ("text file that runs a text file", "echo 'show a' > s; echo './s; show b' > t; chmod +x s t; ./t", 2),
    ("mapfile callback", "mapfile -C 'show a' -c 1 x <<< $'1\\n2'", 2),
    ("${x@P}", "x='$(show a)'; : \"${x@P}\"", 1),
    ("arithmetic", "x='a[$(show a)]'; (( x )) || :", 1),
    ("PROMPT_COMMAND of an interactive shell", "\"$BASH\" --norc -i -c 'show a' 2> /dev/null", 1),
    ("job control", "set -m; show a & wait; show b", 2),
    ("restricted shell", "\"$BASH\" -r -c 'show a'", 1),
    ("posix mode", "set -o posix; show a", 1),
];

#[test]
fn every_form_of_execution_goes_through_the_wrapper() {
    let fixture = Fixture::new();
    for (name, script, count) in FORMS {
        let plain = fixture.run(Mode::Plain, script);
        let expected = sorted(fixture.programs());
        assert_eq!(expected.len(), *count, "{name}: in plain Bash: {plain:?}");
        assert!(fixture.execs().is_empty(), "{name}: plain Bash must not know the wrapper");

        let hooked = fixture.run(Mode::Hooked, script);
        assert_eq!(sorted(fixture.programs()), expected, "{name}: {hooked:?}");
        let through = sorted(fixture.execs_of_show());
        let ran = sorted(expected.into_iter().map(arguments_only).collect());
        // A shell that is executed by the kernel for a `#!` line was not executed by Bash, and is not hooked.
        if !name.contains("#!") || name.contains("without") {
            assert_eq!(through, ran, "{name}: each program must have gone through the wrapper");
        }
    }
}

/// The environment is recorded too, but is no part of what the wrapper saw.
fn arguments_only(record: fixture::Record) -> fixture::Record {
    record.into_iter().filter(|string| !string.starts_with(b"env:")).collect()
}

#[test]
fn the_wrapper_gets_file_argv0_and_arguments_unchanged() {
    let fixture = Fixture::new();
    fixture.run(Mode::Hooked, "cd /; (exec -a zero \"$HOME/../bin/show\" 'a b' '' -- $'\\xff\\n' é)");
    let file = fixture.work().join("../bin/show");
    assert_eq!(
        fixture.execs(),
        [vec![
            file.as_os_str().as_encoded_bytes().to_vec(),
            b"zero".to_vec(),
            b"a b".to_vec(),
            Vec::new(),
            b"--".to_vec(),
            b"\xff\n".to_vec(),
            "é".as_bytes().to_vec(),
        ]]
    );
}

#[test]
fn programs_never_see_the_private_names() {
    let fixture = Fixture::new();
    let script = "export BASH_EXEC_WRAPPER=/bin/echo CODEX_ESCALATE_SOCKET=9 BASH_EXEC_SHELL=/bin/sh \
                  BASH_EXEC_CONTEXT=x BASH_EXEC_FAILED=2 BASH_COMMAND_STRING_FD=0 T_MINE=1; show a; (exec -c show b)";
    fixture.run(Mode::Hooked, script);
    assert_eq!(sorted(fixture.programs()), [record(&["show", "a", "env:T_MINE=1"]), record(&["show", "b"])]);
}

#[test]
fn without_the_wrapper_the_names_are_ordinary_variables() {
    let fixture = Fixture::new();
    for value in [None, Some("")] {
        let outcome =
            fixture.run_with(Mode::Plain, &["-c", "echo $CODEX_ESCALATE_SOCKET; show a"], |command| {
                command.env("CODEX_ESCALATE_SOCKET", "7").env("BASH_EXEC_FAILED", "2");
                if let Some(value) = value {
                    command.env("BASH_EXEC_WRAPPER", value);
                }
            });
        assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "7\nran\n"), "{}", outcome.stderr);
        let seen = fixture.programs().concat();
        assert!(seen.contains(&b"env:CODEX_ESCALATE_SOCKET=7".to_vec()));
        assert!(seen.contains(&b"env:BASH_EXEC_FAILED=2".to_vec()));
    }
}

#[test]
fn a_wrapper_that_cannot_be_executed_stops_the_command_and_says_so() {
    let fixture = Fixture::new();
    for (wrapper, reason) in [
        ("/nonexistent/wrapper", "No such file or directory"),
        ("/etc/passwd", "Permission denied"),
        ("/", "Permission denied"),
    ] {
        for script in ["show a; exit $?", "exec show a; show b", "(exec show a)", "show a | exit 5; exit 126"]
        {
            let outcome = fixture.run_with(Mode::Hooked, &["-c", script], |command| {
                command.env("BASH_EXEC_WRAPPER", wrapper);
            });
            assert_eq!(outcome.status, 126, "{wrapper}: {script}: {outcome:?}");
            let expected = format!("show: cannot execute: exec wrapper {wrapper}: {reason}\n");
            assert!(outcome.stderr.ends_with(&expected), "{}", outcome.stderr);
            assert!(fixture.programs().is_empty(), "{script} ran unwrapped");
        }
    }
}

#[test]
fn a_wrapper_without_an_absolute_path_is_refused_at_start() {
    let fixture = Fixture::new();
    let outcome = fixture.run_with(Mode::Hooked, &["-c", "echo started"], |command| {
        command.env("BASH_EXEC_WRAPPER", "bin/wrapper");
    });
    assert_eq!((outcome.status, outcome.stdout.as_str()), (126, ""));
    assert_eq!(outcome.stderr, "bash: BASH_EXEC_WRAPPER: not an absolute path\n");
}

#[test]
fn the_shell_variable_names_the_patched_bash_whatever_it_was_called() {
    let fixture = Fixture::new();
    for name in ["bash", "-bash", "sh", "/bin/bash", "./x"] {
        let script = "echo \"$BASH\"; \"$BASH\" -c '\"$HOME/../bin/show\" a'";
        let outcome = fixture.run_with(Mode::Hooked, &["-c", script], |command| {
            command.arg0(name);
        });
        let expected = format!("{}\nran\n", fixture::patched_bash().display());
        assert_eq!(outcome.stdout, expected, "{name}: {}", outcome.stderr);
        assert_eq!(fixture.execs_of_show().len(), 1, "{name}");
    }
}

#[test]
fn start_up_files_are_hooked_too() {
    let fixture = Fixture::new();
    let script = "PATH=$HOME/../bin:$PATH; unset BASH_EXEC_WRAPPER; BASH_EXEC_WRAPPER=; show from-file";
    for (arguments, file) in
        [(&["-c", "show a"][..], "env.sh"), (&["--login", "-c", "show a"][..], ".bash_profile")]
    {
        fixture.run_with(Mode::Hooked, arguments, |command| {
            place(command, file, script.as_bytes(), 0o644);
            let path = command.get_current_dir().expect("a folder").join("env.sh");
            command.env("BASH_ENV", path);
        });
        let shown = fixture.execs_of_show();
        assert_eq!(shown, [record(&["show", "from-file"]), record(&["show", "a"])], "{arguments:?}");
    }
}
