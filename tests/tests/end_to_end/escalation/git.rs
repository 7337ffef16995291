//! A real Git, outside the sandbox, in repositories that the agent may have written.
//!
//! The marker is a file that only a program outside can make. Each attempt has a twin in which it works: the same Git
//! where the agent's settings count, or a push that arrives.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use end_to_end_tests::client::Answer::{Accept, Deny};
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::{World, word};

use super::decisions;

/// Runs Git as the user, outside.
fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("PATH"))
        .env("HOME", folder)
        .envs([("GIT_AUTHOR_NAME", "u"), ("GIT_AUTHOR_EMAIL", "u@example.com")])
        .envs([("GIT_COMMITTER_NAME", "u"), ("GIT_COMMITTER_EMAIL", "u@example.com")])
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

struct Repository {
    world: World,
    bare: PathBuf,
    marker: PathBuf,
}

impl Repository {
    /// The user's repository in the folder to work in, with one commit and a remote that cannot be written from inside.
    fn new(rules: &str) -> Repository {
        let world = World::with_rules(rules).configured("");
        let bare = world.codex_home().join("remote.git");
        git(&world.codex_home(), &["init", "-q", "--bare", "remote.git"]);
        let work = world.workdir();
        git(&work, &["init", "-q", "-b", "main"]);
        std::fs::write(work.join("file"), "one\n").expect("written");
        git(&work, &["add", "file"]);
        git(&work, &["commit", "-q", "-m", "first"]);
        git(&work, &["remote", "add", "origin", bare.to_str().expect("UTF-8")]);
        let marker = world.codex_home().join("marker");
        Repository { world, bare, marker }
    }

    async fn client(&self, person: &Person) -> Client {
        Client::start_with(&self.world, person, &["--sandbox", "workspace-write"]).await
    }

    /// Makes a repository inside the sandbox whose settings make the marker, if anybody outside obeys them.
    fn evil(&self) -> String {
        format!(
            "mkdir sub; cd sub; git init -q; git config user.name a; git config user.email a@example.com; echo x > f; git add f; \
             git commit -q -m x; printf '#!/bin/sh\\ntouch {marker}\\n' > evil; chmod +x evil; cp evil .git/hooks/post-checkout; \
             cp evil .git/hooks/pre-commit; git config core.fsmonitor \"'$PWD/evil'\"; git config alias.go '!./evil'; \
             git config diff.external \"'$PWD/evil'\"; git config core.sshCommand \"'$PWD/evil'\"; ",
            marker = word(&self.marker)
        )
    }
}

#[tokio::test]
async fn a_push_from_the_users_repository_leaves_the_sandbox_and_runs_no_hook() {
    let repository = Repository::new("prefix_rule([\"git\", \"push\"])\n");
    let hook = repository.world.workdir().join(".git/hooks/pre-push");
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", word(&repository.marker))).expect("written");
    std::process::Command::new("chmod").arg("+x").arg(&hook).status().expect("chmod");
    // The twin: without our settings Git runs it.
    git(&repository.world.workdir(), &["push", "-q", "origin", "main:twin"]);
    std::fs::remove_file(&repository.marker).expect("the hook ran");

    let client = repository.client(&Person::absent()).await;
    let outcome = client.run("git push -q origin main").await;
    assert_eq!(outcome.ran(), (0, ""), "{outcome:?}");
    assert_eq!(decisions(&outcome)[0]["decision"], "escalated");
    git(&repository.bare, &["rev-parse", "--verify", "refs/heads/main"]);
    assert!(!repository.marker.exists(), "a hook ran outside");
}

