//! `exec-server policy …`: what is printed, and which exit codes come of it.

use std::fs;

use end_to_end_tests::World;
use end_to_end_tests::lines::run_subcommand;
use serde_json::{Value, json};

const RULES: &str = r#"
prefix_rule(["git", ["status", "log"]], match = ["git status -s"], not_match = ["git push"])
prefix_rule(["git", "push"], "prompt", justification = "others see it")
prefix_rule(["ls"])
host_executable("ls", ["/usr/bin/ls", "/bin/ls"])
"#;

fn json_of(world: &World, arguments: &[&str]) -> Value {
    let (code, out, error) = run_subcommand(world, arguments);
    // Remarks about rules stand apart.
    assert!(
        code == Some(0) && error.lines().all(|line| line.contains("warning: ")),
        "{arguments:?}: {out}{error}"
    );
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn check_prints_the_json_that_scripts_know() {
    let world = World::with_rules(RULES);
    let prompt = json!({"matchedRules": [{"prefixRuleMatch":
        {"matchedPrefix": ["git", "push"], "decision": "prompt", "justification": "others see it"}}], "decision": "prompt"});
    for command in ["policy", "execpolicy"] {
        assert_eq!(json_of(&world, &[command, "check", "--", "git", "push", "-f"]), prompt);
        assert_eq!(json_of(&world, &[command, "check", "--pretty", "git", "push", "-f"]), prompt);
    }
    let nothing = json!({"matchedRules": []});
    for words in [&["git", "fetch"][..], &["rm", "-rf", "x"], &["/usr/bin/ls"]] {
        assert_eq!(json_of(&world, &[&["policy", "check", "--"], words].concat()), nothing);
    }
    assert_eq!(
        json_of(&world, &["policy", "check", "--resolve-host-executables", "/usr/bin/ls", "-l"]),
        json!({"matchedRules": [{"prefixRuleMatch":
            {"matchedPrefix": ["ls"], "decision": "allow", "resolvedProgram": "/usr/bin/ls"}}], "decision": "allow"})
    );
    assert_eq!(json_of(&world, &["policy", "check", "--resolve-host-executables", "/work/ls"]), nothing);
}

#[test]
fn rules_that_are_named_are_the_only_ones_and_add_up() {
    let world = World::with_rules(RULES);
    let (one, two) = (world.workdir().join("one.rules"), world.workdir().join("more"));
    fs::write(&one, "prefix_rule([\"a\"])\n").expect("written");
    fs::create_dir(&two).expect("made");
    fs::write(two.join("two.rules"), "prefix_rule([\"a\"], \"forbidden\")\n").expect("written");
    let (one, two) = (one.to_str().expect("UTF-8"), two.to_str().expect("UTF-8"));
    let check = |rules: &[&str], word: &str| {
        json_of(&world, &[&["policy", "check"], rules, &["--", word]].concat())["decision"].clone()
    };
    assert_eq!(check(&["--rules", one], "a"), json!("allow"));
    assert_eq!(check(&["-r", one, "-r", two], "a"), json!("forbidden"));
    assert_eq!(check(&["-r", one], "ls"), Value::Null);
    let (code, out, error) = run_subcommand(&world, &["policy", "check", "-r", "missing.rules", "--", "a"]);
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(error.contains("missing.rules"), "{error}");
    assert_eq!(run_subcommand(&world, &["policy", "check"]).0, Some(2));
}

#[test]
fn the_projects_rules_count_only_when_they_are_trusted() {
    let world = World::with_rules("");
    let rules = world.workdir().join(".codex/rules");
    fs::create_dir_all(&rules).expect("made");
    fs::write(rules.join("p.rules"), "prefix_rule([\"a\"])\n").expect("written");
    assert_eq!(json_of(&world, &["policy", "check", "a"])["decision"], Value::Null);
    assert_eq!(json_of(&world, &["policy", "check", "--trust-project-rules", "a"])["decision"], "allow");
    let config = |trust: &str| {
        let text = format!("[projects.{:?}]\ntrust_level = \"{trust}\"\n", world.workdir());
        fs::write(world.codex_home().join("config.toml"), text).expect("written");
    };
    config("untrusted");
    assert_eq!(json_of(&world, &["policy", "check", "a"])["decision"], Value::Null);
    config("trusted");
    assert_eq!(json_of(&world, &["policy", "check", "a"])["decision"], "allow");
}

#[test]
fn explain_names_rule_line_remedy_and_consequence() {
    let world = World::with_rules(RULES);
    let place = format!("{}:3", world.rules_file().display());
    let (code, out, _) = run_subcommand(&world, &["policy", "explain", "--", "git", "push"]);
    assert_eq!(code, Some(0));
    for words in ["decision: prompt", &place, "others see it", "to change it: ", "a yes runs it confined"] {
        assert!(out.contains(words), "{words} in {out}");
    }
    let (_, out, _) = run_subcommand(&world, &["policy", "explain", "--", "sh", "-c", "ls; git push"]);
    assert!(out.contains(&place) && out.contains("a yes runs it inside the sandbox"), "{out}");
    let (_, out, _) = run_subcommand(&world, &["policy", "explain", "--", "rm", "-f", "x"]);
    assert!(out.contains("looks dangerous"), "{out}");
    let (_, out, _) =
        run_subcommand(&world, &["policy", "explain", "--heuristics", "none", "--", "rm", "-f", "x"]);
    assert!(
        out.contains("decision: none (runs inside the sandbox)")
            && out.contains("it runs inside the sandbox, unasked"),
        "{out}"
    );
    let (_, out, _) =
        run_subcommand(&world, &["policy", "explain", "--heuristics", "git", "--", "git", "reset"]);
    assert!(out.contains("can lose commits"), "{out}");
}

#[test]
fn test_lists_the_examples_and_says_which_is_not_as_it_should_be() {
    let world = World::with_rules(RULES);
    let (code, out, _) = run_subcommand(&world, &["policy", "test"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("matches `git status -s`") && out.contains("does not match `git push`"), "{out}");
    fs::write(world.rules_file(), "prefix_rule([\"ls\"], match = [\"la\"])\n").expect("written");
    let (code, _, error) = run_subcommand(&world, &["policy", "test"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("unmatched: `la`") && error.contains("default.rules:1:1"), "{error}");
}

#[test]
fn legacy_policies_have_the_results_and_exit_codes_of_their_own_program() {
    let world = World::with_rules("");
    let file = world.workdir().join("x.policy");
    fs::write(&file, "forbid_program_regex(\"^rm$\", \"not here\")\n").expect("written");
    let policy = ["--policy", file.to_str().expect("UTF-8")];
    for (arguments, result, code) in [
        (&["check", "ls", "-l"][..], "safe", 0),
        (&["check", "cp", "a", "b"], "match", 12),
        (&["check", "unknown", "-x"], "unverified", 13),
        (&[policy[0], policy[1], "check", "rm", "-rf", "/"], "forbidden", 14),
        (&["check-json", "{\"program\":\"ls\",\"args\":[\"-l\"]}"], "safe", 0),
    ] {
        let strict = [&["policy", "check-legacy", "--require-safe"], arguments].concat();
        let (found, out, _) = run_subcommand(&world, &strict);
        assert_eq!(found, Some(code), "{arguments:?}: {out}");
        let json: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(json["result"], result);
        assert_eq!(json_of(&world, &[&["policy", "check-legacy"], arguments].concat()), json);
    }
    let (code, _, error) = run_subcommand(&world, &["policy", "check-legacy", "check-json", "[]"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("not as expected"), "{error}");
}

#[test]
fn explain_goes_by_what_has_started_the_program() {
    let rules = "prefix_rule([\"git\", \"push\"], \"forbidden\", by = [\"make\"], justification = \"not from make\")\n";
    let world = World::with_rules(rules);
    let explain = |arguments: &[&str]| run_subcommand(&world, &[&["policy", "explain"], arguments].concat());
    let (_, by, _) = explain(&["--by", "make release", "--", "git", "push"]);
    assert!(by.contains("decision: forbidden") && by.contains("in the server: it is refused"), "{by}");
    let (_, shells, _) = explain(&["--", "git", "push"]);
    assert!(shells.contains("decision: none") && shells.contains("does not fit: prefix_rule"), "{shells}");
    // What looks dangerous is asked about where the command's own shell does it.
    let (_, by, _) = explain(&["--by", "make clean", "--", "rm", "-rf", "/usr/x"]);
    assert!(by.contains("in the server: it runs inside the sandbox, unasked"), "{by}");
    let (_, shells, _) = explain(&["--", "rm", "-rf", "/usr/x"]);
    assert!(shells.contains("in the server: it is asked about"), "{shells}");
    assert!(shells.contains("run=\"inside\")") && !shells.contains("\"forbidden\")"), "{shells}");
    let (code, _, error) = explain(&["--by", "'", "--", "git", "push"]);
    assert!(code == Some(1) && error.contains("is no command line"), "{code:?} {error}");
}

#[test]
fn rules_that_hand_on_everything_are_named_with_a_narrower_one() {
    let world =
        World::with_rules("prefix_rule([\"make\"])\nprefix_rule([\"tar\"], exact = True)\n").configured("");
    for arguments in [&["policy", "check", "--", "ls"][..], &["policy", "test"], &["doctor"]] {
        let (_, out, error) = run_subcommand(&world, arguments);
        let said = format!("{out}{error}").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            said.contains("default.rules:1: \"make\" runs what the workspace says"),
            "{arguments:?}: {said}"
        );
        // What doctor says is shown to others.
        let has_rule = said.contains("prefix_rule([\"make\"], run = \"inside\")");
        assert_eq!(has_rule, arguments != ["doctor"], "{arguments:?}: {said}");
        assert!(!said.contains("\"tar\""), "{arguments:?}: {said}");
    }
}
