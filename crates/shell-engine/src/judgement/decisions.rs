//! What was decided about the programs of one call, for its result.
//!
//! A program that simply runs is not worth a record: the list holds what left the sandbox, was asked about, was
//! refused, or would have left it if it had been the program that a rule means.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::verdict::SpokenRule;
use crate::audit::RightsRecord;
use crate::visible::{shortened, visible};

/// Records of one call; more are counted only.
const MOST_RECORDS: usize = 64;

/// Characters of one argument, of one record's arguments, and of other texts that are kept.
const LONGEST_ARGUMENT: usize = 200;
const MOST_ARGUMENTS: usize = 32;
const LONGEST_TEXT: usize = 1000;

/// What became of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// A rule let it out of the sandbox.
    Escalated,
    /// A person let it out of the sandbox.
    ApprovedEscalated,
    /// A person let it run, inside the sandbox.
    ApprovedRan,
    /// A rule would have let it out, but it ran inside the sandbox.
    RanInside,
    /// A person declined or closed the question.
    Declined,
    /// Somebody had to be asked, and nobody could be.
    Unanswered,
    /// A rule forbids it, or it changed while it was judged.
    Refused,
}

impl Decided {
    /// Whether the program did not run.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        match self {
            Decided::Declined | Decided::Unanswered | Decided::Refused => true,
            Decided::Escalated | Decided::ApprovedEscalated | Decided::ApprovedRan | Decided::RanInside => {
                false
            }
        }
    }
}

/// One program that was not simply run. All texts are safe to be shown: what would hide is written out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct DecisionRecord {
    /// The program's path: the file that ran outside, else the path that the command named.
    pub program: String,
    /// The arguments, `argv[0]` first; long ones are cut.
    pub argv: Vec<String>,
    /// What became of it.
    pub decision: Decided,
    /// The programs that have started it, the nearest first, as command lines that may be cut; none for what the
    /// command's own shell executes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
    /// The rule that decided, as `file:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What it had, where it ran by a rule or an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rights: Option<RightsRecord>,
    /// Its justification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// Why a program that a rule or a person lets out did not leave the sandbox, or what it was refused for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not_escalated: Option<String>,
    /// What the person who was asked said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Variables that the command had changed and the escalated program did not get.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped_variables: Vec<String>,
}

/// The records of one call; clones are the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decisions {
    list: Arc<Mutex<List>>,
}

#[derive(Debug, Default)]
struct List {
    records: Vec<DecisionRecord>,
    left_out: usize,
}

impl Decisions {
    /// Adds a record, or counts it where there are enough.
    pub(super) fn add(&self, record: DecisionRecord) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.records.len() < MOST_RECORDS {
            list.records.push(record);
        } else {
            list.left_out += 1;
        }
    }

    /// The records so far, and how many more there were.
    pub(crate) fn read(&self) -> (Vec<DecisionRecord>, usize) {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        (list.records.clone(), list.left_out)
    }
}

impl DecisionRecord {
    /// A record of what a command asked for.
    pub(super) fn new(exec: &super::exec::Exec, decision: Decided) -> DecisionRecord {
        let shown =
            |text: &std::ffi::OsString| shortened(&visible(text.as_encoded_bytes()), LONGEST_ARGUMENT);
        let mut argv: Vec<String> = exec.argv.iter().take(MOST_ARGUMENTS).map(shown).collect();
        if exec.argv.len() > MOST_ARGUMENTS {
            argv.push(format!("… {} more arguments", exec.argv.len() - MOST_ARGUMENTS));
        }
        DecisionRecord {
            program: shown_path(&exec.file),
            argv,
            decision,
            parents: exec.starter.parents().to_vec(),
            rule: None,
            rights: None,
            justification: None,
            why_not_escalated: None,
            reason: None,
            dropped_variables: Vec::new(),
        }
    }

    /// The record with the rule that decided.
    pub(super) fn by(mut self, rule: Option<&SpokenRule>) -> DecisionRecord {
        self.rule = rule.map(|rule| rule.origin.clone());
        let justification = rule.and_then(|rule| rule.justification.as_deref());
        self.justification = justification.map(|text| shortened(&visible(text.as_bytes()), LONGEST_TEXT));
        self
    }

    /// The record with what the program had.
    pub(super) fn with(mut self, rights: RightsRecord) -> DecisionRecord {
        self.rights = Some(rights);
        self
    }

    /// The record with the reason why the program stays inside, or does not run.
    pub(super) fn because(mut self, why: Option<&str>) -> DecisionRecord {
        self.why_not_escalated = why.map(|why| shortened(why, LONGEST_TEXT));
        self
    }

    /// The record with what the person said who was asked.
    pub(super) fn said(mut self, reason: Option<&str>) -> DecisionRecord {
        self.reason = reason.map(|reason| shortened(&visible(reason.as_bytes()), LONGEST_TEXT));
        self
    }

    /// The record of a program that runs outside.
    pub(super) fn outside(mut self, program: &std::path::Path, dropped: &[String]) -> DecisionRecord {
        self.program = shown_path(program);
        self.dropped_variables = dropped.iter().take(MOST_ARGUMENTS).cloned().collect();
        self
    }
}

fn shown_path(path: &std::path::Path) -> String {
    shortened(&visible(path.as_os_str().as_encoded_bytes()), LONGEST_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_keeps_bounded_records_and_counts_the_rest() {
        let exec = super::super::exec::Exec {
            file: "/bin/x".into(),
            argv: vec!["x\u{1b}[2K".into(); 100],
            env: Vec::new(),
            directory: None,
            workdir: "/".into(),
            seen: None,
            opened: None,
            first_line: None,
            starter: crate::judgement::exec::Starter::Shell,
            below: None,
            kept_inside: None,
            runs_as: None,
            lineage: crate::judgement::Lineage::default(),
            is_far: false,
            reads_input: false,
        };
        let decisions = Decisions::default();
        for _ in 0..MOST_RECORDS + 5 {
            decisions.add(
                DecisionRecord::new(&exec, Decided::Escalated)
                    .because(Some(&"y".repeat(5000)))
                    .said(Some(&"\u{1b}".repeat(5000))),
            );
        }
        let (records, left_out) = decisions.read();
        assert_eq!((records.len(), left_out), (MOST_RECORDS, 5));
        assert_eq!(records[0].argv.len(), MOST_ARGUMENTS + 1);
        assert_eq!(records[0].argv[0], "x\\u{1b}[2K");
        let said = records[0].reason.as_ref().map(|said| (said.chars().count(), said.contains('\u{1b}')));
        assert_eq!(said, Some((LONGEST_TEXT + 1, false)));
        assert_eq!(
            records[0].why_not_escalated.as_ref().map(|why| why.chars().count()),
            Some(LONGEST_TEXT + 1)
        );
    }
}
