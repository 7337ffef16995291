//! Scripts as this crate reads them, compared with what Bash does with them: random texts, a real Bash.

#![cfg(unix)]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use execpolicy::shell::{Script, read};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// A Bash to compare with; a machine without one proves nothing, and may only do so where tests may skip.
fn has_bash() -> bool {
    let found = Path::new("/bin/bash").exists();
    assert!(found || std::env::var("TESTS_MUST_SANDBOX").as_deref() != Ok("1"), "no /bin/bash here");
    found
}

/// The same texts in every run, or as many new ones as the environment asks for.
fn texts(usual: usize) -> (TestRunner, usize) {
    match std::env::var("AS_BASH_READS_CASES").ok().and_then(|cases| cases.parse().ok()) {
        Some(cases) => (TestRunner::default(), cases),
        None => (TestRunner::deterministic(), usual),
    }
}

/// Runs a script without any program in reach, in an empty folder.
fn bash(script: &str, folder: &Path, environment: &[(&str, &str)]) -> Output {
    Command::new("/bin/bash")
        .args(["--norc", "--noprofile", "-c", script])
        .env_clear()
        .env("PATH", "/nonexistent")
        .envs(environment.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("bash runs")
}

/// Wherever this crate is certain of a word, Bash passes exactly that word.
#[test]
fn certain_words_are_those_that_bash_passes() {
    if !has_bash() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (mut runner, cases) = texts(2000);
    let strategy = "[ab'\"\\\\$ {},*?~#\n\t!=\\[\\]@%^:.+-]{0,14}";
    let mut compared = 0;
    for _ in 0..cases {
        let text = strategy.new_tree(&mut runner).expect("a text").current();
        let line = format!("printf '%s\\0' {text}");
        let script = read(line.as_bytes());
        let [command] = script.commands.as_slice() else { continue };
        if script.doubt.is_some() || command.words.iter().any(|word| !word.certain) {
            continue;
        }
        let output = bash(&line, folder.path(), &[]);
        // What Bash refuses as a whole does no harm.
        if output.status.code() == Some(2) {
            continue;
        }
        let mut passed: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
        passed.pop();
        let words: Vec<&[u8]> = command.words.iter().skip(2).map(|word| word.bytes.as_slice()).collect();
        // Without arguments printf prints its format once.
        let words = if words.is_empty() { vec![&b""[..]] } else { words };
        assert!(output.status.success(), "{line:?} is understood, but fails");
        assert_eq!(passed, words, "{line:?}");
        compared += 1;
    }
    assert!(compared > 200, "only {compared} texts were certain");
}

/// What Bash runs of a script that is understood is on the list of its commands.
#[test]
fn what_bash_runs_is_listed() {
    if !has_bash() {
        return;
    }
    const PIECES: &[&str] = &[
        "a",
        "b",
        "'c d'",
        "\"e\"",
        "a",
        "b",
        " ",
        " ",
        " ",
        "; ",
        " && ",
        " || ",
        " | ",
        "\n",
        "( ",
        " )",
        "{ ",
        "; }",
        "! ",
        "if ",
        "; then ",
        "; else ",
        "; fi",
        "while ",
        "; do ",
        "; done",
        "for i in a b",
        "case a in ",
        "a) ",
        ";; ",
        " esac",
        "$(",
        "`",
        "\"",
        "'",
        "\\",
        "\\\n",
        "#",
        " # x\n",
        " <<E\n",
        "\nE\n",
        " 2>&1 ",
        " </dev/null ",
        " >/dev/null ",
        "$i",
        "${i}",
        "${i:-a}",
        "$((1+1))",
        "[[ ",
        " ]]",
        "[ ",
        " ]",
        "=",
        "x=a ",
        "LANG=C ",
        "<(",
        "&",
        "~",
        "{a,b}",
        "$'a'",
        "$\"a\"",
        "eval ",
        "time ",
        "-",
        "\t",
        "coproc ",
        "function ",
        "() ",
        "!",
        "*",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let notes_folder = tempfile::tempdir().expect("a folder");
    // Called for every command that is not found, which is every command: note the words, and fail or succeed
    // by their number.
    let note = "() { printf '%s\\0' \"$@\" $'\\1' >> \"$NOTES\"; return $(( $# % 2 )); }";
    let strategy = prop::collection::vec(prop::sample::select(PIECES), 1..12);
    let (mut runner, cases) = texts(5000);
    let (mut understood, mut run) = (0, 0);
    for _ in 0..cases {
        let text: String = strategy.new_tree(&mut runner).expect("a text").current().concat();
        // Endless loops prove nothing.
        if text.contains("while") {
            continue;
        }
        let script = read(text.as_bytes());
        if script.doubt.is_some() {
            continue;
        }
        understood += 1;
        // What a script leaves in the background writes to its own file.
        let notes = notes_folder.path().join(understood.to_string());
        let environment =
            [("NOTES", notes.to_str().expect("a path")), ("BASH_FUNC_command_not_found_handle%%", note)];
        let output = bash(&text, folder.path(), &environment);
        let notes = std::fs::read(&notes).unwrap_or_default();
        for words in noted(&notes) {
            run += 1;
            if !is_listed(&script, &words) {
                let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
                let listed: Vec<_> = script.commands.iter().map(|command| &command.words).collect();
                panic!(
                    "{text:?}: Bash ran {words:?}, listed are {listed:?}\n{}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
        }
    }
    assert!(understood > 300 && run > 200, "only {understood} texts were understood, and {run} commands run");
}

/// The commands in the notes: words that each end in NUL, then one that marks the end.
fn noted(notes: &[u8]) -> Vec<Vec<&[u8]>> {
    let words: Vec<&[u8]> = notes.split(|byte| *byte == 0).collect();
    words.split(|word| *word == [1]).map(<[&[u8]]>::to_vec).filter(|words| *words != [b""]).collect()
}

/// Whether a listed command has these words, up to the first that is not certain.
fn is_listed(script: &Script, words: &[&[u8]]) -> bool {
    let fits = |listed: &[execpolicy::shell::Word]| {
        let certain = listed.iter().take_while(|word| word.certain).count();
        let same = listed.iter().zip(words).take(certain).all(|(listed, word)| listed.bytes == *word);
        same && words.len() >= certain && (certain < listed.len() || words.len() == certain)
    };
    // Behind `eval`, `time` and `coproc` stands a command that is listed as their argument.
    let wrapped = |listed: &[execpolicy::shell::Word]| {
        let wrapper =
            |word: &&execpolicy::shell::Word| matches!(word.bytes.as_slice(), b"eval" | b"time" | b"coproc");
        let skipped = listed.iter().take_while(wrapper).count();
        skipped > 0
    };
    script.commands.iter().any(|command| fits(&command.words) || wrapped(&command.words))
}
