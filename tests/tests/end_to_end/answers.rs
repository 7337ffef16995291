//! What answers mean, in both eras: rules of several lengths, reasons, and answers that are none.

use end_to_end_tests::World;
use end_to_end_tests::asking::{Asking, ERAS, choose};
use serde_json::{Value, json};

const RULES: &str = "prefix_rule(pattern=[[\"printf\", \"git\"]], decision=\"prompt\")\n";

/// What may be answered about a command of four words.
const ALL: [&str; 9] =
    ["once", "session", "always", "always:3", "always:2", "session:2", "project:2", "hour:2", "deny"];

/// What was answered for good.
fn rules(world: &World) -> String {
    std::fs::read_to_string(world.answers_file()).unwrap_or_default()
}

/// The only decision about a program that is on a call's result.
fn decision(result: &Value) -> &Value {
    let decisions = result["decisions"].as_array().expect("decisions");
    let [decision] = &decisions[..] else { panic!("one decision: {result}") };
    decision
}

#[test]
fn a_shorter_rule_can_be_chosen_and_is_written_as_it_was_shown() {
    for era in ERAS {
        let world = World::with_rules(RULES);
        let mut asking = Asking::start(&world, era, &[]);
        let answered = asking.run("/usr/bin/printf '%s ' a b", &choose("always:2"));
        assert_eq!(answered.choices(), ALL);
        assert_eq!(answered.output(), "a b ");
        let schema = answered.questions[0]["requestedSchema"].to_string();
        for title in
            ["commands that start with `/usr/bin/printf '%s ' a b`", "start with `/usr/bin/printf '%s '`"]
        {
            assert!(schema.contains(title), "{schema}");
        }
        let written = rules(&world);
        let rule = written.lines().last().expect("a rule");
        assert!(
            rule.starts_with("prefix_rule(pattern=[\"/usr/bin/printf\", \"%s \"], decision=\"allow\""),
            "{rule}"
        );
        assert!(
            answered.messages()[0].contains(&format!("\n\"always:2\" adds this rule: `{rule}`")),
            "{answered:?}"
        );
        // It holds at once, and for what it says.
        for (command, asks) in
            [("/usr/bin/printf '%s ' c", 0), ("/usr/bin/printf a", 1), ("/usr/bin/printf '%s' a", 1)]
        {
            assert_eq!(asking.run(command, &choose("deny")).questions.len(), asks, "{era:?}: {command}");
        }
        assert_eq!(rules(&world), written);
    }
}

#[test]
fn always_alone_means_the_whole_command() {
    for era in ERAS {
        let world = World::with_rules(RULES);
        let answered = Asking::start(&world, era, &[]).run("/usr/bin/printf '%s ' b", &choose("always"));
        assert_eq!(answered.output(), "b ");
        assert!(rules(&world).contains("\"%s \", \"b\"], decision=\"allow\""), "{}", rules(&world));
    }
}

#[test]
fn a_rule_that_was_not_offered_is_not_written_and_nothing_runs() {
    for era in ERAS {
        let world = World::with_rules(RULES);
        let mut asking = Asking::start(&world, era, &[]);
        assert_eq!(asking.run("/usr/bin/printf '%s ' a", &choose("once")).output(), "a ", "the twin");
        let more = |field: &str, value: Value| {
            let mut content = json!({"decision": "always:2", "prefix": ["git"], "words": 1});
            content[field] = value;
            json!({"action": "accept", "content": content})
        };
        for response in [
            "always:1",
            "always:0",
            "always:3",
            "always:99",
            "always:-1",
            "always:02",
            "always:2 ",
            "always: 2",
            "Always:2",
            "always:git",
        ]
        .map(choose)
        .into_iter()
        .chain([
            more("decision", json!({"always": 2})),
            more("decision", json!(["always:2"])),
            more("decision", json!(2)),
        ]) {
            let answered = asking.run("/usr/bin/printf '%s ' a", &response);
            assert_eq!(rules(&world), "", "{era:?}: {response}");
            assert_eq!(
                decision(&answered.result)["decision"],
                "unanswered",
                "{era:?}: {response}: {answered:?}"
            );
            let output = answered.output();
            assert!(output.starts_with("Execution denied: "), "{response}: {output}");
            assert!(
                output.contains("was not among the choices") || output.contains("could not be understood"),
                "{output}"
            );
        }
        // What the form does not have is passed over.
        let answered = asking.run("/usr/bin/printf '%s ' a", &more("prefix", json!(["/usr/bin/printf"])));
        assert_eq!(answered.output(), "a ");
        assert!(
            rules(&world).contains("[\"/usr/bin/printf\", \"%s \"], decision=\"allow\""),
            "{}",
            rules(&world)
        );
    }
}

