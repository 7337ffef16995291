//! Tests of the care for Git: real repositories, no Git is run.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::{Mode, Plan};

use super::*;
use crate::programs::Programs;

pub(in crate::judgement::git) fn trust(writable: &[&Path], read_only: &[PathBuf]) -> Trust {
    let mut plan = Plan::unenforced(Mode::WorkspaceWrite, false.into());
    plan.writable = writable.iter().map(|path| path.to_path_buf()).collect();
    plan.read_only = read_only.to_vec();
    Trust::new(Arc::new(Programs::new(OsStr::new(""))), Arc::new(plan))
}

fn exec(workdir: &Path, words: &[&str]) -> Exec {
    Exec {
        file: "/usr/bin/git".into(),
        argv: words.iter().map(OsString::from).collect(),
        env: Vec::new(),
        directory: None,
        workdir: workdir.to_owned(),
        seen: None,
        opened: None,
        first_line: None,
        starter: crate::judgement::Starter::Shell,
        kept_inside: None,
        runs_as: None,
        lineage: crate::judgement::Lineage::default(),
        is_far: false,
        reads_input: false,
    }
}

pub(in crate::judgement::git) fn caution(trust: &Trust, workdir: &Path, words: &[&str]) -> Option<String> {
    let exec = exec(workdir, words);
    match invocation(&exec) {
        Err(why) => Some(why),
        Ok(invocation) => match judge(&invocation, trust) {
            Judged::InDoubt(why) | Judged::Leads(why) => Some(why),
            Judged::Fine(..) => None,
        },
    }
}

const CONFIG: &str = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = git@example.com:a/b.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n[branch \"main\"]\n\tremote = origin\n";

pub(in crate::judgement::git) fn repository(folder: &Path) {
    for name in ["hooks", "objects", "refs"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    std::fs::write(folder.join("config"), CONFIG).unwrap();
}

pub(in crate::judgement::git) fn protected(folder: &Path) -> Vec<PathBuf> {
    OBEYED.iter().map(|name| folder.join(name)).collect()
}

const OBEYED: &[&str] = &["config", "config.worktree", "hooks", "commondir", "remotes", "branches"];

#[test]
fn a_repository_is_trusted_when_nothing_that_git_obeys_can_be_written() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    repository(&root.join("ws/.git"));
    std::fs::create_dir_all(root.join("ws/deep/er")).unwrap();
    let ws = root.join("ws");
    let kept = trust(&[&ws], &protected(&ws.join(".git")));
    assert_eq!(caution(&kept, &ws.join("deep/er"), &["git", "push"]), None);
    for missing in OBEYED {
        let mut places = protected(&ws.join(".git"));
        places.retain(|place| !place.ends_with(missing));
        let why = caution(&trust(&[&ws], &places), &ws, &["git", "status"]).expect(missing);
        assert!(why.contains(missing) && why.contains("can be written from inside"), "{why}");
    }
    // A second repository, which the agent made.
    repository(&ws.join("deep/.git"));
    assert!(caution(&kept, &ws.join("deep/er"), &["git", "status"]).is_some());
    assert!(caution(&kept, &ws, &["git", "-C", "deep", "status"]).is_some());
    assert!(caution(&kept, &ws, &["git", "push", "deep", "main"]).is_some());
    assert!(caution(&kept, &ws, &["git", "push", "origin", "main"]).is_none());
    // Outside a repository there is nothing of the agent's to obey.
    assert_eq!(caution(&kept, Path::new("/"), &["git", "ls-remote", "https://example.com/x.git"]), None);
}

#[test]
fn a_configuration_that_leads_into_the_workspace_is_in_doubt() {
    let root = tempfile::tempdir().unwrap();
    let ws = root.path().canonicalize().unwrap();
    repository(&ws.join(".git"));
    let kept = trust(&[&ws], &protected(&ws.join(".git")));
    for (config, fine) in [
        ("[core]\n\teditor = ./edit\n", false),
        ("[core]\n\thooksPath = .husky/_\n", true),
        ("[include]\n\tpath = ../x\n", false),
        ("[filter \"x\"] clean = ./tools/clean %f\n", false),
        ("[credential]\n\thelper = \"!tools/x\"\n", false),
        ("[filter \"lfs\"]\n\tclean = git-lfs clean -- %f\n", true),
        ("[core]\n\tsshCommand = ssh -i ~/.ssh/key -o X=/etc/y\n", true),
        (
            "[remote \"origin\"]\n\turl = https://example.com/a/b.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
            true,
        ),
    ] {
        std::fs::write(ws.join(".git/config"), config).unwrap();
        assert_eq!(caution(&kept, &ws, &["git", "status"]).is_none(), fine, "{config}");
    }
}

#[test]
fn a_linked_work_tree_is_as_good_as_its_main_repository() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    repository(&root.join("main/.git"));
    let linked = root.join("main/.git/worktrees/w");
    std::fs::create_dir_all(&linked).unwrap();
    std::fs::write(linked.join("commondir"), "../..\n").unwrap();
    std::fs::create_dir(root.join("w")).unwrap();
    std::fs::write(root.join("w/.git"), format!("gitdir: {}\n", linked.display())).unwrap();
    let ws = root.join("w");
    let only_tree = trust(&[&ws], &[ws.join(".git")]);
    assert_eq!(caution(&only_tree, &ws, &["git", "status"]), None);
    let pointer_writable = trust(&[&ws], &[]);
    assert!(caution(&pointer_writable, &ws, &["git", "status"]).is_some());
    let main_writable = trust(&[&root], &[ws.join(".git"), linked.join("commondir")]);
    assert!(caution(&main_writable, &ws, &["git", "status"]).is_some());
}

