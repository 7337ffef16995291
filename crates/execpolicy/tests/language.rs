//! The language of rule files, as its users know it: what is accepted, what is refused, and in which words.

#![expect(clippy::panic, clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use execpolicy::{Command, DecidedBy, Decision, Options, Policy, ProgramToken};

fn policy(text: &str) -> Policy {
    Policy::from_text(Path::new("/home/me/.codex/rules/default.rules"), text)
        .unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn error(text: &str) -> String {
    Policy::from_text(Path::new("/home/me/.codex/rules/default.rules"), text).expect_err(text).to_string()
}

fn decide(policy: &Policy, line: &str) -> (Decision, DecidedBy) {
    let words: Vec<&str> = line.split(' ').collect();
    let evaluation = policy.evaluate(&Command::from_words(&words).unwrap(), &Options::default());
    (evaluation.decision(), evaluation.decided_by())
}

#[test]
fn a_prefix_matches_what_begins_with_it() {
    let policy = policy("prefix_rule(pattern = [\"git\", \"push\"], decision = \"prompt\")\n");
    assert_eq!(decide(&policy, "git push"), (Decision::Prompt, DecidedBy::Rule));
    assert_eq!(decide(&policy, "/usr/bin/git push origin"), (Decision::Prompt, DecidedBy::Rule));
    assert_eq!(decide(&policy, "git"), (Decision::Allow, DecidedBy::Nothing));
    assert_eq!(decide(&policy, "git log push"), (Decision::Allow, DecidedBy::Nothing));
    assert_eq!(decide(&policy, "git -v push"), (Decision::Prompt, DecidedBy::Rule));
}

#[test]
fn the_decision_defaults_to_allow_and_arguments_may_be_positional() {
    let policy = policy(
        "prefix_rule([\"ls\"])\nprefix_rule([\"cat\"], \"forbidden\", [\"cat x\"], [\"ls\"], \"no\")\n",
    );
    assert_eq!(decide(&policy, "ls -l"), (Decision::Allow, DecidedBy::Rule));
    assert_eq!(decide(&policy, "cat x"), (Decision::Forbidden, DecidedBy::Rule));
}

#[test]
fn alternatives_match_any_one_in_every_position() {
    let policy = policy("prefix_rule([[\"npm\", \"yarn\"], [\"i\", \"install\"], \"x\"], \"forbidden\")\n");
    for line in ["npm i x", "yarn install x y"] {
        assert_eq!(decide(&policy, line).0, Decision::Forbidden, "{line}");
    }
    for line in ["npm x", "pnpm i x", "npm i install"] {
        assert_eq!(decide(&policy, line).0, Decision::Allow, "{line}");
    }
}

#[test]
fn the_strictest_match_wins_and_all_are_reported() {
    let policy = policy(
        "prefix_rule([\"git\"], \"allow\")\nprefix_rule([\"git\", \"push\"], \"prompt\")\n\
         prefix_rule([\"git\", \"push\", \"-f\"], \"forbidden\", justification = \"rewrites history\")\n",
    );
    let words = ["git", "push", "-f"];
    let evaluation = policy.evaluate(&Command::from_words(&words).unwrap(), &Options::default());
    assert_eq!(evaluation.decision(), Decision::Forbidden);
    assert_eq!(
        evaluation.deciding_rule().and_then(|one| one.rule.justification.as_deref()),
        Some("rewrites history")
    );
    let lines: Vec<usize> = evaluation.matches().iter().map(|one| one.rule.origin.line).collect();
    assert_eq!(lines, [1, 2, 3]);
    assert_eq!(evaluation.deciding_rule().unwrap().matched_prefix, ["git", "push", "-f"]);
}

#[test]
fn a_full_path_in_a_rule_means_that_path() {
    let policy =
        policy("prefix_rule([\"/opt/bin/tool\"], \"forbidden\")\nprefix_rule([\"tool\"], \"prompt\")\n");
    assert_eq!(decide(&policy, "/opt/bin/tool").0, Decision::Forbidden);
    assert_eq!(decide(&policy, "/usr/bin/tool").0, Decision::Prompt);
    let words = ["/usr/bin/tool"];
    let options = Options { program_token: ProgramToken::FullPath, ..Options::default() };
    let evaluation = policy.evaluate(&Command::from_words(&words).unwrap(), &options);
    assert_eq!(evaluation.decided_by(), DecidedBy::Nothing);
}

#[test]
fn the_extended_dialect_works() {
    let policy = policy(
        "def deny(name):\n    prefix_rule([name, f\"{name}-sub\"], \"forbidden\")\n\
         for name in [n for n in [\"a\", \"b\"]]:\n    deny(name)\n\
         if True:\n    prefix_rule([\"c\" + \"d\"] + [\"e\"] * 2, \"prompt\")\n",
    );
    assert_eq!(decide(&policy, "a a-sub").0, Decision::Forbidden);
    assert_eq!(decide(&policy, "b b-sub").0, Decision::Forbidden);
    assert_eq!(decide(&policy, "cd e e").0, Decision::Prompt);
}

#[test]
fn errors_have_the_words_that_users_know_and_a_position() {
    for (text, expected) in [
        ("prefix_rule([])", "invalid pattern element: pattern cannot be empty"),
        ("prefix_rule([[]])", "invalid pattern element: pattern alternatives cannot be empty"),
        ("prefix_rule([[1]])", "invalid pattern element: pattern alternative must be a string (got int)"),
        (
            "prefix_rule([1])",
            "invalid pattern element: pattern element must be a string or list of strings (got int)",
        ),
        ("prefix_rule([\"a\"], \"maybe\")", "invalid decision: maybe"),
        ("prefix_rule([\"a\"], justification = \" \")", "invalid rule: justification cannot be empty"),
        ("prefix_rule([\"a\"], match = [\"'\"])", "invalid example: example string has invalid shell syntax"),
        ("prefix_rule([\"a\"], match = [\"\"])", "invalid example: example cannot be an empty string"),
        ("prefix_rule([\"a\"], match = [[]])", "invalid example: example cannot be an empty list"),
        ("prefix_rule([\"a\"], match = [[1]])", "invalid example: example tokens must be strings"),
        ("prefix_rule([\"a\"], match = [\"b\"])", "expected every example to match at least one rule"),
        ("prefix_rule([\"a\"], not_match = [\"a b\"])", "expected example to not match rule: `a b`"),
        ("prefix_rule([\"a\"], colour = \"red\")", "colour"),
        ("prefix_rule([\"a\"]", "Parse error"),
        ("load(\"x\", \"y\")", "load"),
        ("print(1)", "print"),
        ("undefined()", "undefined"),
    ] {
        let message = error(&format!("\n  \n{text}\n"));
        assert!(message.contains(expected), "{text}:\n{message}");
        assert!(
            message.starts_with("failed to parse rules file /home/me/.codex/rules/default.rules: "),
            "{message}"
        );
        assert!(message.contains("/home/me/.codex/rules/default.rules:"), "{message}");
    }
    assert!(error("\n\nprefix_rule([\"a\"], \"maybe\")\n").contains("default.rules:3:1"));
}

#[cfg(unix)]
#[test]
fn arguments_need_not_be_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let policy = policy("prefix_rule([\"a\", \"b\"], \"forbidden\")\n");
    let args = [OsStr::new("b"), OsStr::from_bytes(b"\xff\xfe")];
    let evaluation = policy.evaluate(&Command::new("/x/a", &args), &Options::default());
    assert_eq!(evaluation.decision(), Decision::Forbidden);
    let args = [OsStr::from_bytes(b"b\xff")];
    let evaluation = policy.evaluate(&Command::new("/x/a", &args), &Options::default());
    assert_eq!(evaluation.decided_by(), DecidedBy::Nothing);
}

