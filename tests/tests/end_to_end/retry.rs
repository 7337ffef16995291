//! What a program fails at because of the sandbox is asked about once, where its profile would give it.

use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::asking::{Asking, ERAS, Era, choose};
use end_to_end_tests::lines::Lines;
use serde_json::{Value, json};

const SANDBOX: [&str; 2] = ["--sandbox", "workspace-write"];

const PROFILE: &str = "profile(\"env\", hosts=[\"packages.example.org\"], write=[\"~/kept\"])\n";

const AGAIN: &str = "Give it that and run it again? (It has already run once.)";

fn world(more: &str) -> World {
    configured(more, "")
}

fn configured(more: &str, configuration: &str) -> World {
    let world = World::with_rules(&format!("{PROFILE}{more}")).configured(configuration);
    for folder in ["kept", "other"] {
        std::fs::create_dir(world.home().join(folder)).expect("a folder");
    }
    world
}

/// A server, if this machine has what refuses and tells of it.
fn asking(world: &World, era: Era) -> Option<Asking> {
    let mut asking = Asking::start_with(world, era, &SANDBOX);
    let level = asking.run("true", &choose("deny")).result["sandbox"].to_string();
    let holds = ["namespaces", "+door"].iter().all(|part| level.contains(part));
    assert!(holds || std::env::var_os("TESTS_MUST_SANDBOX").is_none(), "{level}");
    holds.then_some(asking)
}

/// Writes in the profile's place, and says in the workspace how often it has run.
const WRITES: &str = "env sh -c 'echo x >> runs; echo kept > ~/kept/file'";

fn runs(world: &World) -> usize {
    std::fs::read_to_string(world.workdir().join("runs")).unwrap_or_default().lines().count()
}

#[test]
fn a_yes_runs_it_again_with_what_was_refused() {
    for era in ERAS {
        for rules in ["", "prefix_rule([\"env\"], run=\"inside\")\n"] {
            let world = world(rules);
            let Some(mut asking) = asking(&world, era) else { return };
            let answered = asking.run(&format!("{WRITES} && echo then; echo code $?"), &choose("once"));
            let [message] = &answered.messages()[..] else { panic!("one question: {answered:?}") };
            assert!(message.contains(&format!(" was refused writing ~/kept. {AGAIN}\n")), "{message}");
            assert!(
                message.starts_with("`env sh -c ")
                    && message.contains("inside the sandbox, with writing ~/kept."),
                "{message}"
            );
            assert!(!answered.choices().contains(&"inside"), "{answered:?}");
            assert!(answered.output().ends_with("then\ncode 0\n"), "what follows goes on: {answered:?}");
            assert_eq!((runs(&world), world.home().join("kept/file").exists()), (2, true));
            let made = &answered.result["decisions"][0];
            assert_eq!(made["decision"], "approved_escalated", "{made}");
            assert_eq!(made["rights"], json!({"run": "inside", "write": [world.home().join("kept")]}));
        }
    }
}

#[test]
fn a_no_leaves_it_at_its_failure_and_it_is_not_asked_again() {
    for era in ERAS {
        let world = world("");
        let Some(mut asking) = asking(&world, era) else { return };
        let twice = format!("for i in 1 2; do {WRITES} || echo failed; done");
        let answered = asking.run(&twice, &choose("deny"));
        assert_eq!((answered.questions.len(), runs(&world)), (1, 2), "{answered:?}");
        assert_eq!(answered.output().matches("failed\n").count(), 2, "{answered:?}");
        assert!(!world.home().join("kept/file").exists());
        let made = &answered.result["decisions"][0];
        let why = made["why_not_escalated"].as_str().unwrap_or_default();
        assert!(made["decision"] == "ran_inside" && why.contains("a person declined"), "{made}");
    }
}

/// Each connection is asked about by itself, so a program is not run again for one.
#[test]
fn a_connection_is_no_reason_to_run_again_where_hosts_are_reached_by_name() {
    let world = world("");
    let Some(mut asking) = asking(&world, Era::Requests) else { return };
    let connect = "exec 3<>/dev/tcp/203.0.113.1/9";
    let answered = asking.run(
        &format!("env bash -c 'echo x > ~/kept/a; {connect}'; env bash -c '{connect}'"),
        &choose("deny"),
    );
    let [question] = &answered.messages()[..] else { panic!("one question: {answered:?}") };
    assert!(question.contains("was refused writing ~/kept. Give it that"), "{question}");
}

