//! A real Git that is confined: its usual work needs no question, and it runs nothing of the repository's.
//!
//! The marker is a file that only a program outside can make. Each attempt has a twin in which it works.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// A rule for Git, confined, which may write the other side too.
const RULES: &str =
    "prefix_rule([\"git\"], profile=\"git\", grants={\"write\": [\"~/remotes/remote.git\"]})\n";

impl Repository {
    /// The user's repository in the folder to work in, with one commit and a remote that cannot be written from inside.
    fn new(rules: &str) -> Repository {
        Repository::of(World::with_rules(rules))
    }

    fn of(world: World) -> Repository {
        let world = world.configured("");
        let remotes = world.home().join("remotes");
        std::fs::create_dir(&remotes).expect("a folder");
        let bare = remotes.join("remote.git");
        git(&remotes, &["init", "-q", "--bare", "-b", "main", "remote.git"]);
        let work = world.workdir();
        git(&work, &["init", "-q", "-b", "main"]);
        for (key, value) in [("user.name", "the user"), ("user.email", "u@example.com")] {
            git(&work, &["config", key, value]);
        }
        std::fs::write(work.join("file"), "one\n").expect("written");
        git(&work, &["add", "file"]);
        git(&work, &["commit", "-q", "-m", "first"]);
        git(&work, &["remote", "add", "origin", bare.to_str().expect("UTF-8")]);
        let marker = world.codex_home().join("marker");
        Repository { world, bare, marker }
    }

    async fn client(&self) -> Client {
        Client::start_with(&self.world, &Person::absent(), &["--sandbox", "workspace-write"]).await
    }

    /// Makes a script that makes the marker, of the user's.
    fn script(&self, path: &str) -> PathBuf {
        let path = self.world.workdir().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, format!("#!/bin/sh\ntouch {}\n", word(&self.marker))).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }
}

/// Whether this machine has what confines.
async fn confines(client: &Client) -> bool {
    let level = client.run("true").await.json()["sandbox"].to_string();
    level.contains("namespaces") && level.contains("landlock")
}

#[tokio::test]
async fn the_usual_work_of_git_needs_no_question() {
    let repository = Repository::new(RULES);
    let client = repository.client().await;
    if !confines(&client).await {
        return;
    }
    for (work, expected) in [
        ("git status --short", ""),
        (
            "echo 2 > two; git add two; git commit -qm two; git tag -a -m t v1; git log --format=%s",
            "two\nfirst\n",
        ),
        ("echo 3 >> two; git diff --stat | tail -1", " 1 file changed, 1 insertion(+)\n"),
        ("git stash -q; cat two; git stash pop -q; cat two", "2\n2\n3\n"),
        (
            "git checkout -q -b topic; git commit -qam three; git checkout -q main; git branch",
            "* main\n  topic\n",
        ),
        (
            "echo 4 > four; git add four; git commit -q -F - <<< four; git rebase -q main topic; git log --format=%s",
            "three\nfour\ntwo\nfirst\n",
        ),
        (
            "git switch -q main; git merge -q --no-ff -m merged topic; git cherry-pick HEAD^1 > /dev/null 2>&1; git cherry-pick --skip; git log --format=%s -1",
            "merged\n",
        ),
        ("git mv four vier; git restore --staged .; git checkout -q .; rm -f vier; git status --short", ""),
        ("git gc -q; git fsck > /dev/null 2>&1; git reflog | wc -l | grep -c .", "1\n"),
        ("git push -q origin main v1 2>&1; git ls-remote --heads origin | wc -l", "1\n"),
        (
            "git clone -q . copy; git -C copy log --format=%s -1; git fetch -q origin; git pull -q origin main; rm -rf copy",
            "merged\n",
        ),
    ] {
        let outcome = client.run(work).await;
        assert_eq!(outcome.ran(), (0, expected), "{work}: {outcome:?}");
        let made = decisions(&outcome);
        assert!(made.iter().all(|made| made["decision"] == "escalated"), "{work}: {made:?}");
    }
    git(&repository.bare, &["rev-parse", "--verify", "refs/heads/main"]);
}