#[test]
fn arguments_that_run_or_write_something_need_a_persons_eye() {
    let root = tempfile::tempdir().unwrap();
    let ws = root.path().canonicalize().unwrap();
    repository(&ws.join(".git"));
    let trust = trust(&[&ws], &protected(&ws.join(".git")));
    for words in [
        &["git", "-c", "core.pager=x", "log"][..],
        &["git", "-ccore.pager=x", "log"],
        &["git", "--config-env=core.pager=X", "log"],
        &["git", "--exec-path=/ws", "log"],
        &["git", "--git-dir=/ws/x", "log"],
        &["git", "grep", "-O", "x"],
        &["git", "grep", "-nOless", "x"],
        &["git", "grep", "--open-files=less", "x"],
        &["git", "diff", "--output=/etc/x"],
        &["git", "diff", "--outp", "/etc/x"],
        &["git", "push", "--receive-pack=x", "origin"],
        &["git", "push", "--exec=x", "origin"],
        &["git", "fetch", "--upload-pack", "x", "origin"],
        &["git", "fetch", "--upl=x", "origin"],
        &["git", "clone", "-u", "x", "y"],
        &["git", "fetch", "ext::sh -c id"],
        &["git", "rebase", "-x", "id"],
        &["git", "bisect", "run", "id"],
        &["git", "config", "core.pager", "x"],
        &["git", "an-alias"],
        &["git", "checkout", "x"],
        &["git", "reset", "--hard", "x"],
        &["git", "rebase", "--continue"],
        &["git", "worktree", "add", "/etc/x"],
        &["git", "bundle", "create", "/etc/x", "HEAD"],
        &["git", "archive", "--remote=origin", "HEAD"],
        &["git", "fetch", "--recurse-submodules"],
        &["git", "checkout", "--recurse-submodules", "x"],
        &["git", "diff", "--submodule=diff"],
        &["git-grep", "-O", "x"],
        &["git", "merge-file", "/etc/x", "base", "evil"],
        &["git", "pack-objects", "/etc/x"],
        &["git", "index-pack", "-o", "/etc/x", "p.pack"],
        &["git", "format-patch", "--suffix=.rules", "-1"],
        &["git", "repack", "-d", "--expire-to=/etc/x"],
    ] {
        assert!(caution(&trust, &ws, words).is_some(), "{words:?}");
    }
    for words in [
        &["git", "push", "origin", "HEAD:refs/heads/x"][..],
        &["git", "--no-pager", "log", "--oneline", "-n", "3"],
        &["git", "commit", "-m", "why: because"],
        &["git", "grep", "-n", "std::ffi"],
        &["git"],
    ] {
        if words.contains(&"std::ffi") {
            // An address and a word of C++ look alike; asking about it is the safe side.
            assert!(caution(&trust, &ws, words).is_some());
        } else {
            assert_eq!(caution(&trust, &ws, words), None, "{words:?}");
        }
    }
}

