//! What runs under the hook differs from plain Bash in nothing that can be observed: more than 200 small scripts run
//! both ways, as a command and as a file, and their output, status and files are compared byte for byte.
//!
//! The scripts avoid what differs between any two runs: process numbers, times, the order of parallel output. The
//! wrapper is `record-exec`, which judges nothing.

#![expect(clippy::expect_used, reason = "a test ends where its preparation fails")]

use crate::bash_hook::fixture::{Fixture, Mode, Outcome, place};

const SCRIPTS: &str = include_str!("bash_faithful/scripts.txt");

/// The name and the text of each script.
pub(crate) fn scripts() -> impl Iterator<Item = (&'static str, &'static str)> {
    SCRIPTS.split("### ").skip(1).map(|part| part.split_once('\n').expect("a name and a script"))
}

/// Runs each script both ways with `run`, and lists those that differ.
fn compare(run: impl Fn(&Fixture, Mode, &str) -> Outcome) {
    let fixture = Fixture::new();
    let (mut different, mut executed) = (Vec::new(), 0);
    for (name, script) in scripts() {
        let plain = run(&fixture, Mode::Plain, script);
        assert!(fixture.execs().is_empty(), "{name}: plain Bash must not know the wrapper");
        let hooked = run(&fixture, Mode::Hooked, script);
        executed += usize::from(!fixture.execs().is_empty());
        if plain != hooked {
            different.push(format!("{name}\n{script}  plain:  {plain:?}\n  hooked: {hooked:?}\n"));
        }
    }
    assert!(different.is_empty(), "{} scripts differ:\n{}", different.len(), different.join("\n"));
    assert!(executed >= 200, "only {executed} scripts executed anything under the hook");
}

#[test]
fn a_command_behaves_as_in_plain_bash() {
    compare(|fixture, mode, script| fixture.run(mode, script));
}

#[test]
fn a_script_file_behaves_as_in_plain_bash() {
    compare(|fixture, mode, script| {
        fixture.run_with(mode, &["../script", "first", "second argument"], |command| {
            place(command, "../script", script.as_bytes(), 0o644);
        })
    });
}
