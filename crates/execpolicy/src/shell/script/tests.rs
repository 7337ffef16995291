//! Tests of what is found in scripts, and of what leaves a doubt.

use super::{Doubt, read};

fn listed(script: &str) -> (Vec<String>, Option<Doubt>) {
    let script = read(script.as_bytes());
    let typed = |word: &super::Word| {
        let text = String::from_utf8_lossy(&word.bytes).into_owned();
        if word.certain { text } else { format!("<{text}>") }
    };
    let commands = script
        .commands
        .iter()
        .map(|command| command.words.iter().map(typed).collect::<Vec<_>>().join(" "))
        .collect();
    (commands, script.doubt)
}

#[test]
fn plain_commands_are_listed() {
    for (script, commands) in [
        ("ls", vec!["ls"]),
        (
            "git status && ls -l; pwd || true | cat\nid",
            vec!["git status", "ls -l", "pwd", "true", "cat", "id"],
        ),
        ("echo 'a b' \"c d\" e\\ f -g\"*.py\"", vec!["echo a b c d e f -g*.py"]),
        ("(cd x && ls)", vec!["cd x", "ls"]),
        ("for i in a b; do rm $i; done", vec!["rm <$i>"]),
        ("if true; then a; elif b; then c; else d; fi", vec!["true", "a", "b", "c", "d"]),
        ("while a; do b; done; case x in y) c;; esac", vec!["a", "b", "c"]),
        ("{ a; b; } 2>&1 >/dev/null", vec!["a", "b"]),
        ("a < file", vec!["a"]),
        ("! a", vec!["a"]),
        ("echo $(rm x) `rm y` <(rm z)", vec!["echo <$(rm x)> <`rm y`> <<(rm z)>", "rm x", "rm y", "rm z"]),
        ("echo \"$(rm x)\"", vec!["echo <$(rm x)>", "rm x"]),
        ("a & b", vec!["a", "b"]),
        ("LANG=C a", vec!["a"]),
        ("r\"\"m 'x'y $'\\x7a\\n\\101'", vec!["rm xy z\nA"]),
        ("a \\\n  b # comment", vec!["a b"]),
        ("ls *.c ~/x {a,b}", vec!["ls <*.c> <~/x> <{a,b}>"]),
        ("[ -f x ] && [[ a = b ]] && test 1", vec!["test 1"]),
        ("cat <<'E'\nrm x\nE\n", vec!["cat"]),
        ("x=1; echo $x", vec!["echo <$x>"]),
    ] {
        let (found, doubt) = listed(script);
        assert_eq!(found, commands, "{script}");
        assert_eq!(doubt, None, "{script}");
    }
}

#[test]
fn what_is_more_than_its_commands_leaves_a_doubt() {
    for (script, commands, doubt) in [
        ("a > file", vec!["a"], Doubt::WritesFile),
        ("a >> $x", vec!["a"], Doubt::WritesFile),
        ("PATH=. a", vec!["a"], Doubt::SetsVariables),
        ("PATH=.; a", vec!["a"], Doubt::SetsVariables),
        ("for PATH in x; do a; done", vec!["a"], Doubt::SetsVariables),
        ("a ${PATH:=.}", vec!["a <${PATH:=.}>"], Doubt::SetsVariables),
        ("a ${x@P}", vec!["a <${x@P}>"], Doubt::Construct),
        ("f() { rm x; }; f", vec!["rm x", "f"], Doubt::DefinesNames),
        ("export PATH=x; a", vec!["a"], Doubt::DefinesNames),
        ("$CMD rm x", vec!["rm x"], Doubt::DynamicProgram),
        ("a; )", vec!["a"], Doubt::Syntax),
        ("LANG=C ``b -f", vec!["-f"], Doubt::Syntax),
        ("if a; then rm x", vec!["a", "rm x"], Doubt::Syntax),
        ("a\r", vec!["a\r"], Doubt::StrangeCharacters),
        ("a\u{202e} b", vec!["a\u{202e} b"], Doubt::StrangeCharacters),
    ] {
        let (found, found_doubt) = listed(script);
        assert_eq!(found_doubt, Some(doubt), "{script}");
        if !matches!(doubt, Doubt::StrangeCharacters | Doubt::Syntax) {
            assert_eq!(found, commands, "{script}");
        }
    }
}

#[test]
fn what_the_grammar_reads_over_a_line_end_is_found_all_the_same() {
    for (script, hidden) in [
        ("'c d'\t\n\\rm -f x", "rm -f x"),
        ("'c d'\t\n\\r${x:-m} -f x", "-f x"),
        ("a\n\\r'm' -f x", "rm -f x"),
        ("a >x\n\\rm -f y", "rm -f y"),
        ("x=a\n\\rm -f y", "rm -f y"),
        ("a <<<x\n\\rm\n\\rm -f", "rm -f"),
        ("export a\n\\rm -f", "rm -f"),
        ("for i in a\n\\rm; do b; done", "rm"),
    ] {
        let (found, doubt) = listed(script);
        assert!(found.iter().any(|command| command == hidden), "{script:?}: {found:?}");
        assert!(doubt.is_some(), "{script:?}");
    }
    // After these the shell itself reads on.
    for script in ["a &&\n\\rm -f", "a |\n\\rm -f", "a;\n\\rm -f"] {
        assert_eq!(listed(script), (vec!["a".to_owned(), "rm -f".to_owned()], None), "{script:?}");
    }
}

#[test]
fn puzzles_end() {
    for script in [
        "(".repeat(100_000),
        "$(".repeat(50_000),
        "if a; then ".repeat(10_000),
        "a;".repeat(100_000),
        "'".repeat(99_999),
        "a\n\\b$x ".repeat(1_000),
    ] {
        assert!(read(script.as_bytes()).doubt.is_some());
    }
    // Each command's word holds all of those inside it.
    let nested = format!("{}a{}", "a \"$(".repeat(5_000), ")\"".repeat(5_000));
    let script = read(nested.as_bytes());
    let listed: usize =
        script.commands.iter().flat_map(|command| &command.words).map(|word| word.bytes.len()).sum();
    assert!(script.doubt.is_some() && listed < 4 * nested.len(), "{listed} bytes of words");
}

#[test]
fn here_documents_reach_their_command() {
    let script = read(b"bash <<'E'\nrm x\nE\nsh <<< 'rm y'\n");
    let inputs: Vec<_> = script.commands.iter().map(|command| command.input.clone()).collect();
    assert_eq!(inputs, [Some(b"rm x\n".to_vec()), Some(b"rm y".to_vec())]);
}
