//! The repositories that lie below a workspace's top folder when a session starts: a folder of projects as the workspace, or a
//! project with others in it. Whoever runs Git in them outside obeys their configuration, too.
//!
//! They are looked for where people put them, not in all that build tools unpack: each costs mounts, and tools that fetch
//! sources must go on writing their configuration.

use super::links::is_git_directory;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

/// How deep they are looked for: `project`, `group/project`.
const MAX_DEPTH: usize = 2;
/// Folders that are read before the search is given up.
const MAX_FOLDERS: usize = 1000;
/// Repositories that are protected.
const MAX_REPOSITORIES: usize = 100;

/// What was found below one workspace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Nested {
    /// Work trees, by their tops, and bare repositories.
    pub(super) repositories: Vec<PathBuf>,
    /// Whether there may be more.
    pub(super) is_cut: bool,
}

/// Finds them, breadth first. Nothing that is linked to, nothing in hidden folders or in those that package managers fill.
pub(super) fn repositories_below(workspace: &Path) -> Nested {
    let mut found = Nested::default();
    let mut waiting = VecDeque::from([(workspace.to_owned(), 0)]);
    let mut left = MAX_FOLDERS;
    while let Some((folder, depth)) = waiting.pop_front() {
        if left == 0 || found.repositories.len() == MAX_REPOSITORIES {
            found.is_cut = true;
            break;
        }
        left -= 1;
        let is_bare = is_git_directory(&folder);
        if depth > 0 && (is_bare || folder.join(".git").symlink_metadata().is_ok()) {
            found.repositories.push(folder.clone());
        }
        if depth == MAX_DEPTH || is_bare {
            continue;
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter(|entry| {
                let name = entry.file_name();
                !name.as_encoded_bytes().starts_with(b".") && name != "node_modules"
            })
            .take(left)
            .map(|entry| entry.path())
            .collect();
        folders.sort();
        waiting.extend(folders.into_iter().map(|path| (path, depth + 1)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_people_put_there_are_found_and_no_others() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        for folder in [
            ".git",
            "a/.git",
            "group/b/.git",
            "group/deep/c/.git",
            ".hidden/.git",
            "node_modules/p/.git",
            "bare/objects",
            "bare/refs",
            "bare/HEAD",
            "plain",
        ] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::create_dir(root.join("tree")).unwrap();
        fs::write(root.join("tree/.git"), "gitdir: /nowhere\n").unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
        let found = repositories_below(root);
        let expected = ["a", "bare", "tree", "group/b"].map(|name| root.join(name));
        assert_eq!(found, Nested { repositories: expected.into(), is_cut: false });
    }

    #[test]
    fn the_search_ends() {
        let place = tempfile::tempdir().unwrap();
        for number in 0..MAX_REPOSITORIES + 1 {
            fs::create_dir_all(place.path().join(format!("{number}/.git"))).unwrap();
        }
        let found = repositories_below(place.path());
        assert_eq!((found.repositories.len(), found.is_cut), (MAX_REPOSITORIES, true));
    }
}
