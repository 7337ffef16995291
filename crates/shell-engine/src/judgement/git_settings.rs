//! What is particular about a confined `git`: settings over its configuration, of which it executes nothing and so must not
//! fail on it; and what a call of it is for, by which it has the network and its helpers have keys.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::trust::Program;
use crate::config::Variables;

/// Always.
const ALWAYS: &[(&str, &str)] = &[
    // A monitor is a program; Git warns where it cannot be executed.
    ("core.fsmonitor", "false"),
];

/// Unless its profile names hooks among what it may run.
const WITHOUT_HOOKS: &[(&str, &str)] = &[
    // A hook that cannot be executed ends a commit.
    ("core.hooksPath", "/dev/null"),
];

/// Options before the subcommand that take a word of their own.
const WITH_VALUE: &[&str] =
    &["-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"];

/// Subcommands that neither talk to another side nor sign. What is on no list may be an alias of one that does.
#[rustfmt::skip]
const READING: &[&str] = &[
    "add", "annotate", "apply", "bisect", "blame", "branch", "bundle", "cat-file", "check-attr", "check-ignore", "check-mailmap",
    "checkout", "checkout-index", "cherry", "clean", "column", "config", "count-objects", "describe", "diff", "diff-files",
    "diff-index", "diff-tree", "fast-export", "fast-import", "for-each-ref", "format-patch", "fsck", "gc", "get-tar-commit-id",
    "grep", "hash-object", "help", "index-pack", "init", "init-db", "interpret-trailers", "log", "ls-files", "ls-tree", "mailinfo",
    "mailsplit", "merge-base", "merge-file", "merge-index", "merge-tree", "mktag", "mktree", "mv", "name-rev", "notes",
    "pack-objects", "pack-refs", "patch-id", "prune", "prune-packed", "range-diff", "read-tree", "reflog", "repack", "replace",
    "rerere", "reset", "restore", "rev-list", "rev-parse", "rm", "shortlog", "show", "show-branch", "show-index", "show-ref",
    "sparse-checkout", "stage", "stash", "status", "stripspace", "switch", "symbolic-ref", "unpack-file", "unpack-objects",
    "update-index", "update-ref", "update-server-info", "var", "verify-commit", "verify-pack", "verify-tag", "version",
    "whatchanged", "worktree", "write-tree",
];

/// Subcommands that may sign, and talk to nobody.
const SIGNING: &[&str] = &["am", "cherry-pick", "commit", "commit-tree", "merge", "rebase", "revert", "tag"];

/// Subcommands that talk to another side, and sign nothing.
const FETCHING: &[&str] =
    &["archive", "clone", "credential", "fetch", "fetch-pack", "ls-remote", "remote", "submodule"];

/// What a call of Git's may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Purpose {
    /// It may talk to another side.
    pub(super) talks: bool,
    /// It may sign.
    pub(super) signs: bool,
}

/// What these arguments may be for.
pub(super) fn purpose(arguments: &[OsString]) -> Purpose {
    let Some((_, name)) = subcommand(arguments) else { return Purpose { talks: false, signs: false } };
    let is_in = |list: &[&str]| list.iter().any(|known| name == *known);
    let reads = is_in(READING);
    Purpose { talks: !reads && !is_in(SIGNING), signs: !reads && !is_in(FETCHING) }
}

/// Arguments by which Git runs nothing but what was judged: it guesses what a mistyped subcommand means where its
/// configuration, or an option before this one, tells it to. `None` where it is not Git, or names no subcommand.
pub(super) fn without_guesses(program: &Program, argv: &[OsString]) -> Option<Vec<OsString>> {
    let (options, _) = subcommand(argv.get(1..).filter(|_| is_git(program))?)?;
    let (before, after) = argv.split_at_checked(options.len() + 1)?;
    let setting = ["-c", "help.autocorrect=0"].map(OsString::from);
    Some(before.iter().chain(&setting).chain(after).cloned().collect())
}

/// The options before a subcommand of Git's, and the subcommand; `None` where there is none.
pub(crate) fn subcommand(arguments: &[OsString]) -> Option<(Vec<OsString>, &OsStr)> {
    let mut options = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if !word.as_encoded_bytes().starts_with(b"-") {
            return Some((options, word));
        }
        options.push(word.clone());
        if WITH_VALUE.iter().any(|known| word == *known) {
            options.extend(words.next().cloned());
        }
    }
    None
}

/// Whether a call of Git's may be for talking to another side.
pub(crate) fn may_talk(arguments: &[OsString]) -> bool {
    purpose(arguments).talks
}

/// Whether a program is Git, and talks to nobody. What its profile has it run besides its own helpers may.
pub(super) fn talks_to_nobody(program: &Program, arguments: &[OsString], may_run: &[String]) -> bool {
    const HELPERS: [&str; 4] = ["ssh", "gpg", "ssh-keygen", "gh"];
    let is_own = |name: &String| {
        HELPERS.contains(&name.as_str()) || name.starts_with("git-credential-") || name.contains("hooks")
    };
    is_git(program) && !purpose(arguments).talks && may_run.iter().all(is_own)
}

fn is_git(program: &Program) -> bool {
    program.canonical.file_name() == Some(OsStr::new("git"))
}

/// Puts the settings over the configuration, behind those that the environment has already, if the program is Git.
pub(super) fn apply(program: &Program, may_run: &[String], variables: &mut Variables) {
    if !is_git(program) {
        return;
    }
    let names_hooks = |path: &String| Path::new(path).components().any(|part| part.as_os_str() == "hooks");
    let hooks = if may_run.iter().any(names_hooks) { &[] } else { WITHOUT_HOOKS };
    let settings: Vec<(&str, &str)> = ALWAYS.iter().chain(hooks).copied().collect();
    let count = variables.get(OsStr::new("GIT_CONFIG_COUNT"));
    let first: usize = count.and_then(|count| count.to_str()?.parse().ok()).unwrap_or(0);
    for (index, (key, value)) in (first..).zip(&settings) {
        variables.insert(format!("GIT_CONFIG_KEY_{index}").into(), (*key).into());
        variables.insert(format!("GIT_CONFIG_VALUE_{index}").into(), (*value).into());
    }
    variables.insert("GIT_CONFIG_COUNT".into(), OsString::from((first + settings.len()).to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subcommand_stands_behind_options() {
        let found = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            subcommand(&words).map(|(options, name)| (options.len(), name.to_owned()))
        };
        assert_eq!(found("-C /x -c a.b=c --no-pager push origin"), Some((5, "push".into())));
        assert_eq!(found("status"), Some((0, "status".into())));
        assert_eq!(found("--version"), None);
        assert_eq!(found("-C"), None);
    }

    #[test]
    fn what_a_subcommand_is_for_is_known_of_those_that_are() {
        for (line, talks, signs) in [
            ("status", false, false),
            ("-c a.b=c diff", false, false),
            ("commit -S", false, true),
            ("fetch origin", true, false),
            ("push", true, true),
            ("an-alias", true, true),
            ("--version", false, false),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(purpose(&words), Purpose { talks, signs }, "{line}");
        }
    }
}