#[test]
fn settings_stand_behind_those_of_the_environment() {
    let mut variables = Variables::new();
    variables.insert("GIT_CONFIG_COUNT".into(), "2".into());
    let hardening = Hardening { caution: None, settings: ALWAYS.to_vec(), pinned: Vec::new() };
    hardening.apply(&mut variables);
    let get = |name: &str| variables.get(OsStr::new(name)).and_then(|value| value.to_str());
    assert_eq!(get("GIT_CONFIG_COUNT"), Some((2 + ALWAYS.len()).to_string().as_str()));
    assert_eq!(
        (get("GIT_CONFIG_KEY_2"), get("GIT_CONFIG_VALUE_2")),
        (Some("core.hooksPath"), Some("/dev/null"))
    );
}

#[test]
fn only_other_machines_and_what_the_sandbox_cannot_reach_are_talked_to_without_a_question() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let ws = root.join("ws");
    repository(&ws.join(".git"));
    repository(&ws.join("evil.git"));
    repository(&root.join("kept.git"));
    let kept = trust(&[&ws], &protected(&ws.join(".git")));
    let with = |more: &str, words: &[&str]| {
        std::fs::write(ws.join(".git/config"), format!("{CONFIG}{more}")).unwrap();
        caution(&kept, &ws, words)
    };
    for words in [
        &["git", "push"][..],
        &["git", "push", "-u", "-o", "ci.skip", "origin", "HEAD:refs/heads/x"],
        &["git", "push", "--force-with-lease=main", "origin", "main"],
        &["git", "push", "git@example.com:a/b.git", "main"],
        &["git", "fetch", "--all", "--prune"],
        &["git", "fetch", "https://example.com/a/b"],
        &["git", "pull", "--rebase", "origin", "main"],
        &["git", "ls-remote", "--tags", "ssh://git@example.com/x"],
        &["git", "clone", "--depth", "1", "https://example.com/a/b"],
        &["git", "clone", "https://example.com/a/b", "new"],
        &["git", "remote", "-v"],
        &["git", "remote", "update"],
        &["git", "remote", "show", "origin"],
    ] {
        assert_eq!(with("", words), None, "{words:?}");
    }
    for words in [
        &["git", "push", "./evil", "HEAD:x"][..],
        &["git", "push", "evil"],
        &["git", "push", "--repo=evil"],
        &["git", "push", "--rep", "evil"],
        &["git", "push", "-o", "origin", "evil"],
        &["git", "push", "--", "evil"],
        &["git", "fetch", "file:///x/%65vil.git"],
        &["git", "fetch", "HTTPS://example.com/x"],
        &["git", "fetch", "--multiple", "origin", "evil"],
        &["git", "fetch", "--depth", "1", "evil"],
        &["git", "pull", "."],
        &["git", "pull", "https://example.com/a/b"],
        &["git", "clone", "https://example.com/a/b", "/etc/x"],
        &["git", "clone", "https://example.com/a/b", "../x"],
        &["git", "ls-remote", "evil"],
        &["git", "clone", "evil"],
        &["git", "remote", "update", "evil"],
        &["git", "remote", "add", "x", "https://example.com/x"],
    ] {
        assert!(with("", words).is_some(), "{words:?}");
    }
    let there = format!("[remote \"kept\"]\n\turl = {}\n", root.join("kept.git").display());
    assert_eq!(with(&there, &["git", "push", "kept"]), None);
    for more in [
        "[remote \"other\"]\n\turl = ./evil\n",
        "[remote \"other\"]\n\turl = https://example.com/x\n\tpushurl = evil\n",
        "[url \"./\"]\n\tinsteadOf = git@example.com:\n",
        "[branch \"x\"]\n\tremote = ./evil\n",
        &format!("[remote \"other\"]\n\turl = {}\n", ws.join("evil.git").display()),
    ] {
        assert!(with(more, &["git", "push"]).is_some(), "{more}");
    }
    // Without a remote in the configuration, `origin` is a path.
    std::fs::write(ws.join(".git/config"), "[core]\n\tbare = false\n").unwrap();
    assert!(caution(&kept, &ws, &["git", "fetch"]).is_some());
    // A folder stands in an address's way.
    std::fs::create_dir(ws.join("https:")).unwrap();
    assert!(with("", &["git", "clone", "https://example.com/a/b"]).is_some());
}

