//! What a command line makes Git do beyond its subcommand.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::super::exec::Exec;
use crate::visible::{shortened, visible};

/// Longest part of an argument that a message quotes, in characters.
const LONGEST_QUOTED: usize = 100;

/// Options before the subcommand that change nothing of what is run.
const PLAIN_GLOBAL: &[&str] = &[
    "-p",
    "--paginate",
    "-P",
    "--no-pager",
    "--no-replace-objects",
    "--no-lazy-fetch",
    "--no-optional-locks",
    "--no-advice",
    "--literal-pathspecs",
    "--glob-pathspecs",
    "--noglob-pathspecs",
    "--icase-pathspecs",
    "--version",
    "-v",
    "--help",
    "-h",
    "--html-path",
    "--man-path",
    "--info-path",
];

/// Options of subcommands that name a program to run, a file to write, or settings. Git accepts each by an unmistakable
/// beginning of its name.
const TELLING: &[(&str, &str)] = &[
    ("--upload-pack", "names a program to run"),
    ("--receive-pack", "names a program to run"),
    ("--exec", "names a program to run"),
    ("--open-files-in-pager", "starts a pager"),
    ("--ext-diff", "runs programs that the configuration names"),
    ("--textconv", "runs programs that the configuration names"),
    ("--extcmd", "names a program to run"),
    ("--tool", "names a program to run"),
    ("--config", "changes the configuration"),
    ("--template", "names a folder with hooks"),
    ("--output", "writes a file"),
    ("--output-directory", "writes files"),
    ("--separate-git-dir", "writes elsewhere"),
    ("--reference", "reads another repository"),
    ("--strategy", "names a program to run"),
    ("--filter-process", "names a program to run"),
    ("--recurse-submodules", "starts Git in submodules"),
    ("--submodule", "starts Git in submodules"),
    ("--remote", "talks to another repository"),
    ("--expire-to", "writes files"),
    // What a command may not read, Git would show it.
    ("--no-index", "reads files outside the repository"),
    ("--contents", "reads a file"),
    ("--ignore-revs-file", "reads a file"),
    ("--pathspec-from-file", "reads a file"),
    ("--add-file", "reads a file"),
    ("--file", "reads a file"),
];

/// Short options that do the same, by subcommand.
const TELLING_SHORT: &[(&str, &[u8], &str)] = &[
    ("grep", b"O", "starts a pager"),
    ("clone", b"u", "names a program to run"),
    ("clone", b"c", "changes the configuration"),
    ("rebase", b"x", "names a program to run"),
    ("rebase", b"s", "names a program to run"),
    ("merge", b"s", "names a program to run"),
    ("pull", b"s", "names a program to run"),
    ("difftool", b"xt", "names a program to run"),
    ("mergetool", b"t", "names a program to run"),
    ("archive", b"o", "writes a file"),
    ("annotate", b"S", "reads a file"),
    ("blame", b"S", "reads a file"),
    ("commit", b"F", "reads a file"),
    ("commit-tree", b"F", "reads a file"),
    ("commit", b"t", "reads a file"),
    ("grep", b"f", "reads a file"),
    ("notes", b"F", "reads a file"),
    ("tag", b"F", "reads a file"),
];

/// Subcommands that work on one repository and run no other commands. Others may be anything, also aliases.
const ALONE: &[&str] = &[
    "",
    "add",
    "annotate",
    "archive",
    "blame",
    "branch",
    "cat-file",
    "check-attr",
    "check-ignore",
    "check-mailmap",
    "check-ref-format",
    "cherry",
    "commit",
    "commit-tree",
    "count-objects",
    "describe",
    "diff",
    "diff-files",
    "diff-index",
    "diff-tree",
    "for-each-ref",
    "fsck",
    "gc",
    "grep",
    "log",
    "ls-files",
    "ls-tree",
    "merge-base",
    "merge-tree",
    "mktag",
    "mktree",
    "name-rev",
    "notes",
    "pack-refs",
    "patch-id",
    "prune",
    "range-diff",
    "reflog",
    "repack",
    "replace",
    "rev-list",
    "rev-parse",
    "shortlog",
    "show",
    "show-branch",
    "show-ref",
    "stage",
    "status",
    "stripspace",
    "symbolic-ref",
    "tag",
    "update-index",
    "update-ref",
    "var",
    "verify-commit",
    "verify-pack",
    "verify-tag",
    "version",
    "whatchanged",
    "write-tree",
];

