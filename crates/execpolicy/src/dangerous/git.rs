//! Git's commands that lose work: those that a tool of this kind has been seen to ask about.

use super::Danger;
use crate::command::Command;

/// Global options that take the next word (git(1)).
const WITH_VALUE: &[&str] =
    &["-C", "-c", "--config-env", "--exec-path", "--git-dir", "--namespace", "--super-prefix", "--work-tree"];

/// When a sub-command loses work.
struct LossRow {
    subcommand: &'static str,
    /// Always, whatever follows.
    always: bool,
    /// One of these letters alone or in a group of short options.
    letters: &'static str,
    /// Long options that begin so.
    long: &'static [&'static str],
    /// Operands that begin so.
    operands: &'static [&'static str],
}

const ROWS: &[LossRow] = &[
    // Moves a branch, and with --hard drops uncommitted changes.
    LossRow { subcommand: "reset", always: true, letters: "", long: &[], operands: &[] },
    // Deletes files from the working tree.
    LossRow { subcommand: "rm", always: true, letters: "", long: &[], operands: &[] },
    // Deletes a branch, the only name of its commits.
    LossRow { subcommand: "branch", always: false, letters: "dD", long: &["--delete"], operands: &[] },
    // Overwrites or deletes what others can see; `+ref` forces, `:ref` deletes.
    LossRow {
        subcommand: "push",
        always: false,
        letters: "fd",
        long: &["--force", "--delete"],
        operands: &["+", ":"],
    },
    // Deletes files that git does not know and cannot bring back.
    LossRow { subcommand: "clean", always: false, letters: "f", long: &["--force"], operands: &[] },
];

/// Looks at a git command.
pub(super) fn find(command: &Command<'_>) -> Option<Danger> {
    let words = command.args_as_bytes();
    let at = subcommand(&words)?;
    let (name, arguments) = words.get(at..)?.split_first()?;
    let row = ROWS.iter().find(|row| row.subcommand.as_bytes() == *name)?;
    (row.always || arguments.iter().any(|argument| fits(row, argument))).then_some(Danger::LosesWork)
}

/// Whether a sub-command is among git's arguments.
pub(crate) fn has_subcommand(arguments: &[&str]) -> bool {
    let words: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    subcommand(&words).is_some()
}

/// Index of the sub-command, behind the global options.
fn subcommand(words: &[&[u8]]) -> Option<usize> {
    let mut index = 0;
    while words.get(index)?.starts_with(b"-") {
        let takes_value =
            WITH_VALUE.iter().any(|option| words.get(index).is_some_and(|word| *word == option.as_bytes()));
        index += if takes_value { 2 } else { 1 };
    }
    Some(index)
}

fn fits(row: &LossRow, argument: &[u8]) -> bool {
    if argument.starts_with(b"--") {
        return row.long.iter().any(|option| argument.starts_with(option.as_bytes()));
    }
    match argument.strip_prefix(b"-") {
        Some(group) => group.iter().any(|letter| row.letters.as_bytes().contains(letter)),
        None => row.operands.iter().any(|start| argument.starts_with(start.as_bytes())),
    }
}