#[tokio::test]
async fn in_a_repository_of_the_agents_an_allowed_git_stays_inside_when_nobody_can_be_asked() {
    let repository = Repository::new("prefix_rule([\"git\", [\"status\", \"commit\", \"diff\"]])\n");
    let client = repository.client(&Person::absent()).await;
    let line = format!(
        "{} echo y >> f; git status > /dev/null; git diff > /dev/null; git commit -qam y; ls -d .git",
        repository.evil()
    );
    let outcome = client.run(&line).await;
    assert!(outcome.ran().1.ends_with(".git\n"), "{outcome:?}");
    assert!(!repository.marker.exists(), "something of the agent's ran outside");
    let made = decisions(&outcome);
    let inside: Vec<_> = made.iter().filter(|made| made["decision"] == "ran_inside").collect();
    assert!(inside.len() >= 3, "{made:?}");
    for made in inside {
        let why = made["why_not_escalated"].as_str().unwrap_or_default();
        assert!(
            why.contains("can be written from inside the sandbox")
                && why.contains("a person would have been asked"),
            "{why}"
        );
    }
}

#[tokio::test]
async fn a_person_may_let_git_out_there_and_hooks_and_the_monitor_are_off_all_the_same() {
    let repository = Repository::new("prefix_rule([\"git\", [\"status\", \"commit\", \"go\"]])\n");
    let person = Person::answering([Accept, Deny]);
    // There `env` hides a program from the rules.
    let wrappers = ["--sandbox", "workspace-write", "--door", "wrapper"];
    let client = Client::start_with(&repository.world, &person, &wrappers).await;
    // The agent's own commits are not asked about: they are made before its settings are there.
    let make = repository.evil().replace("git commit -q -m x", "/usr/bin/env git commit -q -m x");
    assert_eq!(client.run(&make).await.ran().0, 0);
    let outcome = client.run("cd sub; git status --short; git go").await;
    assert!(!repository.marker.exists(), "something of the agent's ran outside: {outcome:?}");
    assert_eq!(outcome.ran().0, 1, "the alias was declined: {outcome:?}");
    let decided: Vec<_> = decisions(&outcome).iter().map(|made| made["decision"].clone()).collect();
    assert_eq!(decided, ["approved_escalated", "declined"]);
    let asked = person.asked();
    assert!(asked.iter().all(|asked| asked.contains("Careful: the rule allows it, but")), "{asked:?}");
}

#[tokio::test]
async fn arguments_that_run_programs_and_repositories_that_run_hooks_are_asked_about() {
    let repository = Repository::new("prefix_rule([\"git\"])\n");
    let client = repository.client(&Person::absent()).await;
    let evil = format!("printf '#!/bin/sh\\ntouch {}\\n' > evil; chmod +x evil; ", word(&repository.marker));
    let bare = "/usr/bin/env git init -q --bare other.git; cp evil other.git/hooks/pre-receive; ";
    for attempt in [
        "git -c core.fsmonitor=$PWD/evil status",
        "git -c alias.x='!./evil' x",
        "git grep -O./evil one",
        "git push --receive-pack=./evil origin main",
        "git fetch --upload-pack ./evil origin",
        "git push -q ./other.git main",
        "git push -q file://$PWD/other.git main",
        "git fetch 'ext::sh -c ./evil'",
        "git --exec-path=$PWD status",
        "GIT_EXTERNAL_DIFF=./evil git diff HEAD",
        "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.fsmonitor GIT_CONFIG_VALUE_0=$PWD/evil git status",
        "GIT_SSH_COMMAND=./evil git fetch ssh://localhost/x",
    ] {
        let outcome =
            client.run(&format!("{evil}{bare}echo two > file; {attempt}; rm -r evil other.git")).await;
        assert!(!repository.marker.exists(), "{attempt} ran something of the agent's outside: {outcome:?}");
    }
    let outcome = client
        .run("git status --short; mkdir deep; cd deep; echo 1 > x; git status --short .; git add x")
        .await;
    assert_eq!(outcome.ran(), (0, " M file\n?? ./\n"), "{outcome:?}");
    assert!(decisions(&outcome).iter().all(|made| made["decision"] == "escalated"), "the twins: {outcome:?}");
}

