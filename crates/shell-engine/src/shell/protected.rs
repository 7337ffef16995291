//! What a command would have changed and could not, because it is protected, in words for its result.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::visible::visible;

/// Names that are listed.
const MOST: usize = 8;

/// Git's commands that write work trees, as rules name them, from the one that is named when a script has none of them.
const WRITE_TREES: &[&str] = &[
    "switch",
    "rebase",
    "cherry-pick",
    "revert",
    "merge",
    "pull",
    "clone",
    "stash",
    "restore",
    "reset",
    "checkout",
];

/// Returns which of the names are files of a work tree, which now is not what the command meant it to be, and one sentence for these
/// and one for what is in a Git directory.
pub(super) fn explain(refused: &[PathBuf], workdir: &Path, script: &str) -> (Vec<PathBuf>, Vec<String>) {
    let in_git = |path: &PathBuf| path.iter().any(|part| part == OsStr::new(".git"));
    // A patch says itself what it has left as it was.
    let is_of_a_patch = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(patches::TEMPORARY.as_bytes())
    };
    let others = refused.iter().filter(|path| !is_of_a_patch(path)).cloned();
    let (git, tree): (Vec<PathBuf>, Vec<PathBuf>) = others.partition(in_git);
    // What Git replaces by way of NAME.lock.
    let mut git: Vec<PathBuf> = git
        .into_iter()
        .map(|path| if path.extension() == Some(OsStr::new("lock")) { path.with_extension("") } else { path })
        .collect();
    git.dedup();
    let mut notes = Vec::new();
    if !tree.is_empty() {
        let words: Vec<&str> =
            script.split(|letter: char| !letter.is_alphanumeric() && letter != '-').collect();
        let subcommand = WRITE_TREES.iter().find(|name| words.contains(name));
        // Git ends at what it cannot write, before or after it has written others.
        let half = match subcommand.filter(|_| words.contains(&"git")) {
            Some(_) => {
                ". Git may have stopped there, so that other files are not as they should be either (`git status` tells): `git reset \
                 --hard` makes them what HEAD has, and drops what is not committed"
            }
            None => "",
        };
        notes.push(format!(
            "left as they were, because they are protected: {}; the rest of what the command did stands{half}. A program that a rule \
             lets out of the sandbox can change them, such as prefix_rule([\"git\", \"{}\"], decision=\"prompt\")",
            listed(&tree, workdir),
            subcommand.unwrap_or(&"switch")
        ));
    }
    if !git.is_empty() {
        notes.push(format!(
            "not changed, because Git obeys it: {}; a rule for what changes it lets that through, such as prefix_rule([\"git\", \
             [\"config\", \"remote\", \"switch\"{}]], decision=\"prompt\")",
            listed(&git, workdir),
            if script.contains("submodule") { ", \"submodule--helper\"" } else { "" }
        ));
    }
    (tree, notes)
}

fn listed(paths: &[PathBuf], workdir: &Path) -> String {
    let shown = |path: &PathBuf| {
        let short = path.strip_prefix(workdir).ok().filter(|short| *short != Path::new(""));
        visible(short.unwrap_or(path).as_os_str().as_encoded_bytes())
    };
    let mut listed = paths.iter().take(MOST).map(shown).collect::<Vec<_>>().join(", ");
    if paths.len() > MOST {
        listed.push_str(&format!(" and {} more", paths.len() - MOST));
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_tree_come_first_by_their_names_from_the_working_directory() {
        let refused = ["/w/.git/config", "/w/.git/config.lock", "/w/.vscode/settings.json", "/v/.mcp.json"]
            .map(PathBuf::from);
        let (tree, notes) = explain(&refused, Path::new("/w"), "x; git -C a rebase b");
        assert_eq!(tree, [PathBuf::from("/w/.vscode/settings.json"), PathBuf::from("/v/.mcp.json")]);
        let [tree, git] = &notes[..] else { panic!("two notes: {notes:?}") };
        assert!(tree.contains(": .vscode/settings.json, /v/.mcp.json;"), "{tree}");
        assert!(git.contains(": .git/config;"), "{git}");
        assert!(tree.contains("[\"git\", \"rebase\"]") && tree.contains("git reset --hard"), "{tree}");
        let (_, notes) = explain(&["/w".into()], Path::new("/w"), "");
        assert!(notes[0].contains(": /w;") && !notes[0].contains("reset"), "{notes:?}");
        assert_eq!(explain(&[], Path::new("/w"), ""), (Vec::new(), Vec::new()));
    }
}
