//! The Git directory of a workspace that has none of its own: of a linked work tree, of a submodule, of a folder in a
//! repository. Without it nothing can be committed.
//!
//! It is writable like a root, with all that Git obeys in it protected. Who decides is the repository, not the
//! workspace, in which commands may have written: it must name the workspace, or hold it.

use super::is_too_wide;
use super::links::{linked_folder, small_text, work_tree_of};
use rustix::process::geteuid;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the Git directory of a workspace is, and the folder whose `.git` leads there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elsewhere {
    /// The common one of all work trees.
    pub(super) folder: PathBuf,
    /// The workspace, or the folder above it that is the top of its work tree.
    pub(super) top: PathBuf,
}

/// Finds it. None where the workspace has one of its own, or belongs to no repository of the user's.
pub(super) fn elsewhere(workspace: &Path, homes: &[PathBuf]) -> Option<Elsewhere> {
    let top = workspace.ancestors().find(|folder| folder.join(".git").symlink_metadata().is_ok())?;
    if top != workspace && is_too_wide(top, homes) {
        return None;
    }
    let place = top.join(".git");
    let folder = if place.symlink_metadata().ok()?.is_dir() {
        (top != workspace).then_some(place)?
    } else {
        let own = linked_folder(&place, "gitdir:")?;
        let common = linked_folder(&own.join("commondir"), "");
        if !names(&own, &place) {
            return None;
        }
        common.unwrap_or(own)
    };
    (is_git_directory(&folder) && is_ours(&folder)).then(|| Elsewhere { folder, top: top.to_owned() })
}

/// The top of the work tree that a folder belongs to: the nearest folder with a `.git`, free of links.
#[must_use]
pub fn work_tree_of_folder(folder: &Path) -> Option<PathBuf> {
    let top = folder.ancestors().find(|folder| folder.join(".git").symlink_metadata().is_ok())?;
    top.canonicalize().ok()
}

/// The Git directory that a folder belongs to: its own, or one elsewhere that knows it. Its configuration is not obeyed.
#[must_use]
pub fn repository_of(folder: &Path, homes: &[PathBuf]) -> Option<PathBuf> {
    let own = folder.join(".git");
    if own.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return (is_git_directory(&own) && is_ours(&own)).then_some(own);
    }
    elsewhere(folder, homes).map(|found| found.folder)
}

/// Whether a Git directory says that this `.git` file leads to it: `gitdir` of a linked work tree, the configuration of a submodule.
fn names(own: &Path, place: &Path) -> bool {
    let back = small_text(&own.join("gitdir"), 8192);
    let back = back.map(|text| own.join(text.trim_end()));
    let back = back.or_else(|| work_tree_of(own).map(|tree| tree.join(".git")));
    back.and_then(|back| back.canonicalize().ok()).is_some_and(|back| Some(back) == place.canonicalize().ok())
}

fn is_git_directory(folder: &Path) -> bool {
    folder.join("HEAD").symlink_metadata().is_ok()
        && ["objects", "refs"].iter().all(|name| folder.join(name).is_dir())
}

fn is_ours(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(folder: &Path, script: &str) {
        let git =
            "git -c user.name=a -c user.email=a@b -c protocol.file.allow=always -c init.defaultBranch=main";
        let script = script.replace("git ", &format!("{git} "));
        let done = Command::new("sh").current_dir(folder).args(["-ec", &script]).status();
        assert!(done.unwrap().success(), "{script}");
    }

    #[test]
    fn the_repository_of_every_kind_of_workspace_is_found() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().canonicalize().unwrap();
        git(
            &base,
            "git init -q lib; cd lib; git commit -q --allow-empty -m x; cd ..; git init -q main; cd main; mkdir -p sub/deep; \
             git commit -q --allow-empty -m x; git worktree add -q ../tree; git submodule --quiet add ../lib inner",
        );
        let main = base.join("main");
        let found = |workspace: &str| {
            elsewhere(&base.join(workspace), std::slice::from_ref(&base))
                .map(|found| (found.folder, found.top))
        };
        assert_eq!(found("main"), None);
        assert_eq!(found("tree"), Some((main.join(".git"), base.join("tree"))));
        assert_eq!(found("main/sub/deep"), Some((main.join(".git"), main.clone())));
        assert_eq!(found("main/inner"), Some((main.join(".git/modules/inner"), main.join("inner"))));
    }

    #[test]
    fn a_repository_that_does_not_know_the_workspace_is_not_its_own() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().canonicalize().unwrap();
        git(
            &base,
            "git init -q main; cd main; git commit -q --allow-empty -m x; git worktree add -q ../tree; mkdir ../other",
        );
        for target in ["../main/.git", "../main/.git/worktrees/tree", "../nowhere"] {
            fs::write(base.join("other/.git"), format!("gitdir: {target}\n")).unwrap();
            assert_eq!(elsewhere(&base.join("other"), &[]), None, "{target}");
        }
        // A home that is a repository is not that of all that lies in it.
        fs::create_dir(base.join("main/project")).unwrap();
        assert_eq!(elsewhere(&base.join("main/project"), &[base.join("main")]), None);
    }
}