#[test]
fn a_patch_rule_judges_files_and_what_is_below_folders() {
    let policy = policy(
        "patch_rule([\"migrations\", \"**/*.lock\"], \"prompt\", justification = \"ask me\")\n\
         patch_rule(paths = (\"/ws/migrations/old/**\", \"./secret.txt\"), decision = \"forbidden\")\n\
         patch_rule([\".vscode\"], \"allow\")\n",
    );
    let roots = ["/ws".into(), "/other".into()];
    for (path, decision, line) in [
        ("/ws/migrations/1.sql", Some(Decision::Prompt), Some(1)),
        ("/ws/migrations", Some(Decision::Prompt), Some(1)),
        ("/other/migrations/1.sql", Some(Decision::Prompt), Some(1)),
        ("/third/migrations/1.sql", None, None),
        ("/ws/sub/Cargo.lock", Some(Decision::Prompt), Some(1)),
        ("/ws/Cargo.lock", Some(Decision::Prompt), Some(1)),
        ("/ws/migrations/old/0.sql", Some(Decision::Forbidden), Some(2)),
        ("/ws/secret.txt", Some(Decision::Forbidden), Some(2)),
        ("/ws/a/secret.txt", None, None),
        ("/ws/.vscode/tasks.json", Some(Decision::Allow), Some(3)),
        ("/ws/src/main.rs", None, None),
    ] {
        let verdict = policy.patch(Path::new(path), &roots);
        let rule = verdict.rule.map(|rule| rule.origin.line);
        assert_eq!((verdict.decision, rule), (decision, line), "{path}");
    }
    assert!(error("patch_rule([], \"prompt\")").contains("paths cannot be an empty list"));
    assert!(error("patch_rule([\"a/../b\"], \"prompt\")").contains("without `..`"));
    assert!(error("patch_rule([\"a\"], \"deny\")").contains("deny"));
    let mut doubtful = policy;
    doubtful.mark_incomplete();
    let verdict = doubtful.patch(Path::new("/ws/src/main.rs"), &roots);
    assert_eq!(verdict.decision, Some(Decision::Prompt));
}
