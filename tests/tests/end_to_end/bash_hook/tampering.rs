//! Attempts to switch the hook off, re-point it, or learn of it, from inside a script (BYPASSES 10, 11, 14).

use super::fixture::{Fixture, Mode, record};

/// What a script may try before it runs a program. Each is tried with each private name in place of NAME.
const ATTEMPTS: &[&str] = &[
    "unset NAME",
    "unset -v NAME",
    "unset -n NAME",
    "NAME=",
    "NAME=/bin/echo",
    "export NAME=/bin/echo",
    "export NAME=; export -n NAME",
    "declare -x NAME=/bin/echo",
    "declare -g NAME=",
    "declare -i NAME=5",
    "declare -n NAME=other; other=/bin/echo",
    "declare -n other=NAME; other=/bin/echo; unset other",
    "declare -A NAME=([x]=y)",
    "readonly NAME=/bin/echo",
    "typeset +x NAME",
    "printf -v NAME /bin/echo",
    "read -r NAME <<< /bin/echo",
    "mapfile NAME <<< /bin/echo",
    "for NAME in /bin/echo; do :; done",
    ": \"${NAME:=/bin/echo}\"",
    "(( NAME = 3 ))",
    "f() { local NAME=/bin/echo; show within; }; f",
    "NAME() { :; }; export -f NAME; unset -f NAME",
    "set -a; NAME=/bin/echo; set +a",
    "set -k; show within NAME=/bin/echo; set +k",
    "NAME= show within",
    "NAME=/bin/echo show within",
    "NAME=/bin/echo eval 'show within'",
    "NAME=/bin/echo command show within",
    "getopts a: NAME -a /bin/echo",
    "exec 9< /dev/null; export NAME=9",
    "set -o posix; export NAME=/bin/echo; set +o posix",
    "shopt -s localvar_inherit; declare -x NAME=",
    "NAME=x \"$BASH\" -c 'show within'",
    "export NAME=; \"$BASH\" -c 'unset NAME; show within'",
    "(exec -c \"$BASH\" -c \"'$HOME/../bin/show' within\")",
    "enable -n exec unset export; enable exec unset export",
    "hash -r; hash -p /bin/echo NAME",
    "alias show=/bin/echo",
];

const NAMES: &[&str] = &["BASH_EXEC_WRAPPER", "CODEX_ESCALATE_SOCKET", "BASH_EXEC_SHELL", "BASH_EXEC_FAILED"];

#[test]
fn nothing_a_script_does_to_the_names_changes_the_hook() {
    let fixture = Fixture::new();
    for attempt in ATTEMPTS {
        for name in NAMES {
            let script = format!("{}; show after; exec show last", attempt.replace("NAME", name));
            let plain = fixture.run(Mode::Plain, &script);
            let programs = fixture.programs().len();
            assert!(programs >= 2, "the attempt itself must work in plain Bash: {script}: {plain:?}");

            fixture.run(Mode::Hooked, &script);
            let through = fixture.execs_of_show();
            assert!(through.len() >= programs, "{script}");
            assert_eq!(through.len(), fixture.programs().len(), "a program escaped the wrapper: {script}");
            assert!(through.contains(&record(&["show", "after"])), "{script}");
            assert!(through.contains(&record(&["show", "last"])), "{script}");
            for string in fixture.programs().concat() {
                assert!(!string.starts_with(b"env:"), "{script}: the program saw {string:?}");
            }
        }
    }
}

#[test]
fn a_script_cannot_see_that_it_is_hooked() {
    let fixture = Fixture::new();
    let script = r#"
        set; export -p; declare -p; env; compgen -v; printf '%s\n' "${!BASH_EXEC@}" "${!CODEX@}"
        [[ -v BASH_EXEC_WRAPPER || -v CODEX_ESCALATE_SOCKET ]] && echo VISIBLE
        tr '\0' '\n' < /proc/$$/environ
        cat /proc/$$/environ > environ
        "$BASH" -c 'set; cat /proc/$$/environ; env' | tr '\0' '\n'
        env -i "$BASH" --norc -c set
    "#;
    let outcome = fixture.run(Mode::Hooked, script);
    assert!(outcome.stdout.contains("HOME="), "the script must have shown something: {outcome:?}");
    let environ = &outcome.files[std::path::Path::new("environ")].1;
    assert!(String::from_utf8_lossy(environ).contains("HOME="), "environ must have been readable");
    for text in [outcome.stdout.replace(script, ""), String::from_utf8_lossy(environ).into_owned()] {
        for line in text.lines().filter(|line| !line.contains("compgen") && !line.contains("-v BASH_EXEC")) {
            assert!(!line.contains("BASH_EXEC_") && !line.contains("CODEX_"), "leaked: {line}");
        }
    }
}

/// A plug-in would run inside the shell, beside the hook.
#[test]
fn no_plug_in_can_be_loaded() {
    let fixture = Fixture::new();
    let script = "enable cd && echo built in; enable -f ./plugin.so plugin || enable -f /lib/plugin.so plugin || echo none";
    let outcome = fixture.run(Mode::Hooked, script);
    assert_eq!(outcome.stdout, "built in\nnone\n", "{outcome:?}");
    assert_eq!(outcome.stderr.matches("dynamic loading not available").count(), 2, "{outcome:?}");
}

#[test]
fn a_lost_socket_variable_is_not_invented() {
    let fixture = Fixture::new();
    let outcome = fixture.run_with(Mode::Hooked, &["-c", "CODEX_ESCALATE_SOCKET=/x show a"], |command| {
        command.env_remove("CODEX_ESCALATE_SOCKET");
    });
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(fixture.execs().is_empty(), "the wrapper must not get the script's value");
    assert_eq!(fixture.programs(), [record(&["show", "a"])]);
}