#[tokio::test]
async fn hooks_do_not_run_and_nothing_fails_on_them() {
    let repository = Repository::new(RULES);
    let work = repository.world.workdir();
    for hook in [".git/hooks/pre-push", ".git/hooks/pre-commit", ".husky/pre-commit"] {
        repository.script(hook);
    }
    let client = repository.client().await;
    if !confines(&client).await {
        return;
    }
    for hooks in [".git/hooks", ".husky"] {
        git(&work, &["config", "core.hooksPath", hooks]);
        let outcome = client.run("git commit -q --allow-empty -m x 2>&1; git push -q origin main 2>&1").await;
        assert_eq!(outcome.ran(), (0, ""), "{hooks}: {outcome:?}");
        assert!(!repository.marker.exists(), "{hooks}: a hook ran");
        // The twin: without our settings Git runs it.
        git(&work, &["commit", "-q", "--allow-empty", "-m", "y"]);
        std::fs::remove_file(&repository.marker).expect("the hook ran");
    }
}

#[tokio::test]
async fn hooks_run_where_the_profile_names_them() {
    let repository = Repository::new("");
    let work = repository.world.workdir();
    let hook = work.join(".git/hooks/pre-commit");
    std::fs::write(&hook, "#!/bin/sh\necho hook >&2\n").expect("written");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let hooks = work.join(".git/hooks");
    let rules = format!(
        "prefix_rule([\"git\"], profile=\"git\", grants={{\"may_run\": [\"{}\"]}})\n",
        hooks.display()
    );
    std::fs::write(repository.world.rules_file(), rules).expect("rules");
    let client = repository.client().await;
    if !confines(&client).await {
        return;
    }
    let outcome = client.run("git commit -q --allow-empty -m x 2>&1").await;
    assert_eq!(outcome.ran(), (0, "hook\n"), "{outcome:?}");
    // Others in the workspace still do not.
    repository.script("evil");
    let outcome = client.run("git -c alias.x='!./evil' x 2>&1; echo > .git/hooks/pre-commit").await;
    assert_ne!(outcome.ran().0, 0, "{outcome:?}");
    assert!(!repository.marker.exists(), "{outcome:?}");
}

#[tokio::test]
async fn a_filter_that_cannot_run_is_an_error_and_nothing_is_stored_unfiltered() {
    let repository = Repository::new(RULES);
    let work = repository.world.workdir();
    let filter = repository.script("filter");
    git(&work, &["config", "filter.x.clean", filter.to_str().expect("UTF-8")]);
    git(&work, &["config", "filter.unused.clean", "no-such-program"]);
    let client = repository.client().await;
    if !confines(&client).await {
        return;
    }
    let twin = client.run("echo 1 > plain; git add plain 2>&1; git ls-files plain").await;
    assert_eq!(twin.ran(), (0, "plain\n"), "what no filter concerns is stored: {twin:?}");
    let outcome = client
        .run("echo '*.x filter=x' > .gitattributes; echo raw > a.x; git add a.x 2>&1; echo $?; git ls-files a.x")
        .await;
    let (_, said) = outcome.ran();
    assert!(
        said.starts_with("Execution denied: `a.x` is filtered by ") && said.ends_with("\n1\n"),
        "{outcome:?}"
    );
    assert!(said.contains("may_run"), "what would change it is said: {said}");
    assert!(!repository.marker.exists(), "the filter ran");
}

