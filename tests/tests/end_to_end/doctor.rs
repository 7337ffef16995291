//! `exec-server doctor`: says whether commands can run, and what stands in the way.

use std::process::Output;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use serde_json::Value;

fn doctor(world: &World, arguments: &[&str]) -> Output {
    world.server(&[&["doctor"], arguments].concat()).output().expect("the doctor comes")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_machine_where_commands_can_run_is_usable_and_the_level_is_told() {
    let world = World::with_rules("prefix_rule([\"a\"])\n").configured("");
    let output = doctor(&world, &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &report["usable"]), (Some(0), &Value::Bool(true)), "{report}");
    assert!(report["sandbox"].as_str().expect("a level").contains("seccomp"), "{report}");
    let names: Vec<&str> = report["checks"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|check| check["name"].as_str())
        .collect();
    for name in ["platform", "bash", "wrapper", "rules", "sandbox", "trial"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(text(&doctor(&world, &[])).contains("1 rules in 1 files"));
}

#[test]
fn what_is_missing_is_named_and_makes_the_exit_code_1() {
    let world = World::with_rules("prefix_rule([\"a\"], \"alow\")\n").configured("");
    let output = doctor(&world, &["--bash", "/bin/sh"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("FAIL bash") && text(&output).contains("is not the patched Bash"),
        "{}",
        text(&output)
    );
    let output = doctor(&world, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("FAIL rules") && text(&output).contains("default.rules:1:1"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_home_that_cannot_be_written_is_said_in_words_and_nothing_is_put_on_record() {
    let world = World::with_rules("prefix_rule([\"sh\"])\n").configured("");
    let output = doctor(&world, &[]);
    assert!(text(&output).contains("ok   record"), "{}", text(&output));
    let (_, shown, _) = end_to_end_tests::lines::run_subcommand(&world, &["audit", "show"]);
    assert_eq!(shown, "", "the trial is nobody's decision");
    let state = world.codex_home().join("shell-tool-mcp");
    std::fs::remove_dir_all(&state).expect("removed");
    std::fs::write(&state, "in the way").expect("written");
    let output = doctor(&world, &[]);
    assert_eq!(output.status.code(), Some(1));
    let home = world.codex_home().display().to_string();
    for words in [
        "FAIL record",
        &format!("{home} cannot be written: "),
        "nothing runs outside the sandbox",
        "CODEX_HOME",
    ] {
        assert!(text(&output).contains(words), "{words} in {}", text(&output));
    }
}

/// Inside a sandbox no namespaces can be made: what a container does to a server.
#[tokio::test]
async fn where_what_was_asked_for_cannot_be_enforced_nothing_runs_and_the_reason_is_told() {
    let world = World::with_rules("").configured("");
    let inner = World::with_rules("").configured("[shell_tool]\nnamespaces = \"require\"\n");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let program = end_to_end_tests::binaries().join("exec-server");
    let command = format!("CODEX_HOME={} {} doctor", inner.codex_home().display(), program.display());
    let outcome = client.run(&command).await;
    let (code, output) = outcome.ran();
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("FAIL sandbox") && output.contains("--sandbox external-sandbox"), "{output}");
    assert!(!output.contains("trial"), "{output}");
}
