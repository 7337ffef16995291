//! Takes down why a program is decided about as it is, and hands that to the audit log and to the call's result.
//!
//! What lets a program out of the sandbox has to be on record first: where it cannot be, the answer is no.

use std::path::Path;
use std::time::Instant;

use super::decisions::{Decided, DecisionRecord, Decisions};
use super::exec::Exec;
use super::verdict::{Action, SpokenRule};
use crate::approval::{Answer, Scope};
use crate::audit::{ActionKind, AnswerKind, Asked, AuditError, Decision, ExecRecord, RightsRecord};
use crate::visible::with_causes;

/// What is known so far of one decision. Dropped while a person is asked, it records that the question was withdrawn.
pub(super) struct AuditTrail<'a> {
    record: &'a ExecRecord,
    decisions: &'a Decisions,
    exec: &'a Exec,
    /// The rule that decides or asks.
    rule: Option<SpokenRule>,
    /// Who was asked, and what came of it.
    asked: Option<Asked>,
    /// Why it stays inside although a rule or a person lets it out.
    why_inside: Option<String>,
    /// Since when a person is asked.
    asking: Option<Instant>,
}

impl<'a> AuditTrail<'a> {
    pub(super) fn new(record: &'a ExecRecord, decisions: &'a Decisions, exec: &'a Exec) -> AuditTrail<'a> {
        AuditTrail { record, decisions, exec, rule: None, asked: None, why_inside: None, asking: None }
    }

    /// The rule that decides or asks.
    pub(super) fn rule(&mut self, rule: Option<SpokenRule>) {
        self.rule = rule;
    }

    /// It runs inside, for this reason if there is one to be told.
    pub(super) fn inside(&mut self, why: Option<String>) {
        self.why_inside = why;
    }

    /// A person is asked from now on.
    pub(super) fn ask(&mut self) {
        self.asking = Some(Instant::now());
    }

    /// The person has answered, or nobody could be asked.
    pub(super) fn answer(&mut self, answer: &Answer) {
        let since = self.asking.take();
        self.asked = Some(Asked { milliseconds: since.map(milliseconds), ..asked(answer) });
    }

    /// Records the decision. Gives it back, or a refusal when it had to be on record and cannot be.
    pub(super) async fn conclude(self, action: Action) -> Action {
        let action = self.escalates(action).await;
        self.tell(&action);
        match &action {
            // On record already, or nothing would run.
            Action::Escalate(_) => {}
            Action::Run | Action::Try(_) => self.decided(ActionKind::Run, self.why_inside.as_deref()),
            Action::Deny { reason } => self.decided(ActionKind::Deny, Some(reason)),
        }
        action
    }

    /// Records that it runs where it is.
    pub(super) fn runs(self) {
        self.tell(&Action::Run);
        self.decided(ActionKind::Run, self.why_inside.as_deref());
    }

    /// Records that it does not run.
    pub(super) fn refused(self, reason: String) {
        self.decided(ActionKind::Deny, Some(&reason));
        self.tell(&Action::Deny { reason });
    }

    /// Waits until an escalation is on record.
    async fn escalates(&self, action: Action) -> Action {
        let Action::Escalate(outside) = &action else { return action };
        let decision = Decision {
            rights: Some(Box::new(outside.rights())),
            ..self.decision(ActionKind::Escalate, &outside.program.path, None)
        };
        match self.record.escalates(decision).await {
            Ok(()) => action,
            Err(error) => Action::Deny { reason: unrecorded(&error) },
        }
    }

    /// What the call's result says; a program that simply runs is not worth a word.
    fn tell(&self, action: &Action) {
        let answer = self.asked.as_ref().map(|asked| asked.answer);
        let approved = matches!(
            answer,
            Some(AnswerKind::Once | AnswerKind::Inside | AnswerKind::Session | AnswerKind::Always)
        );
        let words = self.asked.as_ref().and_then(|asked| asked.words.as_deref());
        let record = |decided| DecisionRecord::new(self.exec, decided).by(self.rule.as_ref()).said(words);
        self.decisions.add(match action {
            Action::Run if approved => {
                record(Decided::ApprovedRan).because(self.why_inside.as_deref()).with(RightsRecord::inside())
            }
            Action::Run if self.why_inside.is_some() => {
                record(Decided::RanInside).because(self.why_inside.as_deref()).with(RightsRecord::inside())
            }
            Action::Run | Action::Try(_) => return,
            Action::Escalate(outside) => {
                let decided = if approved { Decided::ApprovedEscalated } else { Decided::Escalated };
                record(decided).outside(&outside.program.path, &outside.dropped).with(outside.rights())
            }
            Action::Deny { reason } => record(match answer {
                Some(AnswerKind::Declined | AnswerKind::Cancelled) => Decided::Declined,
                Some(AnswerKind::Nobody) => Decided::Unanswered,
                Some(
                    AnswerKind::Once
                    | AnswerKind::Inside
                    | AnswerKind::Session
                    | AnswerKind::Always
                    | AnswerKind::Withdrawn,
                )
                | None => Decided::Refused,
            })
            .because(Some(reason)),
        });
    }

    fn decided(&self, decision: ActionKind, reason: Option<&str>) {
        self.record.decided(self.decision(decision, &self.exec.file, reason));
    }

    fn decision(&self, decision: ActionKind, program: &Path, reason: Option<&str>) -> Decision {
        Decision {
            rule: self.rule.as_ref().map(|rule| rule.origin.clone()),
            asked: self.asked.clone(),
            reason: reason.map(str::to_owned),
            ..self.record.decision(decision, program, &self.exec.argv, &self.exec.workdir)
        }
    }
}

impl Drop for AuditTrail<'_> {
    fn drop(&mut self) {
        if let Some(since) = self.asking {
            self.asked = Some(Asked { milliseconds: Some(milliseconds(since)), ..Asked::withdrawn() });
            let reason = "the program that asked, or its call, ended before there was an answer";
            self.decided(ActionKind::Deny, Some(reason));
        }
    }
}

/// A question's answer as the log has it.
pub(super) fn asked(answer: &Answer) -> Asked {
    let (answer, channel, words, adds) = match answer {
        Answer::Approved { scope, reason, by } => {
            let (kind, adds) = match scope {
                Scope::Once => (AnswerKind::Once, None),
                Scope::Inside => (AnswerKind::Inside, None),
                Scope::Session => (AnswerKind::Session, None),
                Scope::Always(rule) => (AnswerKind::Always, Some(rule.clone())),
                Scope::SessionRule(rule) => (AnswerKind::Session, Some(rule.clone())),
            };
            (kind, Some(*by), reason.clone(), adds)
        }
        Answer::Declined { reason, by, .. } => (AnswerKind::Declined, Some(*by), reason.clone(), None),
        Answer::Cancelled { by } => (AnswerKind::Cancelled, Some(*by), None, None),
        Answer::Unanswered(_) => (AnswerKind::Nobody, None, None, None),
    };
    Asked { answer, channel: channel.map(str::to_owned), words, adds, milliseconds: None }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn unrecorded(error: &AuditError) -> String {
    format!(
        "it may run outside the sandbox only when that is on record, and {}; commands inside the sandbox still run",
        with_causes(error)
    )
}