#[tokio::test]
async fn what_git_obeys_is_not_written_and_names_are_the_users() {
    let repository = Repository::new(RULES);
    let client = repository.client().await;
    if !confines(&client).await {
        return;
    }
    let commit = "GIT_COMMITTER_NAME=chosen GIT_AUTHOR_NAME=chosen git commit -q --allow-empty -m x";
    let outcome = client.run(&format!("{commit}; git log -1 --format='%an %cn'")).await;
    assert_eq!(outcome.ran(), (0, "the user the user\n"), "{outcome:?}");
    for attempt in [
        "git config alias.x '!id'",
        "git config --global alias.x '!id'",
        "git -C ../remotes/remote.git config alias.x '!id'",
    ] {
        let outcome = client.run(attempt).await;
        assert_ne!(outcome.ran().0, 0, "{attempt}: {outcome:?}");
    }
    // Through a link, nothing is written outside.
    std::fs::write(&repository.marker, "").expect("written");
    let head = repository.world.workdir().join(".git/logs/HEAD");
    std::fs::remove_file(&head).expect("a log");
    std::os::unix::fs::symlink(&repository.marker, &head).expect("a link");
    let _ = client.run(commit).await;
    assert_eq!(std::fs::read_to_string(&repository.marker).expect("read"), "", "Git wrote through the link");
    // The twin: outside, it writes there.
    git(&repository.world.workdir(), &["commit", "-q", "--allow-empty", "-m", "y"]);
    assert_ne!(std::fs::read_to_string(&repository.marker).expect("read"), "");
}

/// What `git push -u` writes down leads nobody elsewhere.
#[tokio::test]
async fn branches_may_follow_those_of_remotes_that_there_are() {
    let repository = Repository::new(RULES);
    let client = repository.client().await;
    if !confines(&client).await {
        return;
    }
    let work = "git push -q -u origin main 2>&1 && git switch -q -c topic --track origin/main && git branch -vv | grep -c origin/main";
    assert_eq!(client.run(work).await.ran(), (0, "2\n"));
    let config = repository.world.workdir().join(".git/config");
    let before = std::fs::read_to_string(&config).expect("a configuration");
    assert!(before.contains("[branch \"topic\"]"), "{before}");
    for attempt in [
        "git config branch.topic.remote https://evil.example",
        "git config branch.topic.pushRemote origin",
        "git config branch.topic.merge 'x::y'",
        "git remote add evil /evil",
        "git remote set-url origin /evil",
        "git config core.fsmonitor ./evil",
        "git config --rename-section branch.topic remote.evil",
        "git config -f .git/config include.path evil",
        "GIT_CONFIG=.git/config git config alias.x '!id'",
        "cp .git/config c; mv c .git/config",
    ] {
        let outcome = client.run(attempt).await;
        assert_ne!(outcome.ran().0, 0, "{attempt}: {outcome:?}");
        let now = std::fs::read_to_string(&config).expect("a configuration");
        assert_eq!(now, before, "{attempt}: {outcome:?}");
    }
    assert_eq!(client.run("git branch --unset-upstream").await.ran().0, 0);
}

#[tokio::test]
async fn a_subcommand_that_is_a_script_runs_inside_and_says_so() {
    let repository = Repository::new(RULES);
    let client = repository.client().await;
    if !confines(&client).await {
        return;
    }
    let outcome = client.run("git submodule status && git submodule foreach true").await;
    let made = decisions(&outcome);
    let why = made[0]["why_not_escalated"].as_str().unwrap_or_default();
    assert!(made[0]["decision"] == "ran_inside" && why.contains("is a script of a shell"), "{outcome:?}");
    assert_eq!(outcome.ran().0, 0, "{outcome:?}");
}

