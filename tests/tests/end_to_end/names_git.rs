//! What Git makes once, with the kernel's door: repositories, clones, work trees, submodules; and trees that cannot become what
//! they should.

use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::waiting::{PATIENCE, eventually_async};
use end_to_end_tests::{World, word};
use serde_json::{Value, json};
use std::process::Command;

use super::names::{behind_the_door, entries, git, project};

/// Commands succeed, one after the other.
pub(super) async fn all_succeed(client: &Client, scripts: &[(&str, &str)]) {
    for (what, script) in scripts {
        let outcome = client.run_within(&format!("set -e; {script}"), PATIENCE).await;
        assert_eq!(outcome.ran().0, 0, "{what}: {outcome:?}");
    }
}

fn first_note(result: &Value) -> &str {
    result["notes"][0].as_str().unwrap_or_default()
}

pub(super) const IDENTITY: &str = "git config user.email a@b; git config user.name a";

#[tokio::test]
async fn a_repository_is_made_in_the_top_folder_and_protected_from_then_on() {
    let world = World::with_rules("").configured("");
    let client = behind_the_door(&world).await;
    let script = format!("git init -q -b main; {IDENTITY}; echo x > f; git add f; git commit -qm x");
    all_succeed(&client, &[("init", &script), ("a later call", "echo y > f; git commit -qam y; git gc -q")])
        .await;
    let config = world.workdir().join(".git/config");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    assert!(text.contains("filemode = true") && !text.contains("symlinks"), "{text}");
    let hooks = entries(&world.workdir().join(".git/hooks"));
    assert!(hooks.is_empty(), "nobody shall take what commands wrote for Git's own examples: {hooks:?}");
    let refused = client
        .run("git config core.fsmonitor ./evil; echo evil >> .git/config; echo > .git/hooks/pre-commit; rm .git/config; mv .git x")
        .await;
    assert!(
        refused.json()["notes"].to_string().contains(".git/config, .git/hooks/pre-commit"),
        "{refused:?}"
    );
    assert_eq!(std::fs::read_to_string(&config).expect("a configuration"), text);
    git(&world.workdir(), "fsck --strict && test -z \"$(git status --short)\"");
}

#[tokio::test]
async fn a_repository_is_cloned_into_the_top_folder() {
    let source = World::with_rules("").configured("");
    project(&source);
    let world = World::with_rules("").configured("");
    let client = behind_the_door(&world).await;
    let url = word(&source.workdir());
    all_succeed(
        &client,
        &[("clone", &format!("git clone -q {url} .; git log --oneline | grep one; test -f src/a"))],
    )
    .await;
    let text = std::fs::read_to_string(world.workdir().join(".git/config")).expect("a configuration");
    assert!(text.contains("[remote \"origin\"]") && text.contains("[branch \"main\"]"), "{text}");
    git(&world.workdir(), "status --short && test -z \"$(git status --short)\"");

    // A clone that fails takes away what it has made.
    let world = World::with_rules("").configured("");
    let client = behind_the_door(&world).await;
    let failed = client.run("git clone -q ./nothing .; ls -A").await;
    assert_eq!(
        failed.ran().1.lines().last(),
        Some("fatal: repository './nothing' does not exist"),
        "{failed:?}"
    );
    assert!(entries(&world.workdir()).is_empty());
}