#[test]
fn too_short_rules_are_not_on_offer() {
    for era in ERAS {
        let world = World::with_rules(RULES);
        let mut asking = Asking::start(&world, era, &[]);
        for (command, rules) in [
            ("git push origin main", &["always", "always:3", "always:2"][..]),
            ("git -C /x push origin", &["always"]),
            ("git push", &["always"]),
            ("/usr/bin/printf", &["always"]),
        ] {
            let answered = asking.run(command, &choose("deny"));
            let offered: Vec<&str> =
                answered.choices().into_iter().filter(|word| word.starts_with("always")).collect();
            assert_eq!(offered, rules, "{era:?}: {command}");
        }
    }
}

#[test]
fn a_reason_given_with_a_yes_reaches_the_agent() {
    for era in ERAS {
        let world = World::with_rules(RULES);
        let mut asking = Asking::start(&world, era, &[]);
        let yes =
            |reason: Value| json!({"action": "accept", "content": {"decision": "once", "reason": reason}});
        let answered = asking.run("/usr/bin/printf a", &yes(json!(" fine\u{1b}[2K,\nbut hurry\u{202e} ")));
        assert_eq!(answered.output(), "a");
        let decision = decision(&answered.result);
        assert_eq!(decision["decision"], "approved_escalated");
        assert_eq!(decision["reason"], "fine\\u{1b}[2K,\\nbut hurry\\u{202e}");
        let answered = asking.run("/usr/bin/printf a", &yes(json!("x".repeat(100_000))));
        let reason = self::decision(&answered.result)["reason"].as_str().expect("a reason").chars().count();
        assert_eq!(reason, 1001, "it is cut");
        for none in [json!(""), json!("  "), json!(null)] {
            let answered = asking.run("/usr/bin/printf a", &yes(none));
            assert!(self::decision(&answered.result).get("reason").is_none(), "{answered:?}");
        }
        let no = json!({"action": "accept", "content": {"decision": "deny", "reason": "not now"}});
        let answered = asking.run("/usr/bin/printf b", &no);
        assert_eq!(self::decision(&answered.result)["reason"], "not now");
    }
}

/// Answers that are neither a yes nor a no, and what is said of them.
fn misshapen() -> Vec<(Value, &'static str)> {
    let content = |content: Value| json!({"action": "accept", "content": content});
    vec![
        (content(json!({"decision": ["once"]})), "its decision is [\"once\"]"),
        (content(json!({"decision": "bogus"})), "its decision is \"bogus\""),
        (content(json!({"decision": "ONCE"})), "its decision is \"ONCE\""),
        (content(json!({"decision": 1})), "its decision is 1"),
        (content(json!({"decision": true})), "its decision is true"),
        (content(json!({"decision": {}})), "its decision is {}"),
        (content(json!({"decision": "a\u{1b}[2J\u{202e}"})), "its decision is \"a\\u001b[2J\\u{202e}\""),
        (content(json!({"decision": "once", "reason": ["x"]})), "its reason is [\"x\"]"),
        (content(json!("once")), ""),
        (content(json!(["once"])), ""),
        (content(json!(7)), ""),
        (json!({"action": "allow"}), "it is not one to a question"),
        (json!({"action": ["accept"]}), "it is not one to a question"),
        (json!({"content": {"decision": "once"}}), "it is not one to a question"),
        (json!([]), ""),
        (json!("accept"), ""),
        (json!(null), ""),
    ]
}