/// The agent that keeps the key runs outside, as it does for the user.
#[tokio::test]
async fn commits_are_signed_with_the_users_key_by_gpg_below_git() {
    let repository = Repository::new(RULES);
    let home = repository.world.home().join(".gnupg");
    std::fs::create_dir(&home).expect("a folder");
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).expect("private");
    let gpg = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        repository.world.surround(&mut command);
        command.env("GNUPGHOME", &home).args(arguments).output().is_ok_and(|done| done.status.success())
    };
    let new = [
        "--batch",
        "--passphrase",
        "",
        "--quick-gen-key",
        "the user <u@example.com>",
        "ed25519",
        "sign",
        "0",
    ];
    if !gpg("gpg", &new) {
        return;
    }
    let client = repository.client().await;
    let confines = confines(&client).await;
    let signs = "git commit -q --allow-empty -S -m signed 2>&1; git cat-file commit HEAD | grep -o 'BEGIN PGP SIGNATURE'; cat ~/.gnupg/pubring.kbx";
    let outcome = if confines { Some(client.run(signs).await) } else { None };
    gpg("gpgconf", &["--kill", "gpg-agent"]);
    let Some(outcome) = outcome else { return };
    let (_, said) = outcome.ran();
    assert!(said.starts_with("BEGIN PGP SIGNATURE\n"), "{outcome:?}");
    assert_eq!(decisions(&outcome)[1]["rights"]["profile"], "gpg", "{outcome:?}");
    assert!(said.contains("pubring.kbx"), "commands have no keys: {outcome:?}");
}

/// Git needs no keys: ssh has them, by a profile of its own.
#[tokio::test]
async fn ssh_below_git_has_the_keys_and_git_has_not() {
    // Where nobody else may put anything: what is executed there is the user's.
    let repository = Repository::of(World::below(Path::new(env!("CARGO_TARGET_TMPDIR")), RULES));
    let home = repository.world.home().to_owned();
    std::fs::create_dir(home.join(".ssh")).expect("a folder");
    std::fs::write(home.join(".ssh/id_ed25519"), "the key\n").expect("written");
    let tools = repository.world.codex_home().join("tools");
    std::fs::create_dir(&tools).expect("a folder");
    let ssh = repository
        .world
        .program("ssh", "read -r key < \"$HOME/.ssh/id_ed25519\"; echo \"ssh has $key\" >&2; exit 1");
    std::fs::rename(ssh, tools.join("ssh")).expect("moved");
    let mut server = repository.world.server(&["--sandbox", "workspace-write"]);
    server.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", tools.display()));
    let client = Client::start_command(&repository.world, &Person::absent(), server).await;
    if !confines(&client).await {
        return;
    }
    let outcome = client.run("git ls-remote ssh://localhost/x 2>&1").await;
    assert!(outcome.ran().1.contains("ssh has the key"), "{outcome:?}");
    let outcome = client.run("git diff --no-index /dev/null ~/.ssh/id_ed25519 2>&1; git -c core.sshCommand='ssh -x' ls-remote ssh://localhost/x 2>&1").await;
    let (_, said) = outcome.ran();
    assert!(!said.contains("+the key") && said.contains("ssh has the key"), "{outcome:?}");
}

/// With Landlock alone nothing keeps a program from executing what commands write.
#[tokio::test]
async fn without_namespaces_what_would_be_confined_is_asked_about() {
    let rules = "prefix_rule([\"git\"], run=\"confined\")\nprefix_rule([\"touch\"], run=\"outside\")\nprefix_rule([\"mkdir\"], run=\"unconfined\")\n";
    let mut repository = Repository::new(rules);
    repository.world = repository.world.configured("[shell_tool]\nnamespaces = \"off\"\n");
    let client = repository.client().await;
    let marker = word(&repository.marker);
    let twin = client.run(&format!("mkdir {marker}.twin")).await;
    assert_eq!(twin.ran().0, 0, "what is not confined leaves the sandbox: {twin:?}");
    for command in [format!("touch {marker}"), "git status".to_owned()] {
        let outcome = client.run(&command).await;
        let made = &decisions(&outcome)[0];
        assert_eq!(made["decision"], "ran_inside", "{outcome:?}");
        let why = made["why_not_escalated"].as_str().unwrap_or_default();
        assert!(
            why.contains("no mount namespace") && why.contains("a person would have been asked"),
            "{why}"
        );
    }
    assert!(!repository.marker.exists());
}
