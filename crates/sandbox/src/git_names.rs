//! Which names in a Git directory its user's Git obeys or runs, and which folders in it are written by name only. Pure.

use std::ffi::OsStr;
use std::path::Path;

/// What Git runs or obeys inside a repository's own folder.
///
/// The second column is what holds a missing one: nothing for a folder, or a file's text. `commondir` holding `.` says
/// what its absence says (gitrepository-layout(5)).
pub(crate) const IN_GIT: &[(&str, Option<&str>, &str)] = &[
    ("hooks", None, "programs that Git runs"),
    ("config", Some(""), "names programs that Git runs"),
    ("config.worktree", Some(""), "as config"),
    ("commondir", Some(".\n"), "names the folder whose config and hooks count instead"),
    ("remotes", None, "names repositories to talk to, as config does"),
    ("branches", None, "as remotes"),
    ("info/attributes", Some(""), "names the filters and drivers through which files go"),
];

/// What Git obeys inside `.git/worktrees/NAME`: it leads the user's other work trees.
pub(crate) const IN_WORKTREE: &[&str] = &["commondir", "gitdir"];

/// The folder of a Git directory in which commands are free. In all others Git writes to what it finds by name, also where that is a
/// link, or there are settings or Git directories: they are held all the way down.
const FREE: &str = "objects";

/// Settings, and the files by way of which Git replaces them.
const CONFIGURATIONS: &[&str] = &["config", "config.worktree"];
const LOCKS: &[&str] = &["config.lock", "config.worktree.lock"];

/// What Git obeys when it is there, and nothing need stand for where it is not: where `rr-cache` is, Git reads the files that
/// `MERGE_RR` names, wherever they are, into it, and writes them.
const RERERE: &[&str] = &["rr-cache", "merge_rr", "merge_rr.lock"];

/// Under these whoever answers writes what replaces a file that Git reads; nobody else has them open.
const UNFINISHED: &[&str] = &["config.unfinished", "index.unfinished"];

/// What Git reads paths from without looking at them, and writes these in the work tree. A split one has parts.
const INDEX: &str = "index";
const PART_OF_INDEX: &str = "sharedindex.";

/// What makes a folder a Git directory, if all of them are in it (gitrepository-layout(5)).
pub(crate) const MARKS: [&str; 3] = ["HEAD", "objects", "refs"];