#[tokio::test]
async fn a_new_repository_names_nothing_that_runs() {
    let world = World::with_rules("").configured("");
    let client = behind_the_door(&world).await;
    let evil = "[core]\n\tfsmonitor = ./evil\n";
    let script = format!(
        "git init -q; cp .git/config before; printf '{evil}' > .git/config.lock; mv .git/config.lock .git/config; ln -f before .git/config
         printf '{evil}' > x; mv x .git/config; ln -s ../x .git/config; exec 3<> .git/config; exec 4> .git/config.lock; cat before >&4
         mv .git/config.lock .git/config; printf '{evil}' >&4; mkdir .git/hooks/x; echo > .git/hooks/pre-commit
         echo evil > .git/hooks/y.sample; mv .git/hooks/y.sample .git/hooks/pre-commit; mv .git/hooks h; ln -s /tmp .git/hooks
         mkdir .git/commondir; echo .. > .git/commondir; echo > .git/config.worktree; cmp before .git/config && echo same"
    );
    let outcome = client.run_within(&script, PATIENCE).await;
    assert_eq!(outcome.ran().1.lines().last(), Some("same"), "{outcome:?}");
    let text = std::fs::read_to_string(world.workdir().join(".git/config")).expect("a configuration");
    assert!(!text.contains("evil"), "{text}");
    // Whoever has made the folder may remove it, empty, in the same call.
    let hooks = world.workdir().join(".git/hooks");
    assert!(hooks.symlink_metadata().is_err() || entries(&hooks).is_empty());
    assert!(!world.workdir().join(".git/commondir").exists());
    // What somebody outside has changed meanwhile is not this call's any more.
    let world = World::with_rules("").configured("");
    let client = behind_the_door(&world).await;
    let script = "git init -q; cp .git/config c; touch made; until test -e go; do sleep 0.02; done
                  cp c .git/config.lock; mv .git/config.lock .git/config; rm -f .git/config; cat .git/config";
    let (ran, ()) = tokio::join!(client.run_within(script, PATIENCE), async {
        let made = world.workdir().join("made");
        eventually_async(async || {
            made.try_exists().map_err(|_| "unknown").and_then(|is| is.then_some(()).ok_or("not made"))
        })
        .await;
        git(&world.workdir(), "config alias.mine status");
        std::fs::write(world.workdir().join("go"), "").expect("a file");
    });
    assert!(ran.ran().1.contains("mine = status"), "{ran:?}");
}

#[tokio::test]
async fn linked_work_trees_come_and_go() {
    let world = World::with_rules("").configured("");
    project(&world);
    let client = behind_the_door(&world).await;
    all_succeed(
        &client,
        &[
            ("add", "git worktree add -q wt -b w; cd wt; echo w > w; git add .; git commit -qm w"),
            ("use later", "cd wt; echo v > w; git commit -qam v; test -z \"$(git status --short)\""),
            (
                "remove later",
                "git worktree remove wt; test ! -e wt -a ! -e .git/worktrees; git worktree prune",
            ),
            ("add again", "git worktree add -q wt w; test \"$(cat wt/w)\" = v"),
        ],
    )
    .await;
    // Of one that is there nothing can be changed that leads it elsewhere.
    let attacked = client
        .run(
            "d=.git/worktrees/wt; echo /evil > $d/commondir; rm $d/commondir $d/gitdir; mv $d x; mv .git/worktrees x; echo > $d/config
             echo > $d/config.worktree; mkdir $d/hooks; ln -s x $d/x; mkdir -p .git/worktrees/new; echo .. > .git/worktrees/new/config; cat $d/commondir",
        )
        .await;
    assert_eq!(attacked.ran().1.lines().last(), Some("../.."), "{attacked:?}");
    for name in ["config", "config.worktree", "hooks", "x"] {
        assert!(!world.workdir().join(".git/worktrees/wt").join(name).exists(), "{name}");
    }
    assert!(!world.workdir().join(".git/worktrees/new/config").exists());
    git(&world.workdir(), "-C wt status && git worktree remove wt");
    // One that comes while commands run is held as well.
    git(&world.workdir(), "worktree add -q later");
    let attacked =
        client.run("echo /evil > .git/worktrees/later/commondir; rm .git/worktrees/later/gitdir").await;
    assert_ne!(attacked.ran().0, 0, "{attacked:?}");
    git(&world.workdir(), "-C later status && git worktree remove later");
}