#[test]
fn remotes_that_files_name_are_in_doubt_and_empty_folders_for_them_are_not() {
    let root = tempfile::tempdir().unwrap();
    let ws = root.path().canonicalize().unwrap();
    repository(&ws.join(".git"));
    let kept = trust(&[&ws], &protected(&ws.join(".git")));
    for name in ["remotes", "branches"] {
        std::fs::create_dir(ws.join(".git").join(name)).unwrap();
        assert_eq!(caution(&kept, &ws, &["git", "status"]), None);
        let file = ws.join(".git").join(name).join("evil");
        std::fs::write(&file, "URL: ./evil\n").unwrap();
        assert!(caution(&kept, &ws, &["git", "status"]).expect(name).contains("names remotes"));
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_repository_may_have_its_parts_elsewhere() {
    let root = tempfile::tempdir().unwrap();
    let ws = root.path().canonicalize().unwrap();
    let tool = ws.join("tool");
    std::fs::create_dir(&tool).unwrap();
    repository(&ws.join(".git"));
    let kept = trust(&[&ws], &protected(&ws.join(".git")));
    std::fs::write(tool.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    assert_eq!(caution(&kept, &tool, &["git", "push"]), None, "a file called HEAD is no repository");
    std::fs::write(tool.join("commondir"), "../.git\n").unwrap();
    assert!(caution(&kept, &tool, &["git", "push"]).is_some());
    std::fs::remove_file(tool.join("commondir")).unwrap();
    std::fs::create_dir(tool.join("refs")).unwrap();
    assert!(caution(&kept, &tool, &["git", "push"]).is_some());
}

#[test]
fn links_through_which_git_would_write_are_in_doubt() {
    let root = tempfile::tempdir().unwrap();
    let ws = root.path().canonicalize().unwrap();
    repository(&ws.join(".git"));
    std::fs::create_dir_all(ws.join(".git/logs/refs/heads")).unwrap();
    let kept = trust(&[&ws], &protected(&ws.join(".git")));
    symlink("../../check", ws.join(".git/hooks/pre-commit")).unwrap();
    assert_eq!(caution(&kept, &ws, &["git", "commit"]), None, "hooks are not run");
    for name in
        ["FETCH_HEAD", "logs/HEAD", "logs/refs/heads/main", "refs/x", "objects/ab", "info/refs", "index"]
    {
        let link = ws.join(".git").join(name);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink("/nowhere/.bashrc", &link).unwrap();
        let why = caution(&kept, &ws, &["git", "push"]).expect(name);
        assert!(why.contains("is a link"), "{why}");
        std::fs::remove_file(&link).unwrap();
    }
    assert_eq!(caution(&kept, &ws, &["git", "push"]), None);
}

#[test]
fn what_may_be_a_submodule_of_the_agents_is_asked_about() {
    let root = tempfile::tempdir().unwrap();
    let ws = root.path().canonicalize().unwrap();
    repository(&ws.join(".git"));
    let kept = trust(&[&ws], &protected(&ws.join(".git")));
    repository(&ws.join("a/b/.git"));
    let why = caution(&kept, &ws, &["git", "status"]).expect("asked");
    assert!(why.contains("may be a submodule"), "{why}");
    assert_eq!(caution(&kept, &ws, &["git", "push"]), None, "a push leaves the work tree alone");
    let both = [protected(&ws.join(".git")), protected(&ws.join("a/b/.git"))].concat();
    assert_eq!(caution(&trust(&[&ws], &both), &ws, &["git", "status"]), None, "the user's own");
    std::fs::write(ws.join(".gitmodules"), "").unwrap();
    assert!(caution(&trust(&[&ws], &both), &ws, &["git", "push"]).is_some());
}

#[test]
fn a_place_that_holds_no_repository_does_not_hide_the_one_above() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let ws = root.join("ws");
    // The placeholder of a workspace without a repository.
    std::fs::create_dir_all(ws.join(".git")).unwrap();
    let kept = trust(&[&root], &[ws.join(".git")]);
    assert_eq!(caution(&kept, &ws, &["git", "status"]), None);
    repository(&root.join(".git"));
    assert!(caution(&kept, &ws, &["git", "status"]).is_some());
    let both = [vec![ws.join(".git")], protected(&root.join(".git"))].concat();
    assert_eq!(caution(&trust(&[&root], &both), &ws, &["git", "status"]), None);
    assert!(caution(&kept, &ws, &["git", "-C", "missing", "status"]).is_some());
}

#[test]
fn git_is_kept_to_the_repository_that_was_judged() {
    let root = tempfile::tempdir().unwrap();
    let ws = root.path().canonicalize().unwrap();
    repository(&ws.join(".git"));
    std::fs::create_dir(ws.join("deep")).unwrap();
    let kept = trust(&[&ws], &protected(&ws.join(".git")));
    let pinned = |config: &str, words: &[&str]| {
        std::fs::write(ws.join(".git/config"), config).unwrap();
        let exec = exec(&ws.join("deep"), words);
        match judge(&arguments::read(&exec).unwrap(), &kept) {
            Judged::Fine(_, pinned) => pinned,
            judged @ (Judged::InDoubt(_) | Judged::Leads(_)) => panic!("{judged:?}"),
        }
    };
    let usual = vec![("GIT_DIR", ws.join(".git")), ("GIT_WORK_TREE", ws.clone())];
    assert_eq!(pinned(CONFIG, &["git", "status"]), usual);
    assert_eq!(pinned("[extensions]\n\tworktreeConfig = true\n", &["git", "status"]), usual);
    for unusual in ["[core]\n\tbare = true\n", "[core] bare\n", "[core]\n\tworktree = /x\n"] {
        assert_eq!(pinned(unusual, &["git", "status"]), [], "{unusual}");
    }
    assert_eq!(pinned(CONFIG, &["git", "clone", "https://example.com/x"]), []);
    let hardening = Hardening { caution: None, settings: ALWAYS.to_vec(), pinned: usual };
    let mut variables = Variables::new();
    hardening.apply(&mut variables);
    assert_eq!(variables.get(OsStr::new("GIT_DIR")), Some(&ws.join(".git").into_os_string()));
    // What the user has set for the server stays.
    let mut variables = Variables::new();
    variables.insert("GIT_DIR".into(), "/x".into());
    hardening.apply(&mut variables);
    assert_eq!(variables.get(OsStr::new("GIT_DIR")), Some(&"/x".into()));
    assert!(!variables.contains_key(OsStr::new("GIT_WORK_TREE")));
}