/// What a name in a Git directory is, as far as Git makes it once and obeys it afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitName<'a> {
    /// The Git directory itself.
    Repository,
    /// `hooks` or `branches`.
    Folder,
    /// A hook's example, which Git does not run.
    Sample,
    /// Its configuration, or that of one of its work trees.
    Config,
    /// What becomes a configuration.
    ConfigLock,
    /// `commondir` or `gitdir` of this linked work tree.
    OfWorkTree(&'a OsStr),
    /// The folder of this linked work tree.
    WorkTree(&'a OsStr),
}

impl<'a> GitName<'a> {
    /// Tells what a path below a Git directory is.
    #[must_use]
    pub fn of(below: &'a Path) -> Option<GitName<'a>> {
        let parts: Vec<&OsStr> = below.iter().collect();
        let is = |part: &OsStr, names: &[&str]| names.iter().any(|name| part == *name);
        match *parts.as_slice() {
            [] => Some(GitName::Repository),
            [folder] if is(folder, &["hooks", "branches"]) => Some(GitName::Folder),
            [config] if is(config, CONFIGURATIONS) => Some(GitName::Config),
            [lock] if is(lock, LOCKS) => Some(GitName::ConfigLock),
            [hooks, hook]
                if hooks == "hooks" && Path::new(hook).extension() == Some(OsStr::new("sample")) =>
            {
                Some(GitName::Sample)
            }
            [trees, tree] if trees == "worktrees" => Some(GitName::WorkTree(tree)),
            [trees, tree, file] if trees == "worktrees" && is(file, IN_WORKTREE) => {
                Some(GitName::OfWorkTree(tree))
            }
            [trees, _, config] if trees == "worktrees" && config == "config.worktree" => {
                Some(GitName::Config)
            }
            [trees, _, lock] if trees == "worktrees" && lock == "config.worktree.lock" => {
                Some(GitName::ConfigLock)
            }
            _ => None,
        }
    }
}

/// Tells whether Git obeys or runs what is called so below a Git directory. Letters are small.
pub(crate) fn is_obeyed(below: &Path) -> bool {
    let mut parts = below.iter();
    match parts.next() {
        None => false,
        Some(modules) if modules == "modules" => is_in_some_repository(parts),
        Some(trees) if trees == "worktrees" => match parts.nth(1) {
            Some(modules) if modules == "modules" => is_in_some_repository(parts),
            name => name
                .is_some_and(|name| is_obeyed_at_top(name) || IN_WORKTREE.iter().any(|file| name == *file)),
        },
        Some(info) if info == INFO => parts.next().is_some_and(is_attributes),
        Some(name) => is_obeyed_at_top(name),
    }
}

/// Files that Git replaces by way of NAME.lock are the same under that name: where that cannot be made, Git says at once that the
/// file cannot be replaced.
fn is_obeyed_at_top(name: &OsStr) -> bool {
    let mut known = IN_GIT.iter().map(|(obeyed, _, _)| obeyed).chain(LOCKS).chain(RERERE).chain(UNFINISHED);
    known.any(|known| name == *known) || is_object_name(name)
}

/// Whether a name is that of an object. A reference that leads to `commondir` has Git write one there, and then obey what is so called.
fn is_object_name(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    [40, 64].contains(&name.len()) && name.iter().all(u8::is_ascii_hexdigit)
}

/// Tells whether it is an index, or a part of one. Letters are small.
pub(crate) fn is_index(below: &Path) -> bool {
    let is_called =
        |name: &OsStr| name == INDEX || name.as_encoded_bytes().starts_with(PART_OF_INDEX.as_bytes());
    let mut parts = below.iter();
    match (parts.next(), below.file_name().is_some_and(is_called)) {
        (_, false) | (None, _) => false,
        (Some(_), true) if is_in_modules(below) => {
            !below.iter().any(|part| IN_SUBMODULES_OTHER.iter().any(|other| part == *other))
        }
        (Some(trees), true) if trees == "worktrees" => parts.count() == 2,
        (Some(_), true) => parts.count() == 0,
    }
}

/// Folders of submodules' Git directories in which names are anybody's.
const IN_SUBMODULES_OTHER: &[&str] = &["refs", "logs", "objects", "lfs"];

/// The folder that holds them.
const INFO: &str = "info";

fn is_attributes(name: &OsStr) -> bool {
    name == "attributes" || name == "attributes.lock"
}

/// The names of submodules may have many parts, so any part may be in a Git directory. Only below `refs` are two of the names
/// usual.
fn is_in_some_repository<'a>(parts: impl Iterator<Item = &'a OsStr>) -> bool {
    let (mut in_refs, mut in_info, mut in_other) = (false, false, false);
    for part in parts {
        let is_usual =
            in_refs && (part == "remotes" || part == "branches") || in_other && is_object_name(part);
        if is_obeyed_at_top(part) && !is_usual || in_info && is_attributes(part) {
            return true;
        }
        in_refs |= part == "refs";
        in_other |= IN_SUBMODULES_OTHER.iter().any(|other| part == *other);
        in_info = part == INFO && !in_refs;
    }
    false
}

/// Tells whether it says of a Git directory, or of a submodule's, that it is one. Letters are small.
pub(crate) fn is_head(below: &Path) -> bool {
    let is_submodule = is_in_modules(below) && !below.iter().any(|part| part == "refs" || part == "logs");
    below == Path::new("head") || is_submodule && below.file_name() == Some(OsStr::new("head"))
}

/// Tells whether a path below a Git directory lies among those of submodules, of a linked work tree's as well. Letters are small.
pub(crate) fn is_in_modules(below: &Path) -> bool {
    let mut parts = below.iter();
    let first = parts.next();
    let modules = if first == Some(OsStr::new("worktrees")) { parts.nth(1) } else { first };
    modules == Some(OsStr::new("modules")) && parts.next().is_some()
}

/// Tells whether a path below a Git directory is a folder that is held all the way down, or lies in one. Letters are small.
pub(crate) fn is_held_whole(below: &Path) -> bool {
    below.iter().next().is_some_and(|first| first != FREE && !is_obeyed_at_top(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_obeys_is_known_at_every_depth() {
        for (path, is) in [
            ("config", true),
            ("config.lock", true),
            ("hooks/pre-commit", true),
            ("HEAD", false),
            ("refs/heads/config", false),
            ("worktrees/w", false),
            ("worktrees/w/HEAD", false),
            ("worktrees/w/commondir", true),
            ("worktrees/w/config", true),
            ("modules/a/config", true),
            ("modules/a/b/hooks/x", true),
            ("modules/a/refs/remotes/origin/main", false),
            ("modules/a/remotes/x", true),
            ("modules/a/index", false),
            ("rr-cache/1/preimage", true),
            ("merge_rr", true),
            ("info/attributes", true),
            ("info/exclude", false),
            ("info", false),
            ("modules/a/info/attributes", true),
            ("modules/a/refs/heads/info/attributes", false),
            ("worktrees/w/modules/a/config", true),
            ("worktrees/w/modules/a/index", false),
            ("index.unfinished", true),
            ("0123456789abcdef0123456789abcdef01234567", true),
            ("0123456789abcdef0123456789abcdef01234567/config", true),
            ("0123456789abcdef0123456789abcdef0123456", false),
            ("objects/pack/0123456789abcdef0123456789abcdef01234567", false),
            ("modules/a/0123456789abcdef0123456789abcdef01234567/config", true),
            ("modules/a/lfs/objects/0123456789abcdef0123456789abcdef01234567", false),
        ] {
            assert_eq!(is_obeyed(Path::new(path)), is, "{path}");
        }
        for (path, is) in [
            ("index", true),
            ("sharedindex.0123", true),
            ("index.lock", false),
            ("refs/heads/index", false),
            ("worktrees/w/index", true),
            ("worktrees/index", false),
            ("worktrees/w/refs/index", false),
            ("modules/a/b/index", true),
            ("modules/a/refs/heads/index", false),
            ("worktrees/w/modules/a/index", true),
        ] {
            assert_eq!(is_index(Path::new(path)), is, "{path}");
        }
        assert!(is_head(Path::new("modules/a/b/head")) && !is_head(Path::new("modules/a/refs/heads/head")));
        for (path, is) in [
            ("modules/a", true),
            ("modules", false),
            ("worktrees/w/modules/a", true),
            ("refs/modules/a", false),
        ] {
            assert_eq!(is_in_modules(Path::new(path)), is, "{path}");
        }
        assert!(is_held_whole(Path::new("logs/HEAD")) && is_held_whole(Path::new("sequencer/abort-safety")));
        assert!(!is_held_whole(Path::new("objects/pack")));
    }

    #[test]
    fn what_is_made_once_is_told_apart() {
        for (path, name) in [
            ("", Some(GitName::Repository)),
            ("hooks", Some(GitName::Folder)),
            ("hooks/update.sample", Some(GitName::Sample)),
            ("hooks/update", None),
            ("config", Some(GitName::Config)),
            ("worktrees/w/gitdir", Some(GitName::OfWorkTree(OsStr::new("w")))),
            ("worktrees/w", Some(GitName::WorkTree(OsStr::new("w")))),
            ("worktrees/w/config", None),
            ("config.worktree", Some(GitName::Config)),
            ("worktrees/w/config.worktree.lock", Some(GitName::ConfigLock)),
        ] {
            assert_eq!(GitName::of(Path::new(path)), name, "{path}");
        }
    }
}
