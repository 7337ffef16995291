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
use super::event::{ActionKind, Asked, Connection, Decision, Event, Input, Origin};

/// Bytes of argument vectors of programs that simply ran, of one call, that are recorded; of more a hash is.
const MOST_TEXT: u64 = 1 << 20;

/// Programs of one call that simply ran, or that rules refused, which are recorded one by one; more are counted.
const MOST_RUNS: u64 = 32 << 10;
const MOST_REFUSALS: u64 = 256;
/// Connections of one call that were made and that are recorded.
const MOST_CONNECTIONS: u64 = 4096;

/// One call, as the log knows it.
#[derive(Clone, Debug)]
pub(crate) struct CallRecord(Arc<Recorded>);

/// What was recorded of one call.
#[derive(Debug)]
struct Recorded {
    audit: Audit,
    call: String,
    programs: AtomicU64,
    text: AtomicU64,
    runs: AtomicU64,
    refusals: AtomicU64,
    connections: AtomicU64,
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
    call: Arc<Recorded>,
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
        CallRecord(Arc::new(Recorded {
            audit,
            call: call.to_owned(),
            programs: AtomicU64::new(0),
            text: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        }))
    }

    /// The call's name.
    pub(crate) fn call(&self) -> &str {
        &self.0.call
    }

    /// The place of the call's next program, which this one has started.
    pub(crate) fn place(&self, parent: Option<u64>) -> Place {
        Place { number: self.0.programs.fetch_add(1, Ordering::Relaxed) + 1, parent }
    }

    /// Records where the call came from, if there is something to say.
    pub(crate) fn came_from(&self, origin: &Origin) {
        if *origin != Origin::default() {
            self.0.audit.record(Event::Request { call: self.0.call.clone(), origin: origin.clone() });
        }
    }

    /// Records that something was to be written to the call: by whose rule it was asked about and what came of it, where
    /// one did.
    pub(crate) fn input(&self, text: &[u8], written: bool, by: Option<(String, String, Option<Asked>)>) {
        let (program, rule, asked) = match by {
            Some((program, rule, asked)) => (Some(program), Some(rule), asked),
            None => (None, None, None),
        };
        let bounded = |text: String| bounded::text(text.as_bytes());
        self.0.audit.record(Event::Input(Box::new(Input {
            call: self.0.call.clone(),
            bytes: u64::try_from(text.len()).unwrap_or(u64::MAX),
            sha256: bounded::sha256(text),
            written,
            program: program.map(bounded),
            rule: rule.map(bounded),
            asked: asked.map(bounded_answer),
        })));
    }

    /// The record of a program; of the call's next one, where it has no place yet.
    pub(crate) fn program(&self, place: Option<Place>) -> ExecRecord {
        let place = place.unwrap_or_else(|| self.place(None));
        ExecRecord { call: Arc::clone(&self.0), place }
    }
}

impl CallRecord {
    /// Records what became of a connection of the call; of so many, those that come first.
    pub(crate) fn connection(&self, connection: Connection) {
        let (so_far, most) = match &connection.refused {
            Some(_) => (&self.0.refusals, MOST_REFUSALS),
            None => (&self.0.connections, MOST_CONNECTIONS),
        };
        if so_far.fetch_add(1, Ordering::Relaxed) < most {
            let connection = Connection { call: self.0.call.clone(), ..connection };
            self.0.audit.record(Event::Connection(Box::new(connection)));
        }
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
        let (argv, cut) = match decision {
            ActionKind::Run if !self.call.has_room_for(argv) => bounded::hashed(argv),
            ActionKind::Run | ActionKind::Escalate | ActionKind::Deny => bounded::argv(argv),
        };
        Decision {
            call: self.call.call.clone(),
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
            rights: None,
        }
    }

    /// Records a decision that gives no rights: the program runs inside the sandbox, or not at all.
    pub(crate) fn decided(&self, decision: Decision) {
        let (so_far, most) = match (decision.decision, &decision.asked) {
            (ActionKind::Run, None) => (&self.call.runs, MOST_RUNS),
            (ActionKind::Deny, None) => (&self.call.refusals, MOST_REFUSALS),
            (ActionKind::Escalate, _) | (ActionKind::Run | ActionKind::Deny, Some(_)) => {
                return self.call.audit.record(event(decision));
            }
        };
        if so_far.fetch_add(1, Ordering::Relaxed) < most {
            self.call.audit.record(event(decision));
        }
    }

    /// Records that the program is about to run outside the sandbox, and waits until that is in the log.
    ///
    /// # Errors
    ///
    /// When it is not: the program must not run outside.
    pub(crate) async fn escalates(&self, decision: Decision) -> Result<(), Arc<AuditError>> {
        self.call.audit.record_and_wait(event(decision)).await
    }

    /// Records how a program that ran outside the sandbox ended.
    pub(crate) fn ended(&self, end: Outcome) {
        let call = self.call.call.clone();
        self.call.audit.record(Event::Ended { call, exec: self.place.number, end });
    }
}

impl Recorded {
    /// Whether the text of so many arguments is still recorded.
    fn has_room_for(&self, argv: &[OsString]) -> bool {
        let length = u64::try_from(bounded::length(argv)).unwrap_or(u64::MAX).min(bounded::MAX_ARGV as u64);
        self.text.fetch_add(length, Ordering::Relaxed) < MOST_TEXT
    }
}

impl Drop for Recorded {
    /// Says how many were counted only.
    fn drop(&mut self) {
        let runs = self.runs.load(Ordering::Relaxed).saturating_sub(MOST_RUNS);
        if runs > 0 {
            self.audit.record(Event::MoreRuns { call: self.call.clone(), runs });
        }
        let refusals = self.refusals.load(Ordering::Relaxed).saturating_sub(MOST_REFUSALS);
        if refusals > 0 {
            self.audit.record(Event::MoreRefusals { call: self.call.clone(), refusals });
        }
    }
}

fn event(decision: Decision) -> Event {
    let bounded = |text: String| bounded::text(text.as_bytes());
    Event::Decision(Box::new(Decision {
        rule: decision.rule.map(bounded),
        asked: decision.asked.map(bounded_answer),
        reason: decision.reason.map(bounded),
        ..decision
    }))
}

fn bounded_answer(asked: Asked) -> Asked {
    let bounded = |text: String| bounded::text(text.as_bytes());
    Asked { words: asked.words.map(bounded), adds: asked.adds.map(bounded), ..asked }
}