#[tokio::test]
async fn submodules_and_repositories_within_work_and_stay_what_they_are() {
    let source = World::with_rules("").configured("");
    project(&source);
    let world = World::with_rules("").configured("");
    project(&world);
    let url = word(&source.workdir());
    let client = behind_the_door(&world).await;
    let add = |name: &str| {
        format!("git -c protocol.file.allow=always submodule --quiet add {url} {name} 2> /dev/null")
    };
    all_succeed(
        &client,
        &[
            ("add", &format!("{}; git commit -qm sub; grep -q 'active = true' .git/config", add("sub"))),
            ("one deeper", &format!("{}; git commit -qm deep; git submodule status | grep -q lib/deep", add("lib/deep"))),
            ("a commit", "cd sub; echo x > x; git add x; git -c user.name=a -c user.email=a@b commit -qm x; cd ..; git commit -qam bump"),
            ("a repository within", &format!("git init -q own; cd own; {IDENTITY}; echo 1 > 1; git add 1; git commit -qm 1")),
        ],
    )
    .await;
    let attacked = client
        .run("d=.git/modules/sub; git -C sub config core.fsmonitor ./evil; echo evil >> $d/config; echo > $d/hooks/pre-commit; mv $d .git/modules/x; rm $d/HEAD; cat $d/config")
        .await;
    assert!(!attacked.ran().1.contains("evil"), "{attacked:?}");
    assert!(world.workdir().join(".git/modules/sub/HEAD").exists());
    git(&world.workdir(), "submodule status && git -C sub status && git -C lib/deep fsck");
    // What a new one is told to run, or to take for its own, it is not.
    let attacked = client
        .run(
            "git init -q --separate-git-dir .git/modules/new new; d=.git/modules/new; git -C new config core.fsmonitor ./evil; git -C new config core.worktree /tmp
             echo evil > $d/hooks/pre-commit; printf '[core]\n\tpager = evil\n' > x; (set -C; cat x > $d/config.lock); mv $d/config.lock $d/config; cat $d/config $d/hooks/*; true",
        )
        .await;
    let made = world.workdir().join(".git/modules/new");
    let text = std::fs::read_to_string(made.join("config")).expect("a configuration");
    let is_as_made = text.contains("bare = false") && !text.contains("evil") && !text.contains("worktree");
    assert!(is_as_made && entries(&made.join("hooks")).is_empty(), "{text}: {attacked:?}");
}

/// What Git writes before it gets its name is nobody else's to write, and does not stay.
#[tokio::test]
async fn what_becomes_a_configuration_is_written_by_who_began_it() {
    let world = World::with_rules("").configured("");
    project(&world);
    let config = world.workdir().join(".git/config");
    let before = std::fs::read_to_string(&config).expect("a configuration");
    let client = behind_the_door(&world).await;
    let lock = world.workdir().join(".git/config.lock");
    // Somebody's who is about to make it the configuration.
    std::fs::write(&lock, &before).expect("written");
    let attacked = client
        .run(
            "l=.git/config.lock; echo evil >> $l; rm -f $l; mv $l x; mv -f x $l; ln -f x $l; ln -sf /tmp/x $l; chmod 777 $l; truncate -s 0 $l
             python3 -c 'open(\".git/config.lock\", \"r+\").write(\"evil\")' 2> /dev/null; git config core.sparseCheckout true; cat $l",
        )
        .await;
    assert!(attacked.ran().1.ends_with(&before), "{attacked:?}");
    assert_eq!(std::fs::read_to_string(&lock).expect("a lock"), before);
    std::fs::remove_file(&lock).expect("removed");
    // One of a command that is killed before it is done.
    let ended =
        client.run("set -C; exec 3> .git/config.lock && echo locked; mkfifo .git/config.worktree.lock").await;
    assert!(ended.ran().1.starts_with("locked\n"), "{ended:?}");
    let locks = async || {
        let left = ["config.lock", "config.worktree.lock"]
            .map(|name| world.workdir().join(".git").join(name).exists());
        if left == [false; 2] { Ok(()) } else { Err(format!("locks are left: {left:?}")) }
    };
    eventually_async(locks).await;
    let attacked = client
        .run(
            "change() { sed \"$1\" .git/config > new && (set -C; cat new > .git/config.lock) && mv .git/config.lock .git/config; rm -f .git/config.lock; }
             change 's/^\\[core\\]/[core]\\n\\tfsmonitor = evil/'; change '$a[include]\\n\\tpath = evil'; change '1i[alias]\\n\\tst = !evil'; change d
             git config core.hooksPath evil; git config --add submodule.x.update '!evil'; git config --add submodule.x.url ext::evil
             printf '[core]\\n\\tfsmonitor = evil\\n' > w; (set -C; cat w > .git/config.worktree.lock); mv .git/config.worktree.lock .git/config.worktree; rm -f .git/*.lock",
        )
        .await;
    assert_eq!(std::fs::read_to_string(&config).expect("a configuration"), before, "{attacked:?}");
    assert!(
        attacked.json()["notes"].to_string().contains(".git/config, .git/config.worktree;"),
        "{attacked:?}"
    );
    let names = entries(&world.workdir().join(".git"));
    assert!(!names.iter().any(|name| name.starts_with("config.")), "{names:?}");
}

#[tokio::test]
async fn a_protected_name_that_is_let_is_written_and_no_other() {
    let grants = "profile=\"git\", grants={\"protected\": [\".git/config\"]}";
    let by_rule = format!("prefix_rule([\"git\", [\"config\", \"remote\"]], decision=\"allow\", {grants})\n");
    for (rules, arguments) in [("", &["--protected", ".git/config"][..]), (&by_rule, &[])] {
        let world = World::with_rules(rules).configured("");
        project(&world);
        let client = Client::start_with(&world, &Person::absent(), arguments).await;
        let change =
            "git config a.b c && git remote add x /y && git config --unset a.b && git config remote.x.url";
        assert_eq!(client.run(change).await.ran(), (0, "/y\n"), "{arguments:?}");
        client
            .run("git config -f .git/config.worktree a.b evil; echo evil > .git/hooks/x; mkdir .vscode; true")
            .await;
        git(
            &world.workdir(),
            "version && ! test -e .git/hooks/x && ! test -e .vscode && ! test -e .git/config.worktree",
        );
        if arguments.is_empty() {
            client.run("echo '[evil]' >> .git/config; true").await;
            git(&world.workdir(), "version && ! grep -q evil .git/config");
        }
    }
}

#[tokio::test]
async fn repositories_below_the_workspace_stay_what_they_are() {
    let world = World::with_rules("").configured("");
    let top = world.workdir();
    for folder in ["one", "group/two"] {
        std::fs::create_dir_all(top.join(folder)).expect("a folder");
        git(&top.join(folder), "init -q -b main && git commit -q --allow-empty -m 1");
    }
    git(&top, "init -q --bare bare.git");
    let client = behind_the_door(&world).await;
    for folder in ["one", "group/two"] {
        let work = format!(
            "cd {folder}; git() {{ command git -c user.name=a -c user.email=a@b \"$@\"; }}; echo 1 > 1; mkdir d; git add 1; \
             git commit -qm 2; git checkout -q -b x; git stash list; rm -r d"
        );
        all_succeed(&client, &[(folder, &work)]).await;
        let attacked = client
            .run(&format!(
                "cd {folder}; git config core.fsmonitor ./evil; echo evil >> .git/config; mv .git x; mkdir -p .git/hooks; \
                 echo evil > .git/hooks/pre-commit; cd ..; mv {name} gone; mv ../group ../gone; cat {name}/.git/config {name}/.git/hooks/pre-commit; true",
                name = folder.rsplit('/').next().unwrap_or_default(),
            ))
            .await;
        assert!(!attacked.ran().1.contains("evil\n"), "{attacked:?}");
        git(
            &top.join(folder),
            "log --oneline | grep -q 2 && ! grep -q evil .git/config && ! test -e .git/hooks/pre-commit",
        );
    }
    client.run("cd bare.git; echo evil >> config; echo evil > hooks/update; true").await;
    git(&top, "init -q && ! grep -q evil bare.git/config && ! test -e bare.git/hooks/update");
}

#[tokio::test]
async fn a_root_may_be_a_git_directory_or_lie_in_a_repository() {
    let world = World::with_rules("").configured("");
    git(&world.workdir(), "init -q --bare .");
    let config = std::fs::read(world.workdir().join("config")).expect("a configuration");
    let client = behind_the_door(&world).await;
    all_succeed(
        &client,
        &[(
            "objects",
            "git hash-object -w --stdin < HEAD; git update-ref refs/x $(git write-tree); git pack-refs --all",
        )],
    )
    .await;
    let attacked = client
        .run("git config core.fsmonitor ./evil; echo evil >> config; mv hooks x; echo > hooks/update; ln -s /tmp/x logs/HEAD; rm HEAD; mkdir .git; true")
        .await;
    assert_eq!(
        std::fs::read(world.workdir().join("config")).expect("a configuration"),
        config,
        "{attacked:?}"
    );
    assert!(!world.workdir().join("hooks/update").exists() && world.workdir().join("HEAD").exists());

    let world = World::with_rules("").configured("");
    project(&world);
    let sub = world.workdir().join("src");
    let mut server = world.server(&["--door", "kernel"]);
    server.current_dir(&sub);
    let client = Client::start_command(&world, &Person::absent(), server).await;
    let script = "git status --short; echo x > new; echo evil >> ../.git/config; git log --oneline";
    let outcome = client.call(json!({"command": script, "workdir": sub, "login": false})).await;
    assert!(outcome.ran().1.contains("one") && sub.join("new").exists(), "{outcome:?}");
    assert!(!std::fs::read_to_string(world.workdir().join(".git/config")).expect("a file").contains("evil"));
}

#[tokio::test]
async fn a_root_may_lie_in_a_git_directory() {
    let world = World::with_rules("").configured("");
    let main = world.home().join("main");
    std::fs::create_dir(&main).expect("a folder");
    git(
        &main,
        &format!(
            "init -q; {IDENTITY}; git commit -q --allow-empty -m 1; git worktree add -q ../linked; git clone -q . ../other"
        ),
    );
    git(&main, "-c protocol.file.allow=always submodule add -q ../other sub && git commit -qm sub");
    let folder = main.join(".git");
    let seen = |script: &str| {
        let seen = Command::new("sh").args(["-c", script]).current_dir(&folder).output().expect("a shell");
        String::from_utf8_lossy(&seen.stdout).into_owned()
    };
    let all = "cd worktrees/linked && cat commondir gitdir; ls -A . | grep -v logs; cd ../../modules; find . -name new; cat sub/config; ls -A sub sub/hooks";
    for door in ["kernel", "wrapper"] {
        let before = seen(all);
        let roots = ["worktrees/linked", "modules"].map(|name| folder.join(name).display().to_string());
        let flags = ["--door", door, "--writable-root", &roots[0], "--writable-root", &roots[1]];
        let client = Client::start_command(&world, &Person::absent(), world.server(&flags)).await;
        let script = format!(
            "cd {}; for f in commondir gitdir config.worktree; do echo evil > $f; mv $f x; rm -f $f; done; echo x > logs/new
             cd ../../modules; for f in sub/config sub/hooks/update sub/commondir; do echo evil > $f; rm -f $f; done
             mv sub/config sub/x; mv sub/hooks sub/x; mkdir -p new/hooks; echo evil > new/config; echo evil > new/hooks/update; rm -rf new; true",
            word(&folder.join("worktrees/linked")),
        );
        let attacked = client.run(&script).await;
        assert_eq!(seen("rm worktrees/linked/logs/new && echo made"), "made\n", "{door}: {attacked:?}");
        // With the wrapper's door, what holds missing names goes with the session.
        drop(client);
        eventually_async(async || {
            let now = seen(all);
            if now == before { Ok(()) } else { Err(format!("{door}: {now}\n{before}\n{attacked:?}")) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_tree_is_never_wrong_in_silence() {
    let world = World::with_rules("").configured("");
    project(&world);
    git(
        &world.workdir(),
        "checkout -qb other && mkdir .vscode && echo 2 > .vscode/settings.json && echo {} > .mcp.json && echo two > two && git add -f . && git commit -qm two && git checkout -q main",
    );
    let client = behind_the_door(&world).await;
    for (what, script) in [
        ("switch", "git switch -q other; git switch -qf main"),
        ("merge", "git merge -q other; git reset -q --hard HEAD"),
        ("reset", "git reset -q --hard other; git reset -q main"),
        ("checkout of files", "git checkout other -- .; git reset -q"),
        ("restore", "git restore --source other ."),
    ] {
        let outcome = client.run(&format!("{script}; rm two; true")).await;
        let result = outcome.json();
        assert_eq!(result["status"], "declined", "{what}: {outcome:?}");
        let note = first_note(result);
        assert!(note.starts_with("left as they were") && note.contains(".mcp.json"), "{what}: {note}");
        assert!(!world.workdir().join(".mcp.json").exists(), "{what}");
    }
    // The twin: nothing protected is concerned.
    git(&world.workdir(), "checkout -qf main && git clean -fdq");
    git(
        &world.workdir(),
        "checkout -qb plain && echo p > p && git add p && git commit -qm p && git checkout -q main",
    );
    let outcome = client.run("git switch -q plain; git switch -q main").await;
    assert_eq!(outcome.json()["status"], "completed", "{outcome:?}");
    assert_eq!(outcome.json()["notes"], Value::Null, "{outcome:?}");
    // What is removed there stays, and that is said, too.
    std::fs::create_dir_all(world.workdir().join(".vscode")).expect("a folder");
    git(&world.workdir(), "checkout -qf other");
    let outcome = client.run("git switch -q main").await;
    assert_eq!(outcome.json()["status"], "declined", "{outcome:?}");
    assert!(world.workdir().join(".vscode/settings.json").exists());
}

#[tokio::test]
async fn nothing_is_left_in_a_project_and_all_of_it_can_be_removed() {
    let world = World::with_rules("").configured("");
    project(&world);
    let before = (entries(&world.workdir()), entries(&world.workdir().join(".git")));
    let client = behind_the_door(&world).await;
    all_succeed(
        &client,
        &[
            ("stash", "echo u > u; echo x >> file; git stash -q -u; test ! -e u; git stash pop -q; test -e u; git checkout -q file"),
            ("clean", "mkdir -p d/e; echo x > d/e/x; git clean -fdq; test ! -e d -a ! -e u"),
            ("ls", "test \"$(ls -A)\" = \"$(printf '.git\\nfile\\nsrc')\""),
        ],
    )
    .await;
    let after = (entries(&world.workdir()), entries(&world.workdir().join(".git")));
    assert_eq!(before.0, after.0);
    let made: Vec<_> = after.1.difference(&before.1).collect();
    assert_eq!(made, ["AUTO_MERGE", "ORIG_HEAD"], "Git's own");
    // Made again outside, and removed for good.
    std::fs::remove_dir_all(world.workdir().join(".git")).expect("removed");
    git(&world.workdir(), "init -q -b main && git config user.email a@b && git config user.name a");
    all_succeed(
        &client,
        &[("in the new one", "git add .; git commit -qm new; git log --oneline | grep new")],
    )
    .await;
    std::fs::remove_dir_all(world.workdir()).expect("removed");
}

/// What the user's own Git would follow or obey later: links to files of the user's, and names of files that it reads and writes.
#[tokio::test]
async fn git_finds_no_link_and_no_names_of_files_that_a_command_has_left() {
    let world = World::with_rules("").configured("");
    project(&world);
    let client = behind_the_door(&world).await;
    // The twin: where Git writes nothing by name, links can be made.
    let twin = client.run("ln -s /etc/passwd .git/objects/link && rm .git/objects/link && echo made").await;
    assert_eq!(twin.ran(), (0, "made\n"), "{twin:?}");
    let attempts = client
        .run(
            "mkdir .git/rr-cache; mkdir .git/RR-CACHE; echo x > .git/MERGE_RR; echo x > f; mv f .git/MERGE_RR; \
             mkdir .git/sequencer; ln -s ~/.bashrc .git/sequencer/abort-safety; mkdir d; ln -s ~/.bashrc d/abort-safety; \
             mv d .git/rebase-merge; ln -s /etc .git/svn; mkdir -p .git/a/b; ln -s /etc .git/a/b/c; rm -r d f; \
             find .git -type l; ls .git | grep -i -e rr -e merge-",
        )
        .await;
    assert!(
        !attempts.ran().1.lines().any(|line| line.starts_with(".git/") || line.contains("MERGE_RR\n")),
        "{attempts:?}"
    );
    for name in [
        ".git/rr-cache",
        ".git/MERGE_RR",
        ".git/sequencer/abort-safety",
        ".git/rebase-merge",
        ".git/svn",
        ".git/a/b/c",
    ] {
        assert!(world.workdir().join(name).symlink_metadata().is_err(), "{name}: {attempts:?}");
    }
    git(&world.workdir(), "status --short && test -z \"$(git status --short)\"");
}
