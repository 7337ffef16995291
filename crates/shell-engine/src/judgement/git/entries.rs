//! Entries of folders that lead Git elsewhere: links in its own folder, repositories below its work tree.

use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

/// More entries than this are not looked through.
const MOST: usize = 200_000;

/// Looks through a folder and those below, or says why it cannot; `enters` says which folders.
fn look(
    top: &Path,
    see: &mut dyn FnMut(&DirEntry, bool) -> Option<String>,
    enters: &dyn Fn(&Path) -> bool,
) -> Option<String> {
    let mut folders = vec![top.to_owned()];
    let mut left = MOST;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            return Some(format!("{} cannot be looked through", folder.display()));
        };
        for entry in entries {
            let kind = entry.and_then(|entry| Ok((entry.file_type()?, entry)));
            let Ok((kind, entry)) = kind else {
                return Some(format!("{} cannot be looked through", folder.display()));
            };
            left = left.saturating_sub(1);
            if left == 0 {
                return Some(format!("{} holds too much to be looked through", top.display()));
            }
            let found = see(&entry, kind.is_symlink());
            if found.is_some() {
                return found;
            }
            let path = entry.path();
            if kind.is_dir() && enters(&path) {
                folders.push(path);
            }
        }
    }
    None
}

/// Finds a link in a repository's own folder, through which Git would write somewhere else. Hooks are not run, so links
/// there are fine.
pub(super) fn link_in(repository: &Path) -> Option<String> {
    let deep = ["logs", "refs", "info", "rebase-merge", "rebase-apply", "sequencer", "worktrees"];
    let enters = |folder: &Path| {
        let below = folder.strip_prefix(repository).unwrap_or(folder);
        let first = below.components().next().map(|component| component.as_os_str());
        let is_deep = first.is_some_and(|first| deep.iter().any(|deep| first == OsStr::new(deep)));
        // The folders of objects are many; what is in them is never written again.
        is_deep || below == Path::new("objects")
    };
    let mut see = |entry: &DirEntry, is_link: bool| {
        is_link.then(|| format!("{} is a link, and Git would write where it leads", entry.path().display()))
    };
    look(repository, &mut see, &enters)
}

/// Finds what may be submodules: every `.git` below the work tree.
pub(super) fn repositories_below(work_tree: &Path) -> Result<Vec<PathBuf>, String> {
    let own = work_tree.join(".git");
    let mut found = Vec::new();
    let mut see = |entry: &DirEntry, _: bool| {
        if entry.file_name() == ".git" && entry.path() != own {
            found.push(entry.path());
        }
        None
    };
    match look(work_tree, &mut see, &|folder| folder.file_name() != Some(OsStr::new(".git"))) {
        Some(why) => Err(why),
        None => Ok(found),
    }
}