#[test]
fn what_the_kernel_did_not_refuse_raises_no_question() {
    for era in ERAS {
        let world = world("");
        let Some(mut asking) = asking(&world, era) else { return };
        let home = world.home().display();
        assert_eq!(asking.run(WRITES, &choose("deny")).questions.len(), 1, "the twin");
        for command in [
            // It only says so.
            &format!(
                "env sh -c 'echo \"cannot create {home}/kept/file: Read-only file system\" >&2; exit 1'"
            ),
            "env sh -c 'echo getaddrinfo EAI_AGAIN packages.example.org >&2; exit 1'",
            // The profile does not give it.
            "env sh -c 'echo x > ~/other/file'",
            "env sh -c 'echo x > ~/keptaside'",
            // It was refused, and did not fail on it.
            "env sh -c 'echo x > ~/kept/file; true'",
            "env sh -c 'bash -c \"exec 3<>/dev/tcp/203.0.113.1/9\"; exit 0'",
            // It may write there, and a server of the command's own is no network.
            "env sh -c 'echo x > here; exit 1'",
            "env bash -c 'exec 3<>/dev/tcp/127.0.0.1/9'",
            // No profile knows it, or nothing could be read twice.
            "sh -c 'echo x > ~/kept/file'",
            "echo x | env sh -c 'cat > ~/kept/file'",
            // Somebody has ended it.
            "env sh -c 'echo x > ~/kept/file; kill -TERM $$'",
        ] {
            let answered = asking.run(command, &choose("once"));
            assert_eq!(answered.questions.len(), 0, "{era:?}: {command}: {answered:?}");
            assert!(!world.home().join("kept/file").exists(), "{command}");
        }
        // Below itself it is one program.
        let answered = asking.run("env env sh -c 'env sh -c \"echo x > ~/kept/file\"'", &choose("deny"));
        assert_eq!(answered.questions.len(), 1, "{answered:?}");
    }
}

#[test]
fn a_program_that_runs_again_gets_no_more_than_was_refused() {
    let world = world("");
    let Some(mut asking) = asking(&world, Era::Requests) else { return };
    let work = "env bash -c 'echo x > ~/kept/file; r=$?; echo x > ~/other/file; exec 3<>/dev/tcp/127.0.0.1/9 2>/dev/null; grep -c : /proc/net/dev; exit $r'";
    let answered = asking.run(work, &choose("once"));
    assert!(world.home().join("kept/file").exists() && !world.home().join("other/file").exists());
    // It was let connect nowhere else: it has the command's network, a loopback and the way to hosts by name.
    assert!(answered.output().ends_with("2\n"), "{answered:?}");
    let forbidden = "prefix_rule([\"env\"], \"forbidden\", justification=\"no\")\n";
    let ruled = self::world(forbidden);
    let Some(mut asking) = self::asking(&ruled, Era::Requests) else { return };
    assert_eq!(asking.run(WRITES, &choose("once")).questions.len(), 0);
    assert_eq!(runs(&ruled), 0);
}

#[test]
fn it_is_off_where_the_user_says_so_and_only_told_where_nobody_can_be_asked() {
    let never = configured("", "[shell_tool]\nretry = \"never\"\n");
    let Some(mut asking) = asking(&never, Era::Requests) else { return };
    let answered = asking.run(WRITES, &choose("once"));
    assert_eq!((answered.questions.len(), runs(&never)), (0, 1), "{answered:?}");
    let alone = world("");
    let mut server = Lines::start_with(&alone, &SANDBOX);
    server.initialize();
    let arguments = json!({"command": WRITES, "workdir": alone.workdir(), "login": false});
    let answer = server.request("tools/call", json!({"name": "shell", "arguments": arguments}));
    let result = &answer["result"]["structuredContent"];
    assert_eq!((result["exit_code"].as_i64(), runs(&alone)), (Some(2), 1), "{result}");
    let told = result["decisions"][0]["why_not_escalated"].as_str().unwrap_or_default();
    assert!(told.contains("it was refused writing ~/kept, and was not run again with that"), "{result}");
    assert!(told.contains("by a rule for env in "), "{result}");
    let wrong = World::with_rules("").configured("[shell_tool]\nretry = \"perhaps\"\n");
    let (code, said) = end_to_end_tests::lines::run_to_end(&wrong, &[]);
    assert!(code != Some(0) && said.contains("perhaps"), "{said}");
}

/// Who makes a repository configures it in the same call, asked or not.
#[test]
fn what_a_call_has_made_is_its_own_and_not_asked_about() {
    let world = World::with_rules("").configured("");
    let Some(mut asking) = asking(&world, Era::Requests) else { return };
    let made = "git init -q && git config user.email a@b && git config user.email";
    let answered = asking.run(made, &choose("deny"));
    assert_eq!((answered.questions.len(), answered.output()), (0, "a@b\n"), "{answered:?}");
    let later = asking.run("git config user.email b@c", &choose("deny"));
    assert_eq!((later.questions.len(), later.result["exit_code"].as_i64()), (1, Some(4)), "{later:?}");
}

#[test]
fn the_clock_stands_still_while_it_is_asked() {
    let world = world("");
    let Some(mut asking) = asking(&world, Era::Requests) else { return };
    let slowly = |_: &Value| {
        std::thread::sleep(Duration::from_secs(4));
        choose("once")
    };
    let answered = asking.run_with_answering(WRITES, &json!({"timeout_ms": 3500}), slowly);
    assert_eq!((answered.result["timed_out"].as_bool(), runs(&world)), (Some(false), 2), "{answered:?}");
    assert!(answered.result["approval_wait"].is_object() || answered.result["approval_wait"].is_string());
}

