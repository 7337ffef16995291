//! Tests of the care for Git: real repositories, no Git is run.

use std::path::PathBuf;
use std::sync::Arc;

use sandbox::{Mode, Plan};

use super::super::trust::Programs;
use super::*;

fn trust(writable: &[&Path], read_only: &[PathBuf]) -> Trust {
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
    }
}

fn caution(trust: &Trust, workdir: &Path, words: &[&str]) -> Option<String> {
    let exec = exec(workdir, words);
    match arguments::read(&exec) {
        Err(why) => Some(why),
        Ok(invocation) => {
            in_repository(&invocation, trust).or_else(|| talks_to_one_inside(&invocation, trust))
        }
    }
}

fn repository(folder: &Path) {
    for name in ["hooks", "objects", "refs"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    std::fs::write(folder.join("config"), "[core]\n\tbare = false\n").unwrap();
}

fn protected(folder: &Path) -> Vec<PathBuf> {
    OBEYED.iter().map(|name| folder.join(name)).collect()
}

const OBEYED: &[&str] = &["config", "config.worktree", "hooks", "commondir"];

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
    let trust = trust(&[], &[]);
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
        &["git-grep", "-O", "x"],
    ] {
        assert!(caution(&trust, Path::new("/"), words).is_some(), "{words:?}");
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
            assert!(caution(&trust, Path::new("/"), words).is_some());
        } else {
            assert_eq!(caution(&trust, Path::new("/"), words), None, "{words:?}");
        }
    }
}

#[test]
fn settings_stand_behind_those_of_the_environment() {
    let mut variables = Variables::new();
    variables.insert("GIT_CONFIG_COUNT".into(), "2".into());
    let care = Care { caution: None, settings: ALWAYS.to_vec() };
    care.apply(&mut variables);
    let get = |name: &str| variables.get(OsStr::new(name)).and_then(|value| value.to_str());
    assert_eq!(get("GIT_CONFIG_COUNT"), Some("5"));
    assert_eq!(
        (get("GIT_CONFIG_KEY_2"), get("GIT_CONFIG_VALUE_2")),
        (Some("core.hooksPath"), Some("/dev/null"))
    );
}
