//! Which rules a running server goes by: layers, changes of the files, broken files, a legacy policy.

use std::fs;
use std::path::Path;

use end_to_end_tests::client::Answer::{Accept, Decline};
use end_to_end_tests::client::{Client, Outcome, Person};
use end_to_end_tests::{World, word};

const OPEN: &str = "danger-full-access";

/// As editors do: a new file in place of the old one.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).expect("written");
    fs::rename(new, file).expect("renamed");
}

fn forbid(program: &str, why: &str) -> String {
    format!("prefix_rule([\"{program}\"], \"forbidden\", justification = \"{why}\")\n")
}

/// What results say about broken rule files.
fn trouble(outcome: &Outcome) -> Option<String> {
    outcome.json()["rules_trouble"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_good_change_applies_to_the_next_program_even_of_a_running_call() {
    let world = World::with_rules("");
    let client = Client::start(&world, &Person::absent()).await;
    assert_eq!(client.run("touch a").await.ran(), (0, ""));
    replace(&world.rules_file(), &forbid("touch", "later"));
    let outcome = client.run("touch a").await;
    assert!(outcome.ran().0 == 1 && outcome.ran().1.contains("later"), "{outcome:?}");
    assert_eq!(trouble(&outcome), None);
    let command = format!("touch a; : > {}; touch a && echo done", word(&world.rules_file()));
    let outcome = client.run(&command).await;
    assert!(outcome.ran().1.contains("later") && outcome.ran().1.ends_with("done\n"), "{outcome:?}");
    fs::write(world.codex_home().join("rules/another.rules"), forbid("touch", "another")).expect("written");
    let outcome = client.run("touch a").await;
    assert!(outcome.ran().1.contains("another"), "{outcome:?}");
    fs::remove_file(world.codex_home().join("rules/another.rules")).expect("removed");
    assert_eq!(client.run("touch a").await.ran(), (0, ""));
}

#[tokio::test]
async fn a_bad_change_keeps_the_last_good_rules_and_is_told_until_it_is_mended() {
    let world = World::with_rules(&forbid("touch", "first"));
    let client = Client::start(&world, &Person::absent()).await;
    assert!(client.run("touch a").await.ran().1.contains("first"));
    replace(&world.rules_file(), "prefix_rule([\"touch\"], \"alow\")\n");
    for _ in 0..2 {
        let outcome = client.run("touch a").await;
        assert!(outcome.ran().1.contains("first"), "{outcome:?}");
        let trouble = trouble(&outcome).expect("it is told");
        for words in ["stay in force", "default.rules:1:1", "invalid decision: alow"] {
            assert!(trouble.contains(words), "{words} in {trouble}");
        }
    }
    replace(&world.rules_file(), &forbid("touch", "second"));
    let outcome = client.run("touch a").await;
    assert!(outcome.ran().1.contains("second"), "{outcome:?}");
    assert_eq!(trouble(&outcome), None);
}

#[tokio::test]
async fn every_error_of_every_file_is_told_at_once() {
    let world = World::with_rules("prefix_rule([])\n");
    let rules = world.codex_home().join("rules");
    fs::write(rules.join("good.rules"), "prefix_rule([\"ls\"])\n").expect("written");
    fs::write(rules.join("other.rules"), "nonsense(\n").expect("written");
    let arguments = ["--sandbox", OPEN, "--rules", "missing.rules", "--legacy-policy", "missing.policy"];
    let client = Client::start_with(&world, &Person::absent(), &arguments).await;
    let Outcome::Problem(said) = client.run("true").await else { panic!("it ran") };
    for name in ["default.rules:1:1", "other.rules:", "missing.rules", "missing.policy"] {
        assert!(said.contains(name), "{name} in {said}");
    }
    assert!(!said.contains("good.rules"), "{said}");
}

#[tokio::test]
async fn keeping_going_asks_about_every_program_until_the_files_are_mended() {
    let world = World::with_rules("nonsense(\n");
    let rules = world.codex_home().join("rules");
    fs::write(rules.join("good.rules"), forbid("rm", "still counts")).expect("written");
    let person = Person::answering([Accept, Decline]);
    let client = Client::start_with(&world, &person, &["--sandbox", OPEN, "--keep-going"]).await;
    let outcome = client.run("touch a").await;
    assert_eq!(outcome.ran(), (0, ""));
    assert!(trouble(&outcome).expect("it is told").contains("every program is asked about"));
    assert_eq!(client.run("touch b").await.ran().0, 1);
    assert!(client.run("rm a").await.ran().1.contains("still counts"));
    assert_eq!(person.asked().len(), 2);
    assert!(person.asked()[0].contains("some rule files are broken"), "{:?}", person.asked());
    replace(&world.rules_file(), "");
    let outcome = client.run("touch b").await;
    assert_eq!((outcome.ran(), trouble(&outcome)), ((0, ""), None));
    assert_eq!(person.asked().len(), 2);
}

#[tokio::test]
async fn without_somebody_to_ask_broken_rules_let_nothing_run_and_say_what_to_mend() {
    let world = World::with_rules("nonsense(\n");
    let arguments = ["--sandbox", OPEN, "--keep-going"];
    let client = Client::start_with(&world, &Person::absent(), &arguments).await;
    let outcome = client.run("touch a; :").await;
    assert!(outcome.ran().1.contains("some rule files are broken"), "{outcome:?}");
    assert!(outcome.ran().1.contains("mend them") && !outcome.ran().1.contains("add a line"), "{outcome:?}");
    assert!(!world.workdir().join("a").exists());
}

#[tokio::test]
async fn named_rules_and_those_of_a_trusted_project_count_and_the_strictest_wins() {
    let world = World::with_rules("prefix_rule([\"touch\", \"user\"], \"allow\")\n");
    let project = world.workdir().join(".codex/rules");
    fs::create_dir_all(&project).expect("made");
    fs::write(project.join("p.rules"), forbid("mkdir", "the project's")).expect("written");
    let named = world.workdir().join("named.rules");
    fs::write(&named, forbid("touch", "named")).expect("written");
    let client = Client::start(&world, &Person::absent()).await;
    assert_eq!(client.run("mkdir a; touch user").await.ran(), (0, ""));
    let arguments = ["--sandbox", OPEN, "--trust-project-rules", "--rules", "named.rules"];
    let client = Client::start_with(&world, &Person::absent(), &arguments).await;
    assert!(client.run("mkdir b").await.ran().1.contains("the project's"));
    assert!(client.run("touch user").await.ran().1.contains("named"));
}

#[tokio::test]
async fn lists_of_heuristics_are_switched_on_and_off() {
    let world = World::with_rules("");
    let person = Person::answering([Decline]);
    let client = Client::start_with(&world, &person, &["--sandbox", OPEN, "--heuristics", "git"]).await;
    assert_eq!(client.run("git reset").await.ran().0, 1);
    assert_eq!(person.asked().len(), 1);
    let person = Person::answering([]);
    let client = Client::start_with(&world, &person, &["--sandbox", OPEN, "--heuristics", "none"]).await;
    assert_eq!(client.run("touch x; rm -f x").await.ran(), (0, ""));
}

#[tokio::test]
async fn a_legacy_policy_speaks_where_no_rule_does() {
    let world = World::with_rules("");
    let file = world.workdir().join("x.policy");
    let text = "forbid_program_regex(\"^mkdir$\", \"no folders\")\n\
                define_program(\"rm\", options = [flag(\"-f\")], args = [ARG_RFILES])\n";
    fs::write(&file, text).expect("written");
    let arguments = ["--sandbox", OPEN, "--legacy-policy", file.to_str().expect("UTF-8")];
    let client = Client::start_with(&world, &Person::absent(), &arguments).await;
    let outcome = client.run("mkdir d").await;
    assert!(
        outcome.ran().0 == 1 && outcome.ran().1.contains("no folders (the legacy policy)"),
        "{outcome:?}"
    );
    // Known to be safe, so the heuristic does not ask; without the policy it does, and nobody is there to say yes.
    assert_eq!(client.run("touch a; rm -f a").await.ran(), (0, ""));
    let client = Client::start(&world, &Person::absent()).await;
    assert_eq!(client.run("touch a; rm -f a").await.ran().0, 1);
}

#[tokio::test]
async fn rules_that_are_named_cannot_be_written_although_they_lie_in_the_workspace() {
    let world = World::with_rules("").configured("");
    let rules = world.workdir().join("rules");
    fs::create_dir(&rules).expect("made");
    fs::write(world.workdir().join("x.policy"), "").expect("written");
    let arguments = ["--rules", "rules", "--legacy-policy", "x.policy"];
    let client = Client::start_with(&world, &Person::absent(), &arguments).await;
    let command = "echo > beside && echo ok; echo 'prefix_rule([\"id\"])' > rules/x.rules || echo no; echo > x.policy || echo no";
    let outcome = client.run(command).await;
    let said: Vec<&str> = outcome.ran().1.lines().filter(|line| matches!(*line, "ok" | "no")).collect();
    assert_eq!(said, ["ok", "no", "no"], "{outcome:?}");
    // The user, outside, still can; and it counts at once.
    fs::write(rules.join("x.rules"), forbid("touch", "from outside")).expect("written");
    assert!(client.run("touch a").await.ran().1.contains("from outside"));
}
