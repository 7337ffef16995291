//! What the escalation side says to the log: one [`CallRecord`] for each call, one [`ExecRecord`] for each of its
//! programs.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use escalation_protocol::handover::Outcome;

use super::audit_log::Audit;
use super::bounded;
use super::error::AuditError;
use super::event::{ActionKind, Asked, Decision, Event};

/// One call, as the log knows it.
#[derive(Clone, Debug)]
pub(crate) struct CallRecord {
    audit: Audit,
    call: Arc<str>,
    programs: Arc<AtomicU64>,
}

/// The place of a program among those of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// The number of the program that has started it, where that is known.
    pub(crate) parent: Option<u64>,
}

/// One program of a call, as the log knows it.
#[derive(Clone, Debug)]
pub(crate) struct ExecRecord {
    audit: Audit,
    call: Arc<str>,
    place: Place,
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

    /// The place of the call's next program, which this one has started.
    pub(crate) fn place(&self, parent: Option<u64>) -> Place {
        Place { number: self.programs.fetch_add(1, Ordering::Relaxed) + 1, parent }
    }

    /// The record of a program; of the call's next one, where it has no place yet.
    pub(crate) fn program(&self, place: Option<Place>) -> ExecRecord {
        let place = place.unwrap_or_else(|| self.place(None));
        ExecRecord { audit: self.audit.clone(), call: Arc::clone(&self.call), place }
    }
}

impl ExecRecord {
    /// A decision about this program; why it was made is not in it yet.
    pub(crate) fn decision(
        &self,
        decision: ActionKind,
        program: &Path,
        argv: &[OsString],
        cwd: &Path,
    ) -> Decision {
        let (argv, cut) = bounded::argv(argv);
        Decision {
            call: self.call.to_string(),
            exec: self.place.number,
            parent: self.place.parent,
            decision,
            program: bounded::text(program.as_os_str().as_encoded_bytes()),
            argv,
            cut,
            cwd: bounded::text(cwd.as_os_str().as_encoded_bytes()),
            rule: None,
            asked: None,
            reason: None,
        }
    }

    /// Records a decision that gives no rights: the program runs inside the sandbox, or not at all.
    pub(crate) fn decided(&self, decision: Decision) {
        self.audit.record(event(decision));
    }

    /// Records that the program is about to run outside the sandbox, and waits until that is in the log.
    ///
    /// # Errors
    ///
    /// When it is not: the program must not run outside.
    pub(crate) async fn escalates(&self, decision: Decision) -> Result<(), Arc<AuditError>> {
        self.audit.record_and_wait(event(decision)).await
    }

    /// Records how a program that ran outside the sandbox ended.
    pub(crate) fn ended(&self, end: Outcome) {
        self.audit.record(Event::Ended { call: self.call.to_string(), exec: self.place.number, end });
    }
}

fn event(decision: Decision) -> Event {
    let bounded = |text: String| bounded::text(text.as_bytes());
    Event::Decision(Box::new(Decision {
        rule: decision.rule.map(bounded),
        asked: decision.asked.map(|asked| Asked {
            words: asked.words.map(bounded),
            adds: asked.adds.map(bounded),
            ..asked
        }),
        reason: decision.reason.map(bounded),
        ..decision
    }))
}
