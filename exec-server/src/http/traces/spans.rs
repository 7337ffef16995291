//! Makes spans of what one principal's calls do, and counts all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use shell_engine::audit::{ActionKind, AnswerKind, Decision, Event, Origin};
use shell_engine::shell::{CallOutcome, Observer};

use super::exporter::Exporter;
use super::otlp::Span;
use crate::http::metrics::Metrics;
use crate::http::secret;
use crate::mcp::status_word;

/// Programs and questions of one call that are told one by one; more are counted.
const MOST_CHILDREN: usize = 128;

/// Letters of a span's name, of those of a trace's.
const SPAN_LETTERS: usize = 16;

/// Hears of one principal's calls.
pub(in crate::http) struct Spans {
    metrics: Arc<Metrics>,
    exporter: Option<Exporter>,
    open: Mutex<HashMap<String, Open>>,
}

/// A call that runs.
struct Open {
    call: Span,
    children: Vec<Span>,
    /// Programs that run outside, by their numbers, as places among the children.
    outside: HashMap<u64, usize>,
    execs: u64,
    questions: u64,
}

impl Spans {
    /// Counts what it hears, and sends it to a collector, if there is one.
    pub(in crate::http) fn new(metrics: Arc<Metrics>, exporter: Option<Exporter>) -> Spans {
        Spans { metrics, exporter, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Spans {
    fn recorded(&self, event: &Event) {
        self.metrics.recorded(event);
        if self.exporter.is_none() {
            return;
        }
        match event {
            Event::Decision(decision) => {
                if let Some(open) = self.open().get_mut(&decision.call) {
                    open.decided(decision);
                }
            }
            Event::Ended { call, exec, .. } => {
                if let Some(open) = self.open().get_mut(call) {
                    open.ended(*exec);
                }
            }
            Event::Started { .. }
            | Event::Request { .. }
            | Event::Connection(_)
            | Event::Input(_)
            | Event::Lost { .. }
            | Event::LostRuns { .. }
            | Event::MoreRuns { .. }
            | Event::MoreRefusals { .. }
            | Event::Repaired { .. } => {}
        }
    }

    fn call_ended(&self, outcome: Option<&CallOutcome>) {
        self.metrics.call_ended(outcome);
    }

    fn call_began(&self, call: &str, origin: &Origin, waited: Duration) {
        if self.exporter.is_some()
            && let Some(open) = Open::begin(origin, waited)
        {
            self.open().insert(call.to_owned(), open);
        }
    }

    fn call_left(&self, call: &str, outcome: Option<&CallOutcome>) {
        let Some(exporter) = &self.exporter else { return };
        // Not under the lock.
        let open = self.open().remove(call);
        if let Some(open) = open {
            exporter.export(open.end(outcome));
        }
    }
}

impl Open {
    /// A call that has waited so long for its turn; `None`: whoever has sent it does not want to see it.
    fn begin(origin: &Origin, waited: Duration) -> Option<Open> {
        let (trace, parent) = match origin.trace.as_deref().map(read) {
            Some(Parent { is_sampled: false, .. }) => return None,
            Some(Parent { trace, span, is_sampled: true }) => (trace, Some(span)),
            None => (secret::random().ok()?, None),
        };
        let now = SystemTime::now();
        let begun = now.checked_sub(waited).unwrap_or(now);
        let request = origin.request.as_ref().map(|request| ("shell_tool.request", json!(request)));
        let call = Span {
            name: "call",
            trace,
            id: span_id()?,
            parent,
            serves: true,
            begun,
            ended: now,
            attributes: request.into_iter().collect(),
            failed: false,
        };
        let mut open = Open { call, children: Vec::new(), outside: HashMap::new(), execs: 0, questions: 0 };
        if !waited.is_zero() {
            open.add("queue", None, (begun, now), Vec::new());
        }
        Some(open)
    }

    /// Adds a child of the call, or of this child of it, and returns its name.
    fn add(
        &mut self,
        name: &'static str,
        parent: Option<&str>,
        (begun, ended): (SystemTime, SystemTime),
        attributes: Vec<(&'static str, Value)>,
    ) -> Option<String> {
        if self.children.len() >= MOST_CHILDREN {
            return None;
        }
        let id = span_id()?;
        self.children.push(Span {
            name,
            trace: self.call.trace.clone(),
            id: id.clone(),
            parent: Some(parent.unwrap_or(&self.call.id).to_owned()),
            serves: false,
            begun,
            ended,
            attributes,
            failed: false,
        });
        Some(id)
    }

    fn decided(&mut self, decision: &Decision) {
        self.execs += 1;
        let now = SystemTime::now();
        let open = decision.asked.as_ref().and_then(|asked| asked.milliseconds);
        let asked = now.checked_sub(Duration::from_millis(open.unwrap_or_default())).unwrap_or(now);
        let word = match decision.decision {
            ActionKind::Run => "run",
            ActionKind::Escalate => "escalate",
            ActionKind::Deny => "deny",
        };
        let attributes =
            vec![("shell_tool.exec", json!(decision.exec)), ("shell_tool.decision", json!(word))];
        let exec = self.add("exec", None, (asked, now), attributes);
        if decision.decision == ActionKind::Escalate && exec.is_some() {
            self.outside.insert(decision.exec, self.children.len() - 1);
        }
        if let (Some(answered), Some(_)) = (&decision.asked, open) {
            self.questions += 1;
            let answer = ("shell_tool.answer", json!(answer(answered.answer)));
            self.add("question", exec.as_deref(), (asked, now), vec![answer]);
        }
    }

    /// A program that ran outside is at its end.
    fn ended(&mut self, exec: u64) {
        if let Some(child) = self.outside.remove(&exec).and_then(|place| self.children.get_mut(place)) {
            child.ended = SystemTime::now();
        }
    }

    fn end(mut self, outcome: Option<&CallOutcome>) -> Vec<Span> {
        let now = SystemTime::now();
        for place in self.outside.into_values() {
            if let Some(child) = self.children.get_mut(place) {
                child.ended = now;
            }
        }
        self.call.ended = now;
        self.call.failed = outcome.is_none();
        let status = outcome.map_or("not_started", status_word);
        self.call.attributes.extend([
            ("shell_tool.status", json!(status)),
            ("shell_tool.execs", json!(self.execs)),
            ("shell_tool.questions", json!(self.questions)),
        ]);
        if let Some(outcome) = outcome {
            self.call.attributes.extend([
                ("shell_tool.exit_code", json!(outcome.ending.exit_code())),
                ("shell_tool.output_bytes", json!(outcome.output.total())),
                ("shell_tool.denials", json!(outcome.denials.len())),
                ("shell_tool.sandbox", json!(outcome.sandbox)),
            ]);
        }
        self.children.push(self.call);
        self.children
    }
}

/// What a `traceparent` says, which was checked when it came in.
struct Parent {
    trace: String,
    span: String,
    is_sampled: bool,
}

fn read(traceparent: &str) -> Parent {
    let mut parts = traceparent.split('-').skip(1).map(ToOwned::to_owned);
    let mut part = || parts.next().unwrap_or_default();
    let (trace, span, flags) = (part(), part(), part());
    let is_sampled = u8::from_str_radix(&flags, 16).is_ok_and(|flags| flags & 1 == 1);
    Parent { trace, span, is_sampled }
}

fn span_id() -> Option<String> {
    let mut random = secret::random().ok()?;
    random.truncate(SPAN_LETTERS);
    Some(random)
}

fn answer(answer: AnswerKind) -> &'static str {
    match answer {
        AnswerKind::Once => "once",
        AnswerKind::Inside => "inside",
        AnswerKind::Session => "session",
        AnswerKind::Always => "always",
        AnswerKind::Declined => "declined",
        AnswerKind::Cancelled => "cancelled",
        AnswerKind::Nobody => "nobody",
        AnswerKind::Withdrawn => "withdrawn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(trace: &str) -> Origin {
        Origin { request: None, trace: Some(trace.to_owned()) }
    }

    #[test]
    fn a_call_is_a_part_of_its_senders_trace_or_of_one_of_its_own() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let open = Open::begin(&origin(parent), Duration::from_secs(1)).unwrap();
        let spans = open.end(None);
        let names: Vec<_> = spans.iter().map(|span| span.name).collect();
        assert_eq!(names, ["queue", "call"]);
        assert!(spans.iter().all(|span| span.trace == "4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(spans[1].parent.as_deref(), Some("00f067aa0ba902b7"));
        assert_eq!(spans[0].parent.as_ref(), Some(&spans[1].id));
        assert!(spans[1].failed && spans[0].ended > spans[0].begun);
        let alone = Open::begin(&Origin::default(), Duration::ZERO).unwrap().end(None);
        assert!(alone.len() == 1 && alone[0].parent.is_none() && alone[0].trace.len() == 32);
        // Whoever has not sampled his own does not want it.
        let unsampled = parent.replace("-01", "-00");
        assert!(Open::begin(&origin(&unsampled), Duration::ZERO).is_none());
    }

    #[test]
    fn of_very_many_programs_some_are_told() {
        let mut open = Open::begin(&Origin::default(), Duration::ZERO).unwrap();
        for _ in 0..(2 * MOST_CHILDREN) {
            let now = SystemTime::now();
            open.execs += 1;
            open.add("exec", None, (now, now), Vec::new());
        }
        let spans = open.end(None);
        assert_eq!(spans.len(), MOST_CHILDREN + 1);
        let execs = ("shell_tool.execs", json!(2 * MOST_CHILDREN));
        assert!(spans.last().unwrap().attributes.contains(&execs));
    }
}