/// Subcommands that write files of the work tree, or wherever their arguments say: what a command has put into a commit
/// or a patch reaches places that the sandbox protects. Some also go on with what lies in `.git`
/// (`rebase-merge/git-rebase-todo` holds commands).
const WRITING: &[&str] = &[
    "am",
    "apply",
    "checkout",
    "checkout-index",
    "cherry-pick",
    "clean",
    "format-patch",
    "index-pack",
    "init",
    "merge",
    "merge-file",
    "mv",
    "pack-objects",
    "read-tree",
    "rebase",
    "rerere",
    "reset",
    "restore",
    "revert",
    "rm",
    "sparse-checkout",
    "stash",
    "switch",
    "worktree",
];

/// A command line of Git that holds no surprise.
#[derive(Debug)]
pub(super) struct Invocation<'e> {
    /// Where Git looks for the repository.
    pub(super) directory: PathBuf,
    pub(super) subcommand: &'e OsStr,
    /// What follows the subcommand.
    pub(super) arguments: &'e [OsString],
}

/// Reads a command line of whichever subcommand that does not write, or says what in it needs a person's eye.
pub(super) fn read(exec: &Exec) -> Result<Invocation<'_>, String> {
    let mut directory = exec.workdir.clone();
    let called = exec.argv.first().map(|word| word.as_bytes()).unwrap_or_default();
    let called = called.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let mut rest = exec.arguments();
    let by_name = called.strip_prefix(b"git-").map(OsStr::from_bytes);
    while let (None, Some((word, after))) = (by_name, rest.split_first()) {
        if !word.as_bytes().starts_with(b"-") {
            break;
        }
        rest = after;
        if word == "-C" {
            let Some((folder, after)) = rest.split_first() else { break };
            directory.push(folder);
            rest = after;
        } else if !PLAIN_GLOBAL.iter().any(|plain| word == *plain) {
            return Err(format!("its option {} changes how Git works", quoted(word)));
        }
    }
    let (subcommand, arguments) = match by_name {
        Some(subcommand) => (subcommand, rest),
        None => match rest.split_first() {
            Some((subcommand, arguments)) => (subcommand.as_os_str(), arguments),
            None => (OsStr::new(""), rest),
        },
    };
    if let Some(writing) = WRITING.iter().find(|writing| subcommand == **writing) {
        return Err(format!(
            "`git {writing}` writes files of a command's choice, also where the sandbox protects them"
        ));
    }
    for argument in arguments {
        if let Some(why) = telling(subcommand, argument.as_bytes()) {
            return Err(format!("its argument {} {why}", quoted(argument)));
        }
    }
    Ok(Invocation { directory, subcommand, arguments })
}

/// Whether a subcommand works on one repository and runs no other commands.
pub(super) fn works_alone(subcommand: &OsStr) -> bool {
    ALONE.iter().any(|alone| subcommand == *alone)
}

fn telling(subcommand: &OsStr, argument: &[u8]) -> Option<&'static str> {
    if has_helper(argument) {
        return Some("names a transport helper, which may be any program");
    }
    if let Some(name) = argument.strip_prefix(b"--") {
        let name = name.split(|byte| *byte == b'=').next().unwrap_or_default();
        let fits = |option: &str| {
            !name.is_empty() && option.as_bytes().get(2..).is_some_and(|full| full.starts_with(name))
        };
        return TELLING.iter().find(|(option, _)| fits(option)).map(|(_, why)| *why);
    }
    let group = argument.strip_prefix(b"-")?;
    // What follows is the text of `-mText`.
    let takes_text = ["commit", "commit-tree", "notes", "tag"].iter().any(|name| subcommand == *name);
    let group = group.split(|letter| takes_text && *letter == b'm').next().unwrap_or_default();
    let row = |(of, letters, _): &&(&str, &[u8], &str)| {
        subcommand == OsStr::new(of) && letters.iter().any(|letter| group.contains(letter))
    };
    TELLING_SHORT.iter().find(row).map(|(_, _, why)| *why)
}

/// Whether an address is `HELPER::ADDRESS` (gitremote-helpers(7)), which runs `git-remote-HELPER`.
fn has_helper(argument: &[u8]) -> bool {
    let at = argument.windows(2).position(|two| two == b"::");
    at.is_some_and(|at| at > 0 && argument.iter().take(at).all(u8::is_ascii_alphanumeric))
}

/// Writes an argument for a message.
pub(super) fn quoted(argument: &OsStr) -> String {
    format!("`{}`", shortened(&visible(argument.as_bytes()), LONGEST_QUOTED))
}
