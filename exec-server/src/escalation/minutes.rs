//! Takes down why a program is decided about as it is, and hands that to the audit log.
//!
//! What lets a program out of the sandbox has to be on record first: where it cannot be, the answer is no.

use std::sync::Arc;

use super::exec::Exec;
use super::judge::Action;
use crate::approval::{Answer, Scope};
use crate::audit::{AnswerKind, Asked, AuditError, Basis, Decided, ExecRecord};

/// What is known so far of one decision. Dropped while a person is asked, it records that the question was withdrawn.
pub(super) struct Minutes<'a> {
    record: &'a ExecRecord,
    exec: &'a Exec,
    basis: Basis,
    asking: bool,
}

impl<'a> Minutes<'a> {
    pub(super) fn new(record: &'a ExecRecord, exec: &'a Exec) -> Minutes<'a> {
        Minutes { record, exec, basis: Basis::default(), asking: false }
    }

    /// The rule that decides or asks.
    pub(super) fn rule(&mut self, rule: Option<String>) {
        self.basis.rule = rule;
    }

    /// A person is asked from now on.
    pub(super) fn ask(&mut self) {
        self.asking = true;
    }

    /// The person has answered, or nobody could be asked.
    pub(super) fn answer(&mut self, answer: &Answer) {
        self.asking = false;
        let (answer, by, words) = match answer {
            Answer::Approved { scope: Scope::Once, reason, by } => {
                (AnswerKind::Once, Some(by), reason.clone())
            }
            Answer::Approved { scope: Scope::Session, reason, by } => {
                (AnswerKind::Session, Some(by), reason.clone())
            }
            Answer::Approved { scope: Scope::Always, reason, by } => {
                (AnswerKind::Always, Some(by), reason.clone())
            }
            Answer::Declined { reason, by } => (AnswerKind::Declined, Some(by), reason.clone()),
            Answer::Cancelled { by } => (AnswerKind::Cancelled, Some(by), None),
            Answer::Unanswered(_) => (AnswerKind::Nobody, None, None),
        };
        self.basis.asked = Some(Asked { answer, channel: by.map(|by| (*by).to_owned()), words });
    }

    /// Records the decision. Gives it back, or a refusal when it had to be on record and cannot be.
    pub(super) async fn conclude(mut self, action: Action) -> Action {
        let decision = match &action {
            Action::Run { .. } => Decided::Run,
            Action::Escalate => {
                let basis = self.basis.clone();
                let written =
                    self.record.escalates(&self.exec.file, &self.exec.argv, &self.exec.workdir, basis);
                let Err(error) = written.await else { return action };
                let reason = unrecorded(&error);
                self.basis.reason = Some(reason.clone());
                self.decided(Decided::Deny);
                return Action::Deny { reason };
            }
            Action::Deny { reason } => {
                self.basis.reason = Some(reason.clone());
                Decided::Deny
            }
        };
        self.decided(decision);
        action
    }

    fn decided(&mut self, decision: Decided) {
        let basis = std::mem::take(&mut self.basis);
        self.record.decided(decision, &self.exec.file, &self.exec.argv, &self.exec.workdir, basis);
    }
}

impl Drop for Minutes<'_> {
    fn drop(&mut self) {
        if self.asking {
            self.basis.asked = Some(Asked { answer: AnswerKind::Withdrawn, channel: None, words: None });
            self.basis.reason =
                Some("the program that asked, or its call, ended before there was an answer".into());
            self.decided(Decided::Deny);
        }
    }
}

fn unrecorded(error: &Arc<AuditError>) -> String {
    let mut reason = format!("it may run outside the sandbox only when that is on record, and {error}");
    let mut source = std::error::Error::source(&**error);
    while let Some(cause) = source {
        reason.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    reason.push_str("; commands inside the sandbox still run");
    reason
}
