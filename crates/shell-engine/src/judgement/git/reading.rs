//! What Git would read that the sandbox hides: outside, it reads with the user's rights, and what it prints goes to the
//! command.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::arguments::{Invocation, quoted};
use super::repository::Repository;
use crate::judgement::trust::Trust;

/// Says what an invocation would read beyond the repository; nothing when it keeps to that.
pub(super) fn beyond(
    invocation: &Invocation<'_>,
    found: Option<&Repository>,
    trust: &Trust,
) -> Option<String> {
    let directory = invocation.directory.canonicalize().unwrap_or_else(|_| invocation.directory.clone());
    if trust.is_hidden(&directory) {
        return Some(format!("{} is hidden from commands", directory.display()));
    }
    let work_tree = found.and_then(Repository::work_tree);
    let looks = !super::remotes::talks(invocation.subcommand);
    if let Some(hidden) = work_tree.filter(|_| looks).and_then(|work_tree| trust.hidden_below(work_tree)) {
        return Some(format!("{} in the work tree is hidden from commands", hidden.display()));
    }
    // `git diff` compares two files of the system where it is in no work tree, and where one of them is not in its own.
    if invocation.subcommand != "diff" {
        return None;
    }
    let Some(work_tree) = work_tree else {
        return Some("outside a work tree it reads any files".to_owned());
    };
    let argument = invocation.arguments.iter().find(|argument| leaves(argument, &directory, work_tree))?;
    Some(format!("its argument {} lies outside the work tree, and Git would read it", quoted(argument)))
}

/// Whether a word may be a path that is not below a folder. By its text, as Git goes by it; behind `--`, a path may
/// look like an option.
fn leaves(word: &OsString, directory: &Path, work_tree: &Path) -> bool {
    !plain(&directory.join(Path::new(word))).starts_with(work_tree)
}

/// Resolves `.` and `..` by text.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                plain.push(component);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::sync::Arc;

    use sandbox::{Mode, Plan};

    use super::super::hardening::tests::{caution, protected, repository, trust};
    use crate::judgement::trust::Trust;
    use crate::programs::Programs;

    #[test]
    fn what_git_would_read_for_a_command_needs_a_persons_eye() {
        let root = tempfile::tempdir().unwrap();
        let ws = root.path().canonicalize().unwrap().join("ws");
        repository(&ws.join(".git"));
        std::fs::create_dir(ws.join("sub")).unwrap();
        let kept = trust(&[&ws], &protected(&ws.join(".git")));
        for words in [
            &["git", "diff", "--no-index", "a", "b"][..],
            &["git", "diff", "/dev/null", "/home/me/.netrc"],
            &["git", "diff", "a", "../.netrc"],
            &["git", "-C", "sub", "diff", "a", "../../.netrc"],
            &["git", "-C", "/", "diff", "a", "b"],
            &["git", "diff", "--", "-a/../../.netrc", "README"],
            &["git", "grep", "--no-index", "x"],
            &["git", "grep", "-f", "/home/me/.netrc"],
            &["git", "hash-object", "-w", "/home/me/.netrc"],
            &["git", "commit", "-F", "/home/me/.netrc"],
            &["git", "commit", "-aF/home/me/.netrc"],
            &["git", "commit", "--file=/home/me/.netrc"],
            &["git", "commit", "-t", "/home/me/.netrc"],
            &["git", "tag", "-F", "/home/me/.netrc", "t"],
            &["git", "notes", "add", "-F", "/home/me/.netrc"],
            &["git", "blame", "--contents", "/home/me/.netrc", "f"],
            &["git", "blame", "-S", "/home/me/.netrc", "f"],
            &["git", "blame", "--ignore-revs-file=/home/me/.netrc", "f"],
            &["git", "add", "--pathspec-from-file=/home/me/.netrc"],
            &["git", "archive", "--add-file=/home/me/.netrc", "HEAD"],
        ] {
            assert!(caution(&kept, &ws, words).is_some(), "{words:?}");
        }
        for words in [
            &["git", "diff", "HEAD~2..HEAD"][..],
            &["git", "diff", "--stat", "main...topic", "--", "a", "./sub/b"],
            &["git", "-C", "sub", "diff", "../a"],
            &["git", "diff", "HEAD:a", "HEAD:b"],
            &["git", "status"],
            &["git", "commit", "-am", "Fix"],
            &["git", "commit", "-mFix the tests"],
            &["git", "tag", "--contains", "HEAD"],
        ] {
            assert_eq!(caution(&kept, &ws, words), None, "{words:?}");
        }
    }

    #[test]
    fn a_repository_that_is_hidden_is_not_shown() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        repository(&root.join("hidden/.git"));
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, false.into());
        plan.writable = Vec::new();
        let with = |plan: &Plan| Trust::new(Arc::new(Programs::new(OsStr::new(""))), Arc::new(plan.clone()));
        let words = ["git", "-C", "hidden", "log", "-p"];
        assert_eq!(caution(&with(&plan), &root, &words), None);
        plan.hidden = vec![root.join("hidden")];
        assert!(caution(&with(&plan), &root, &words).is_some());
        // Also what is hidden in the work tree: it could be added and shown.
        plan.hidden = vec![root.join("hidden/.env")];
        assert!(caution(&with(&plan), &root, &words).is_some());
        plan.hidden = vec![root.join("beside")];
        assert_eq!(caution(&with(&plan), &root, &words), None);
    }
}
