//! Takes down why a program is decided about as it is, and hands that to the audit log and to the call's result.
//!
//! What lets a program out of the sandbox has to be on record first: where it cannot be, the answer is no.

use std::sync::Arc;

use execpolicy::RuleMatch;

use super::decisions::{self, DecisionRecord, Decisions};
use super::exec::Exec;
use super::verdict::Action;
use crate::approval::{Answer, Scope};
use crate::audit::{AnswerKind, Asked, AuditError, Basis, Decided, ExecRecord};

/// What is known so far of one decision. Dropped while a person is asked, it records that the question was withdrawn.
pub(super) struct AuditTrail<'a> {
    record: &'a ExecRecord,
    decisions: &'a Decisions,
    exec: &'a Exec,
    basis: Basis,
    rule: Option<RuleMatch>,
    /// Why it stays inside although a rule or a person lets it out.
    why_inside: Option<String>,
    asking: bool,
}

impl<'a> AuditTrail<'a> {
    pub(super) fn new(record: &'a ExecRecord, decisions: &'a Decisions, exec: &'a Exec) -> AuditTrail<'a> {
        AuditTrail {
            record,
            decisions,
            exec,
            basis: Basis::default(),
            rule: None,
            why_inside: None,
            asking: false,
        }
    }

    /// The rule that decides or asks.
    pub(super) fn rule(&mut self, rule: Option<RuleMatch>) {
        self.basis.rule = rule.as_ref().map(|matched| matched.rule.origin.to_string());
        self.rule = rule;
    }

    /// It runs inside, for this reason if there is one to be told.
    pub(super) fn inside(&mut self, why: Option<String>) {
        self.why_inside = why;
    }

    /// A person is asked from now on.
    pub(super) fn ask(&mut self) {
        self.asking = true;
    }

    /// The person has answered, or nobody could be asked.
    pub(super) fn answer(&mut self, answer: &Answer) {
        self.asking = false;
        let (answer, channel, words, adds) = match answer {
            Answer::Approved { scope, reason, by } => {
                let (kind, adds) = match scope {
                    Scope::Once => (AnswerKind::Once, None),
                    Scope::Session => (AnswerKind::Session, None),
                    Scope::Always(rule) => (AnswerKind::Always, Some(rule.clone())),
                };
                (kind, Some(*by), reason.clone(), adds)
            }
            Answer::Declined { reason, by } => (AnswerKind::Declined, Some(*by), reason.clone(), None),
            Answer::Cancelled { by } => (AnswerKind::Cancelled, Some(*by), None, None),
            Answer::Unanswered(_) => (AnswerKind::Nobody, None, None, None),
        };
        self.basis.asked = Some(Asked { answer, channel: channel.map(str::to_owned), words, adds });
    }

    /// Records the decision. Placement it back, or a refusal when it had to be on record and cannot be.
    pub(super) async fn conclude(mut self, action: Action) -> Action {
        let action = self.escalates(action).await;
        self.tell(&action);
        let decision = match &action {
            // On record already, or nothing would run.
            Action::Escalate(_) => return action,
            Action::Run => {
                self.basis.reason = self.why_inside.take();
                Decided::Run
            }
            Action::Deny { reason } => {
                self.basis.reason = Some(reason.clone());
                Decided::Deny
            }
        };
        self.decided(decision);
        action
    }

    /// Records that it runs where it is.
    pub(super) fn runs(mut self) {
        self.tell(&Action::Run);
        self.basis.reason = self.why_inside.take();
        self.decided(Decided::Run);
    }

    /// Records that it does not run.
    pub(super) fn refused(mut self, reason: String) {
        self.tell(&Action::Deny { reason: reason.clone() });
        self.basis.reason = Some(reason);
        self.decided(Decided::Deny);
    }

    /// Waits until an escalation is on record.
    async fn escalates(&mut self, action: Action) -> Action {
        let Action::Escalate(outside) = &action else { return action };
        let file = &outside.program.path;
        let written = self.record.escalates(file, &self.exec.argv, &self.exec.workdir, self.basis.clone());
        match written.await {
            Ok(()) => action,
            Err(error) => Action::Deny { reason: unrecorded(&error) },
        }
    }

    /// What the call's result says; a program that simply runs is not worth a word.
    fn tell(&self, action: &Action) {
        use decisions::Decided;
        let answer = self.basis.asked.as_ref().map(|asked| asked.answer);
        let approved = matches!(answer, Some(AnswerKind::Once | AnswerKind::Session | AnswerKind::Always));
        let words = self.basis.asked.as_ref().and_then(|asked| asked.words.as_deref());
        let record = |decided| DecisionRecord::new(self.exec, decided).by(self.rule.as_ref()).said(words);
        self.decisions.add(match action {
            Action::Run if approved => record(Decided::ApprovedRan).because(self.why_inside.as_deref()),
            Action::Run if self.why_inside.is_some() => {
                record(Decided::RanInside).because(self.why_inside.as_deref())
            }
            Action::Run => return,
            Action::Escalate(outside) => {
                let decided = if approved { Decided::ApprovedEscalated } else { Decided::Escalated };
                record(decided).outside(&outside.program.path, &outside.dropped)
            }
            Action::Deny { reason } => record(match answer {
                Some(AnswerKind::Declined | AnswerKind::Cancelled) => Decided::Declined,
                Some(AnswerKind::Nobody) => Decided::Unanswered,
                Some(AnswerKind::Once | AnswerKind::Session | AnswerKind::Always | AnswerKind::Withdrawn)
                | None => Decided::Refused,
            })
            .because(Some(reason)),
        });
    }

    fn decided(&mut self, decision: Decided) {
        let basis = std::mem::take(&mut self.basis);
        self.record.decided(decision, &self.exec.file, &self.exec.argv, &self.exec.workdir, basis);
    }
}

impl Drop for AuditTrail<'_> {
    fn drop(&mut self) {
        if self.asking {
            self.basis.asked =
                Some(Asked { answer: AnswerKind::Withdrawn, channel: None, words: None, adds: None });
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