#[tokio::test]
async fn hooks_in_the_workspace_are_off_and_filters_there_are_asked_about() {
    let repository = Repository::new("prefix_rule([\"git\", [\"commit\", \"status\"]])\n");
    let work = repository.world.workdir();
    for (key, value) in [("core.hooksPath", ".husky"), ("user.name", "u"), ("user.email", "u@example.com")] {
        git(&work, &["config", key, value]);
    }
    // As a clone brings it: commands do not get at the folder once Git obeys it.
    let hook = work.join(".husky/pre-commit");
    std::fs::create_dir(work.join(".husky")).expect("a folder");
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", word(&repository.marker))).expect("a hook");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let person = Person::answering([Deny]);
    let client = repository.client(&person).await;
    let outcome = client.run("git commit -q --allow-empty -m x").await;
    assert_eq!(outcome.ran(), (0, ""), "{outcome:?}");
    assert_eq!(decisions(&outcome)[0]["decision"], "escalated");
    assert!(!repository.marker.exists(), "the hook ran outside");

    git(&work, &["config", "filter.x.clean", "./.husky/pre-commit"]);
    let outcome = client.run("echo 'file filter=x' > .gitattributes; echo 3 > file; git status").await;
    assert_eq!(decisions(&outcome)[0]["decision"], "declined", "{outcome:?}");
    assert!(person.asked()[0].contains("leads to files in the workspace"), "{:?}", person.asked());
    assert!(!repository.marker.exists(), "the filter ran outside");
}

#[tokio::test]
async fn a_fetch_goes_into_no_submodule_even_if_a_person_says_yes() {
    let repository = Repository::new("prefix_rule([\"git\", \"fetch\"])\n");
    let work = repository.world.workdir();
    git(&work, &["push", "-q", "origin", "main"]);
    let person = Person::answering([Accept]);
    let client = repository.client(&person).await;
    let line = format!(
        "{} git remote add origin ssh://git@localhost/x; cd ..; git add sub 2> /dev/null; \
         printf '[submodule \"sub\"]\\n\\tpath = sub\\n\\turl = ./x\\n\\tfetchRecurseSubmodules = true\\n' > .gitmodules",
        repository.evil()
    );
    assert_eq!(client.run(&line).await.ran().0, 0);
    let outcome = client.run("git fetch -q").await;
    assert_eq!(outcome.ran(), (0, ""), "{outcome:?}");
    assert_eq!(decisions(&outcome)[0]["decision"], "approved_escalated");
    assert!(person.asked()[0].contains("names submodules"), "{:?}", person.asked());
    assert!(!repository.marker.exists(), "something of the agent's ran outside");
    // The twin: without our settings Git goes in, and fails there.
    let _ = Command::new("git").args(["fetch", "-q"]).current_dir(&work).output().expect("git runs");
    assert!(repository.marker.exists(), "the attempt would not have worked anyway");
}

#[tokio::test]
async fn a_repository_of_the_agents_is_talked_to_from_inside_however_it_is_called() {
    let repository = Repository::new("prefix_rule([\"git\", \"push\"])\n");
    let work = repository.world.workdir();
    let client = repository.client(&Person::absent()).await;
    let make = format!(
        "/usr/bin/env git init -q --bare evil.git; printf '#!/bin/sh\\ntouch {}\\n' > evil.git/hooks/pre-receive; \
         chmod +x evil.git/hooks/pre-receive",
        word(&repository.marker)
    );
    assert_eq!(client.run(&make).await.ran().0, 0);
    for attempt in [
        "git push -q ./evil HEAD:refs/heads/a",
        "git push -q --repo=evil.git",
        "git push -q file://$PWD/%65vil.git HEAD:refs/heads/b",
    ] {
        let outcome = client.run(attempt).await;
        let made = &decisions(&outcome)[0];
        assert_eq!(made["decision"], "ran_inside", "{attempt}: {outcome:?}");
        assert!(!repository.marker.exists(), "{attempt} ran something of the agent's outside");
    }
    for name in ["remotes", "branches"] {
        let outcome = client.run(&format!("echo 'URL: ./evil' > .git/{name}/e")).await;
        assert_ne!(outcome.ran().0, 0, "{name} can be written: {outcome:?}");
    }
    // The twins: outside, the hook runs; and the user's remote is still talked to from there.
    git(&work, &["push", "-q", "./evil", "HEAD:refs/heads/c"]);
    assert!(repository.marker.exists(), "the attempt would not have worked anyway");
    let outcome = client.run("git push -q origin main").await;
    assert_eq!(outcome.ran(), (0, ""), "{outcome:?}");
    assert_eq!(decisions(&outcome)[0]["decision"], "escalated");
}

