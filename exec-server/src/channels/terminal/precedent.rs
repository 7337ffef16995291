//! What was approved before: the newest approved command of each program, from the audit log.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use similar::{Algorithm, DiffOp, capture_diff_slices};

use shell_engine::audit::{Approval, Approvals};
use shell_engine::visible::visible;

/// The approvals of several servers' logs.
#[derive(Default)]
pub(super) struct Precedents {
    logs: HashMap<PathBuf, Approvals>,
}

/// A word of a command, compared to the command that was approved before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DiffWord {
    Same(String),
    New(String),
    Gone(String),
}

/// A command beside the one that was approved before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// When the other one was approved (UTC).
    pub(super) approved: String,
    /// Where it ran, when that is another place.
    pub(super) workdir: Option<String>,
    pub(super) words: Vec<DiffWord>,
}

impl Precedents {
    /// Compares a command to the newest one of the same program that was approved, according to the log below
    /// `codex_home`.
    pub(super) fn compare(
        &mut self,
        codex_home: &Path,
        program: &str,
        arguments: &[String],
        workdir: &str,
    ) -> Option<Difference> {
        let log = self.logs.entry(codex_home.to_owned()).or_insert_with(|| Approvals::new(codex_home));
        let before = log.newest(|approval| visible(approval.program.as_bytes()) == program)?;
        Some(difference(before, arguments, workdir))
    }
}

fn difference(before: &Approval, arguments: &[String], workdir: &str) -> Difference {
    let old: Vec<String> = before.argv.iter().skip(1).map(|argument| visible(argument.as_bytes())).collect();
    let mut words = Vec::new();
    let take =
        |from: &[String], at: usize, count: usize| from.get(at..at + count).unwrap_or_default().to_vec();
    for operation in capture_diff_slices(Algorithm::Myers, &old, arguments) {
        let (gone, new) = match operation {
            DiffOp::Equal { new_index, len, .. } => {
                words.extend(take(arguments, new_index, len).into_iter().map(DiffWord::Same));
                continue;
            }
            DiffOp::Delete { old_index, old_len, .. } => (take(&old, old_index, old_len), Vec::new()),
            DiffOp::Insert { new_index, new_len, .. } => (Vec::new(), take(arguments, new_index, new_len)),
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                (take(&old, old_index, old_len), take(arguments, new_index, new_len))
            }
        };
        words.extend(gone.into_iter().map(DiffWord::Gone));
        words.extend(new.into_iter().map(DiffWord::New));
    }
    let before_in = visible(before.cwd.as_bytes());
    Difference {
        approved: visible(before.time.as_bytes()),
        workdir: (before_in != workdir).then_some(before_in),
        words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_differ_are_marked() {
        let before = Approval {
            time: "2026-11-24T05:50:10.123Z".into(),
            program: "/usr/bin/git".into(),
            argv: ["git", "push", "origin", "main"].map(String::from).into(),
            cwd: "/work".into(),
        };
        let now = ["push", "--force", "origin", "live"].map(String::from);
        let found = difference(&before, &now, "/work");
        assert_eq!(found.workdir, None);
        let [same, new, gone] =
            [DiffWord::Same, DiffWord::New, DiffWord::Gone].map(|kind| move |word: &str| kind(word.into()));
        assert_eq!(found.words, [same("push"), new("--force"), same("origin"), gone("main"), new("live")]);
        assert_eq!(difference(&before, &now, "/other").workdir.as_deref(), Some("/work"));
    }
}