#[test]
fn an_answer_that_cannot_be_understood_is_called_that_and_allows_nothing() {
    for era in ERAS {
        let world = World::with_rules(RULES);
        let mut asking = Asking::start(&world, era, &[]);
        let accepted = asking.run("/usr/bin/printf a", &json!({"action": "accept"}));
        assert_eq!(accepted.output(), "a", "the twin");
        for (response, says) in misshapen() {
            let answered = asking.run("/usr/bin/printf a; echo $?", &response);
            let output = answered.output();
            assert_eq!(answered.questions.len(), 1, "{response}");
            assert!(
                output.contains("the client's answer could not be understood (") && output.contains(says),
                "{era:?}: {response}: {output}"
            );
            assert!(
                !output.contains("declined") && !output.contains('\u{1b}') && output.ends_with("1\n"),
                "{output}"
            );
            assert_eq!(decision(&answered.result)["decision"], "unanswered", "{response}");
        }
    }
}

#[test]
fn when_an_answer_cannot_be_understood_the_next_channel_is_asked() {
    for era in ERAS {
        let world = World::with_rules(RULES);
        for (decides, prints) in
            [("once", "a"), ("deny", "Execution denied: User declined execution: by rote\n")]
        {
            let script =
                format!("cat > /dev/null; echo '{{\"decision\": \"{decides}\", \"reason\": \"by rote\"}}'");
            let approver = world.program("approver", &script);
            let mut asking =
                Asking::start(&world, era, &["--approval-command", approver.to_str().expect("UTF-8")]);
            for response in [choose("bogus"), choose("always:7"), json!({"action": "accept", "content": 5})] {
                let answered = asking.run("/usr/bin/printf a", &response);
                assert_eq!((answered.questions.len(), answered.output()), (1, prints), "{era:?}: {response}");
                assert_eq!(decision(&answered.result)["reason"], "by rote");
            }
            // A no is final, whatever else is wrong with it.
            let no = json!({"action": "accept", "content": {"decision": "deny", "reason": {}}});
            assert_eq!(
                asking.run("/usr/bin/printf a", &no).output(),
                "Execution denied: User declined execution\n"
            );
        }
    }
}

#[test]
fn an_approval_command_is_shown_the_rules_and_chooses_among_them() {
    let world = World::with_rules(RULES);
    let script = "cd \"$(dirname \"$0\")\"; cat > question
        case \"$(cat question)\" in *'%s'*) echo '{\"decision\": \"always:2\"}';; *) echo '{\"decision\": \"always:9\"}';; esac";
    let approver = world.program("approver", script);
    let arguments = ["--approvals", "command", "--approval-command", approver.to_str().expect("UTF-8")];
    let mut asking = Asking::start(&world, ERAS[0], &arguments);
    let answered = asking.run("/usr/bin/printf '%s ' a b", &json!({}));
    assert_eq!(answered.output(), "a b ");
    let question = std::fs::read_to_string(world.codex_home().join("question")).expect("it was asked");
    let question: Value = serde_json::from_str(&question).expect("JSON");
    assert_eq!(question["choices"], json!(ALL));
    let offered = question["rules"].as_array().expect("rules");
    assert_eq!(offered.len(), 6);
    assert_eq!(offered[0]["rule"], question["always"]);
    assert_eq!(
        (&offered[2]["decision"], &offered[2]["begins_with"]),
        (&json!("always:2"), &json!("/usr/bin/printf '%s '"))
    );
    assert_eq!(offered[2]["rule"].as_str(), rules(&world).lines().last());
    let answered = asking.run("/usr/bin/printf a", &json!({}));
    assert!(
        answered.output().contains("the command's answer \"always:9\" was not among the choices"),
        "{answered:?}"
    );
}

#[test]
fn what_looks_dangerous_is_allowed_for_good_inside_and_nowhere_else() {
    for era in ERAS {
        let world = World::with_rules("").configured("");
        let kept = world.codex_home().join("kept");
        std::fs::create_dir(&kept).expect("a folder outside");
        let mut asking = Asking::start_with(&world, era, &["--sandbox", "workspace-write"]);
        let answered = asking.run("mkdir a\nrm -rf /no/such\nrmdir a; ls", &choose("always:2"));
        let (choices, messages) = (answered.choices(), answered.messages());
        assert!(choices.contains(&"always:2"), "{choices:?}");
        assert!(messages[0].contains("\nIn the line: `rm -rf /no/such`"), "{messages:?}");
        assert_eq!(answered.output(), "", "it ran");
        let written = rules(&world);
        assert!(written.contains("-rf\"], decision=\"allow\", run=\"inside\")"), "{written}");
        let script = format!("mkdir b; rm -rf b; rm -rf {0}; ls; ls {0}", kept.display());
        let again = asking.run(&script, &choose("deny"));
        assert_eq!((again.questions.len(), &again.result["decisions"]), (0, &Value::Null), "{again:?}");
        assert!(kept.exists(), "{again:?}");
        drop(asking);
        // Where nothing keeps it inside, such a rule says nothing, and none is on offer.
        let mut asking = Asking::start(&world, era, &[]);
        let without = asking.run(&format!("rm -rf {}", kept.display()), &choose("deny"));
        assert_eq!(without.choices(), ["once", "session", "deny"]);
        assert!(kept.exists(), "{without:?}");
    }
}

