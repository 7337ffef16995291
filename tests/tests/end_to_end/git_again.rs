//! What Git does once more in a repository that there is, with the kernel's door, and what is said when a person has let it.

use std::os::unix::fs::PermissionsExt;

use end_to_end_tests::asking::{Asking, Era, choose};
use end_to_end_tests::{World, word};
use serde_json::Value;

use super::names::{behind_the_door, git, project};

const SANDBOX: [&str; 4] = ["--sandbox", "workspace-write", "--door", "kernel"];

/// Another branch, with protected files that the first one does not have, and with another `file`.
const OTHER: &str = "checkout -qb other && mkdir .vscode && echo 2 > .vscode/settings.json && echo {} > .mcp.json && \
    echo two > two && echo other > file && git add -f . && git commit -qm two && git checkout -q main";

/// A server for somebody who can be asked, if this machine has what refuses and tells of it.
fn asking(world: &World) -> Option<Asking> {
    let mut asking = Asking::start_with(world, Era::Requests, &SANDBOX);
    let level = asking.run("true", &choose("deny")).result["sandbox"].to_string();
    let holds = ["namespaces", "+door"].iter().all(|part| level.contains(part));
    assert!(holds || std::env::var_os("TESTS_MUST_SANDBOX").is_none(), "{level}");
    holds.then_some(asking)
}

/// A project with a submodule `sub`, which is not the first one's doing.
fn with_submodule(rules: &str) -> (World, World) {
    let (source, world) = (World::with_rules("").configured(""), World::with_rules(rules).configured(""));
    project(&source);
    project(&world);
    let url = word(&source.workdir());
    git(
        &world.workdir(),
        &format!("-c protocol.file.allow=always submodule --quiet add {url} sub && git commit -qm sub"),
    );
    (source, world)
}

#[test]
fn what_was_refused_first_and_then_given_is_not_told_of() {
    let world = World::with_rules("").configured("");
    project(&world);
    git(&world.workdir(), OTHER);
    let Some(mut asking) = asking(&world) else { return };
    let answered = asking.run("git switch -q other; git status --short", &choose("once"));
    let [message] = &answered.messages()[..] else { panic!("one question: {answered:?}") };
    assert!(message.contains("was refused writing .mcp.json and .vscode."), "{message}");
    let result = &answered.result;
    assert_eq!((&result["status"], &result["exit_code"]), (&"completed".into(), &0.into()), "{result}");
    assert_eq!((&result["denials"], &result["notes"]), (&Value::Null, &Value::Null), "{result}");
    assert!(world.workdir().join(".mcp.json").exists());
    // The twin: what else is refused is told of, and that alone.
    git(&world.workdir(), "checkout -qf main && git clean -fdq");
    let answered = asking.run("mkdir .idea; git switch -q other", &choose("once"));
    assert_eq!(answered.result["status"], "declined", "{answered:?}");
    let note = answered.result["notes"][0].as_str().unwrap_or_default();
    assert!(note.contains(": .idea;") && !note.contains(".mcp.json"), "{note}");
    assert!(
        answered.result["denials"][0].as_str().unwrap_or_default().starts_with("denied by"),
        "{answered:?}"
    );
    // So is what was refused for good.
    git(&world.workdir(), "checkout -qf main && git clean -fdq");
    let answered = asking.run("git switch -q other", &choose("deny"));
    assert_eq!(answered.result["status"], "declined", "{answered:?}");
}

#[tokio::test]
async fn a_repository_is_initialized_again() {
    let world = World::with_rules("").configured("");
    project(&world);
    git(&world.workdir(), "config core.fsmonitor false && rm -rf .git/hooks/*");
    let config = world.workdir().join(".git/config");
    let before = std::fs::read_to_string(&config).expect("a configuration");
    let mode = || std::fs::metadata(&config).expect("a configuration").permissions().mode();
    let mode_before = mode();
    let client = behind_the_door(&world).await;
    let again = client.run("git init").await;
    assert!(again.ran().0 == 0 && again.ran().1.starts_with("Reinitialized"), "{again:?}");
    assert_eq!(again.json()["notes"], Value::Null, "{again:?}");
    assert_eq!(std::fs::read_to_string(&config).expect("a configuration"), before);
    assert_eq!(mode(), mode_before);
    git(&world.workdir(), "version && test -z \"$(ls .git/hooks)\"");
    // No more than what it tries.
    let attacked = client.run("for m in 666 777 4644 0; do chmod $m .git/config && echo $m; done; chmod u+x .git/hooks; git init -q --shared=all").await;
    assert_eq!(std::fs::read_to_string(&config).expect("a configuration"), before, "{attacked:?}");
    assert_eq!(mode(), mode_before);
}

