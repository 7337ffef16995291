//! What the escalation side says to the log: one [`CallRecord`] for each call, one [`ExecRecord`] for each of its programs.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use escalation_protocol::handover::Outcome;

use super::audit_log::Audit;
use super::bounded;
use super::error::AuditError;
use super::event::{Asked, Decided, Decision, Event};

/// One call, as the log knows it.
#[derive(Clone, Debug)]
pub(crate) struct CallRecord {
    audit: Audit,
    call: Arc<str>,
    programs: Arc<AtomicU64>,
}

/// One program of a call, as the log knows it.
#[derive(Clone, Debug)]
pub(crate) struct ExecRecord {
    audit: Audit,
    call: Arc<str>,
    number: u64,
}

/// Why something was decided.
#[derive(Clone, Debug, Default)]
pub(crate) struct Basis {
    /// The rule that decided or asked: file and line.
    pub(crate) rule: Option<String>,
    /// Who was asked, and what came of it.
    pub(crate) asked: Option<Asked>,
    /// What else there is to say: why it was denied.
    pub(crate) reason: Option<String>,
}

impl Audit {
    /// The record of a new call.
    pub(crate) fn call(&self) -> CallRecord {
        CallRecord::new(self.clone(), &self.next_call().to_string())
    }
}

impl CallRecord {
    /// A record of the call of this name.
    pub(super) fn new(audit: Audit, call: &str) -> CallRecord {
        CallRecord { audit, call: call.into(), programs: Arc::default() }
    }

    /// The record of the call's next program.
    pub(crate) fn program(&self) -> ExecRecord {
        let number = self.programs.fetch_add(1, Ordering::Relaxed) + 1;
        ExecRecord { audit: self.audit.clone(), call: Arc::clone(&self.call), number }
    }
}

impl ExecRecord {
    /// Records a decision that gives no rights: the program runs inside the sandbox, or not at all.
    pub(crate) fn decided(
        &self,
        decision: Decided,
        program: &Path,
        argv: &[OsString],
        cwd: &Path,
        basis: Basis,
    ) {
        self.audit.record(self.decision(decision, program, argv, cwd, basis));
    }

    /// Records that the program is about to run outside the sandbox, and waits until that is in the log.
    ///
    /// # Errors
    ///
    /// When it is not: the program must not run outside.
    pub(crate) async fn escalates(
        &self,
        program: &Path,
        argv: &[OsString],
        cwd: &Path,
        basis: Basis,
    ) -> Result<(), Arc<AuditError>> {
        self.audit.record_and_wait(self.decision(Decided::Escalate, program, argv, cwd, basis)).await
    }

    /// Records how a program that ran outside the sandbox ended.
    pub(crate) fn ended(&self, end: Outcome) {
        self.audit.record(Event::Ended { call: self.call.to_string(), exec: self.number, end });
    }

    fn decision(
        &self,
        decision: Decided,
        program: &Path,
        argv: &[OsString],
        cwd: &Path,
        basis: Basis,
    ) -> Event {
        let (argv, cut) = bounded::argv(argv);
        let bounded = |text: String| bounded::text(text.as_bytes());
        Event::Decision(Box::new(Decision {
            call: self.call.to_string(),
            exec: self.number,
            decision,
            program: bounded::text(program.as_os_str().as_encoded_bytes()),
            argv,
            cut,
            cwd: bounded::text(cwd.as_os_str().as_encoded_bytes()),
            rule: basis.rule.map(bounded),
            asked: basis.asked.map(|asked| Asked {
                words: asked.words.map(bounded),
                adds: asked.adds.map(bounded),
                ..asked
            }),
            reason: basis.reason.map(bounded),
        }))
    }
}