#[tokio::test]
async fn git_writes_through_no_link_and_signs_with_no_name_that_a_command_chose() {
    let repository = Repository::new("prefix_rule([\"git\", \"commit\"])\n");
    let work = repository.world.workdir();
    for (key, value) in [("user.name", "the user"), ("user.email", "u@example.com")] {
        git(&work, &["config", key, value]);
    }
    let client = repository.client(&Person::absent()).await;
    let commit = "GIT_COMMITTER_NAME=chosen GIT_AUTHOR_NAME=chosen git commit -q --allow-empty -m x";
    let outcome = client.run(&format!("{commit}; git log -1 --format='%an %cn'")).await;
    assert_eq!(outcome.ran(), (0, "the user the user\n"), "{outcome:?}");
    assert_eq!(decisions(&outcome)[0]["decision"], "escalated");

    let victim = &repository.marker;
    std::fs::write(victim, "").expect("written");
    let link = format!("rm -f .git/logs/HEAD; ln -s {} .git/logs/HEAD", word(victim));
    client.run(&link).await;
    let head = work.join(".git/logs/HEAD");
    if !head.is_symlink() {
        // With the kernel's door no command makes one there; somebody outside does.
        let level = client.run("true").await.json()["sandbox"].to_string();
        assert!(level.contains("+door"), "{level}");
        let _ = std::fs::remove_file(&head);
        std::os::unix::fs::symlink(victim, &head).expect("a link");
    }
    let outcome = client.run(commit).await;
    let made = &decisions(&outcome)[0];
    assert_eq!(made["decision"], "ran_inside", "{outcome:?}");
    assert!(made["why_not_escalated"].as_str().unwrap_or_default().contains("is a link"), "{made:?}");
    assert_eq!(std::fs::read_to_string(victim).expect("read"), "", "Git wrote through the link");
    // The twin: outside, it writes there.
    git(&work, &["commit", "-q", "--allow-empty", "-m", "y"]);
    assert_ne!(std::fs::read_to_string(victim).expect("read"), "");
}

/// With Landlock alone nothing protects `.git/config`, so no Git of this repository leaves the sandbox unasked.
#[tokio::test]
async fn without_namespaces_the_repositorys_configuration_counts_as_the_agents() {
    let rules = "prefix_rule([\"git\", \"fetch\"])\nprefix_rule([\"touch\"])\n";
    let mut repository = Repository::new(rules);
    repository.world = repository.world.configured("[shell_tool]\nnamespaces = \"off\"\n");
    let client = repository.client(&Person::absent()).await;
    let marker = word(&repository.marker);
    assert_eq!(
        client.run(&format!("touch {marker}.twin")).await.ran().0,
        0,
        "what is allowed leaves the sandbox"
    );
    assert!(repository.marker.with_extension("twin").exists());

    let command = format!(
        "git config core.sshCommand \"sh -c 'echo > {marker}'\" && git config remote.o.url ssh://h/x && git fetch o"
    );
    let outcome = client.run(&command).await;
    assert_ne!(outcome.ran().0, 0, "{outcome:?}");
    assert_eq!(decisions(&outcome)[0]["decision"], "ran_inside", "{outcome:?}");
    assert!(!repository.marker.exists(), "{outcome:?}");
}