#[tokio::test]
async fn submodules_are_updated_where_they_are() {
    let (_source, world) = with_submodule("");
    let config = world.workdir().join(".git/modules/sub/config");
    let before = std::fs::read_to_string(&config).expect("a configuration");
    let client = behind_the_door(&world).await;
    let updated = client
        .run("git submodule update && git submodule update --init --recursive && git -C sub switch -q -c x")
        .await;
    assert_eq!(updated.ran().0, 0, "{updated:?}");
    assert_eq!(updated.json()["notes"], Value::Null, "{updated:?}");
    assert_eq!(std::fs::read_to_string(&config).expect("a configuration"), before);
    let attacked = client
        .run(
            "git -C sub config core.worktree /tmp; git -C sub config core.worktree ../../..; git -C sub config core.worktree ../../../.vscode
             git -C sub config core.fsmonitor ./evil; git -C sub config core.hooksPath evil; git -C sub remote set-url origin /evil
             rm sub/.git; mkdir .git/modules/sub/hooks; echo evil > .git/modules/sub/hooks/pre-commit; true",
        )
        .await;
    assert_eq!(std::fs::read_to_string(&config).expect("a configuration"), before, "{attacked:?}");
    git(
        &world.workdir(),
        "-C sub status && git submodule status && test ! -e .git/modules/sub/hooks/pre-commit",
    );
}

#[test]
fn a_submodule_is_taken_out_after_a_yes() {
    let (_source, world) =
        with_submodule("prefix_rule([\"git\", \"submodule--helper\"], decision=\"prompt\")\n");
    let Some(mut asking) = asking(&world) else { return };
    let answered = asking.run("git submodule deinit -f sub", &choose("once"));
    assert_eq!((answered.questions.len(), &answered.result["exit_code"]), (1, &0.into()), "{answered:?}");
    assert_eq!(answered.result["notes"], Value::Null, "{answered:?}");
    git(&world.workdir(), "-C sub rev-parse --show-toplevel | grep -qv /sub && test -z \"$(ls -A sub)\"");
    git(&world.workdir(), "version && ! git config submodule.sub.url && test -z \"$(git status --short)\"");
}

#[test]
fn a_tree_that_git_left_half_changed_is_asked_about_and_can_be_repaired() {
    let world = World::with_rules("").configured("");
    project(&world);
    git(
        &world.workdir(),
        "version && mkdir .vscode && echo 1 > .vscode/settings.json && git add -f . && git commit -qm settings",
    );
    git(
        &world.workdir(),
        "checkout -qb other && echo 2 > .vscode/settings.json && echo other > file && git commit -qam other",
    );
    git(&world.workdir(), "checkout -q main && echo g > g && git add g && git commit -qm g && git tag first");
    let Some(mut asking) = asking(&world) else { return };
    for (command, is) in [
        ("git reset -q --hard other", "git diff --quiet other"),
        ("git restore --source other .", "test ! -e g; grep -q other file"),
        ("git merge -q --no-edit other", "git merge-base --is-ancestor other HEAD; git diff --quiet HEAD"),
    ] {
        let answered = asking.run(command, &choose("once"));
        let [message] = &answered.messages()[..] else { panic!("{command}: one question: {answered:?}") };
        assert!(message.contains("was refused writing .vscode/settings.json."), "{command}: {message}");
        assert_eq!(answered.result["status"], "completed", "{command}: {answered:?}");
        assert_eq!(
            std::fs::read_to_string(world.workdir().join(".vscode/settings.json")).expect("a file"),
            "2\n"
        );
        git(&world.workdir(), &format!("version; {is}; git reset -q --hard first; git clean -fdq"));
    }
    // What cannot begin again is not asked about, and is told how to repair.
    let answered = asking.run("git rebase -q other", &choose("once"));
    assert_eq!(
        (answered.questions.len(), &answered.result["status"]),
        (0, &"declined".into()),
        "{answered:?}"
    );
    let note = answered.result["notes"][0].as_str().unwrap_or_default();
    assert!(
        note.contains(": .vscode/settings.json;")
            && note.contains("`git reset --hard` makes them what HEAD has"),
        "{note}"
    );
    assert!(note.contains("prefix_rule([\"git\", \"rebase\"], decision=\"prompt\")"), "{note}");
    let repaired = asking.run("git reset -q --hard && git status --short --branch", &choose("deny"));
    assert_eq!((repaired.output(), repaired.questions.len()), ("## main\n", 0), "{repaired:?}");
}

#[test]
fn the_files_of_a_clone_are_checked_out_after_a_yes() {
    let (source, world) = (World::with_rules("").configured(""), World::with_rules("").configured(""));
    project(&source);
    git(&source.workdir(), OTHER);
    let Some(mut asking) = asking(&world) else { return };
    let clone = format!("git clone -q -b other {} . 2> /dev/null", word(&source.workdir()));
    let answered = asking.run(&clone, &choose("once"));
    assert_eq!(
        (answered.questions.len(), &answered.result["status"]),
        (0, &"declined".into()),
        "{answered:?}"
    );
    let note = answered.result["notes"][0].as_str().unwrap_or_default();
    assert!(note.starts_with("left as they were") && note.contains(".vscode"), "{note}");
    assert!(note.contains("`git reset --hard` makes them what HEAD has"), "{note}");
    let answered = asking.run("git reset -q --hard; git status --short", &choose("once"));
    assert_eq!(
        (answered.questions.len(), &answered.result["status"]),
        (1, &"completed".into()),
        "{answered:?}"
    );
    git(
        &world.workdir(),
        "version && test -e .mcp.json -a -e .vscode/settings.json -a -e two && test -z \"$(git status --short)\"",
    );
}