#[test]
fn of_what_hands_its_rights_on_the_very_command_line_is_on_offer() {
    for era in ERAS {
        let world = World::with_rules("prefix_rule([\"make\"], decision=\"prompt\")\n");
        std::fs::write(world.workdir().join("Makefile"), "x y:\n\t@echo $@\n").expect("written");
        let mut asking = Asking::start(&world, era, &[]);
        let answered = asking.run("make x < /dev/null", &choose("always"));
        assert!(!answered.choices().iter().any(|choice| choice.starts_with("always:")), "{answered:?}");
        assert_eq!(answered.output(), "x\n");
        assert!(rules(&world).contains("overrides_prompt=True, exact=True)"), "{}", rules(&world));
        assert_eq!(asking.run("make x < /dev/null", &choose("deny")).questions.len(), 0);
        assert_eq!(asking.run("make x y < /dev/null", &choose("deny")).questions.len(), 1);
    }
}

#[test]
fn a_yes_may_be_for_the_session_the_project_or_an_hour() {
    for era in ERAS {
        let world = World::with_rules(RULES);
        let elsewhere = world.codex_home().join("elsewhere");
        std::fs::create_dir(&elsewhere).expect("a folder");
        let mut asking = Asking::start(&world, era, &[]);
        let mut asked = |command: &str, choice: &str| asking.run(command, &choose(choice)).questions.len();
        let printf = |argument: &str| format!("/usr/bin/printf '%s ' {argument} </dev/null");

        assert_eq!(asked(&printf("a b"), "session:2"), 1);
        assert_eq!((asked(&printf("c"), "deny"), rules(&world)), (0, String::new()), "nothing is written");
        // Neither does it end when a file changes.
        std::fs::write(world.rules_file(), format!("{RULES}\n")).expect("written");
        assert_eq!(asked(&printf("d"), "deny"), 0);
        assert_eq!(asked("/usr/bin/printf x </dev/null", "deny"), 1);

        let git = |command: &str| format!("git {command} </dev/null 2>/dev/null");
        assert_eq!(asked(&git("version --build-options"), "hour:2"), 1);
        assert_eq!(asked(&git("version"), "deny"), 0);
        let written = rules(&world);
        assert!(written.contains("until=\"20") && written.ends_with("Z\")\n"), "{written}");
        drop(asking);
        // What is over is over.
        let (rule, _) = written.split_once("until=").expect("it ends");
        let over = format!("{rule}until=\"2001-01-01T00:00:00Z\")\n");
        std::fs::write(world.answers_file(), over).expect("written");
        let mut asking = Asking::start(&world, era, &[]);
        let mut asked = |command: &str, choice: &str| asking.run(command, &choose(choice)).questions.len();
        assert_eq!(asked(&git("version"), "deny"), 1);
        assert_eq!(asked(&printf("c"), "project:2"), 1, "the session was another one");
        assert_eq!(asked(&printf("c d"), "deny"), 0);
        assert_eq!(asked(&format!("cd {}; {}", elsewhere.display(), printf("c")), "deny"), 1);
        let projects = world.codex_home().join("shell-tool/projects");
        let project = std::fs::read_dir(projects).expect("there").next().expect("one").expect("read").path();
        let written = std::fs::read_to_string(project.join("answers.rules")).expect("rules");
        let here = format!("cwd=[\"{}\"]", world.workdir().display());
        assert!(written.contains(&here) && written.lines().count() == 1, "{written}");
    }
}