#[test]
fn an_answer_for_good_is_a_rule_that_gives_it_at_once() {
    let world = world("");
    let Some(mut asking) = asking(&world, Era::Requests) else { return };
    let answered = asking.run(WRITES, &choose("always"));
    let rule = std::fs::read_to_string(world.answers_file()).expect("a rule");
    assert!(rule.contains("run=\"inside\", grants={\"write\": [\"~/kept\"]}"), "{rule}");
    assert!(answered.messages()[0].contains(rule.lines().last().expect("a line")), "{answered:?}");
    assert_eq!(runs(&world), 2);
    assert_eq!((asking.run(WRITES, &choose("deny")).questions.len(), runs(&world)), (0, 3));
}

#[test]
fn another_channel_asks_the_same() {
    let world = world("");
    if asking(&world, Era::Requests).is_none() {
        return;
    }
    let approver =
        world.program("approver", "cat > \"$(dirname \"$0\")/asked\"; echo '{\"decision\": \"once\"}'");
    let approver = approver.to_str().expect("UTF-8");
    let arguments = [&SANDBOX[..], &["--approvals", "command", "--approval-command", approver]].concat();
    let mut server = Lines::start_with(&world, &arguments);
    server.initialize();
    let arguments = json!({"command": WRITES, "workdir": world.workdir(), "login": false});
    let answer = server.request("tools/call", json!({"name": "shell", "arguments": arguments}));
    let asked = std::fs::read_to_string(world.codex_home().join("asked")).unwrap_or_default();
    assert!(asked.contains(AGAIN), "{asked}: {answer}");
    assert_eq!((answer["result"]["structuredContent"]["exit_code"].as_i64(), runs(&world)), (Some(0), 2));
}

#[test]
fn git_may_change_its_configuration_after_a_yes() {
    let world = world("");
    let Some(mut asking) = asking(&world, Era::Requests) else { return };
    let made = std::process::Command::new("git").args(["init", "-q"]).current_dir(world.workdir()).status();
    assert!(made.expect("git runs").success());
    let answered = asking.run("git remote add origin /x && git remote", &choose("once"));
    let [message] = &answered.messages()[..] else { panic!("one question: {answered:?}") };
    assert!(message.contains("was refused writing .git/config. Give it that"), "{message}");
    assert!(message.contains("confined to what the profile \"git\" names"), "{message}");
    assert!(answered.output().ends_with("origin\n"), "{answered:?}");
    // What changes nothing that is protected needs nothing.
    let answered = asking.run("git switch -q -c topic; git checkout -q missing; git branch", &choose("once"));
    assert_eq!(answered.questions.len(), 0, "{answered:?}");
}

#[test]
fn what_is_left_running_is_listed_inside() {
    let world = world("");
    let Some(mut asking) = asking(&world, Era::Requests) else { return };
    let answered = asking.run("env sleep 60 > /dev/null 2>&1 &", &choose("deny"));
    let background = answered.result["background"].as_array().cloned().unwrap_or_default();
    let [one] = &background[..] else { panic!("one process: {answered:?}") };
    assert!(one["command"].as_str().unwrap_or_default().contains("sleep 60"), "{one}");
    assert_eq!(one.get("outside_sandbox"), None, "{one}");
    // Commands may end what they have started.
    let pid = &one["pid"];
    assert_eq!(asking.run(&format!("kill {pid}"), &choose("deny")).result["exit_code"], 0);
}

#[test]
fn what_could_not_be_read_is_asked_about_as_well() {
    for era in ERAS {
        let world = world("profile(\"nice\", read=[\"~/.aws\"])\n");
        for (folder, file) in [(".aws", "credentials"), (".ssh", "id")] {
            std::fs::create_dir(world.home().join(folder)).expect("a folder");
            std::fs::write(world.home().join(folder).join(file), "the key\n").expect("written");
        }
        let Some(mut asking) = asking(&world, era) else { return };
        let reads = "nice sh -c 'echo x >> runs; cat ~/.aws/credentials'";
        let refused = asking.run(reads, &choose("deny"));
        let [message] = &refused.messages()[..] else { panic!("one question: {refused:?}") };
        assert!(message.contains(&format!(" was refused reading ~/.aws. {AGAIN}\n")), "{message}");
        assert!(!refused.output().contains("the key") && runs(&world) == 1, "{refused:?}");
        let answered = asking.run(&format!("{reads}; echo code $?"), &choose("once"));
        assert!(answered.output().ends_with("the key\ncode 0\n"), "{answered:?}");
        let rights = json!({"run": "inside", "read": [world.home().join(".aws")]});
        assert_eq!((&answered.result["decisions"][0]["rights"], runs(&world)), (&rights, 3));
        for command in [
            // It is not there, the profile does not give it, or it did not fail on it.
            "nice cat ~/.aws/other",
            "nice cat ~/.ssh/id",
            "nice sh -c 'cat ~/.aws/credentials; true'",
            "nice sh -c 'exit 3'",
        ] {
            let answered = asking.run(command, &choose("once"));
            assert_eq!(answered.questions.len(), 0, "{command}: {answered:?}");
            assert!(!answered.output().contains("the key"), "{command}: {answered:?}");
        }
    }
}
