//! What a server counts, for Prometheus: how much, how long, how often; never what or for whom.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use shell_engine::Answer;
use shell_engine::approval::{QuestionObserver, Scope};
use shell_engine::audit::{ActionKind, Connection, Event};
use shell_engine::shell::{CallOutcome, Observer};

use crate::mcp::status_word;

/// What every name begins with.
const PREFIX: &str = "shell_tool";

/// Seconds by which calls are told apart.
const CALLS: [f64; 11] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 120.0, 600.0, 3600.0];

/// Seconds by which people's answers are told apart.
const ANSWERS: [f64; 9] = [1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// How the text is written.
pub(super) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Counts by one label, of which there are few values.
type By = Family<[(&'static str, &'static str); 1], Counter>;

/// What one server counts.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<[(&'static str, u32); 1], Counter>,
    calls: By,
    durations: Histogram,
    output: Counter,
    judged: By,
    denials: By,
    questions: By,
    open: Gauge,
    waits: Histogram,
    traffic: By,
    spans: By,
    now: Gauges,
}

/// What there is at a moment.
#[derive(Default)]
struct Gauges {
    running: Gauge,
    waiting: Gauge,
    sandboxes: Gauge,
    principals: Gauge,
    connections: Gauge,
}

/// How much there is at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Now {
    /// Commands that run.
    pub(super) running: usize,
    /// Commands that wait until they may.
    pub(super) waiting: usize,
    pub(super) sandboxes: usize,
    pub(super) principals: usize,
    pub(super) connections: usize,
}

impl Metrics {
    /// Nothing has been counted yet.
    pub(super) fn new() -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::with_prefix(PREFIX),
            requests: Family::default(),
            calls: By::default(),
            durations: Histogram::new(CALLS),
            output: Counter::default(),
            judged: By::default(),
            denials: By::default(),
            questions: By::default(),
            open: Gauge::default(),
            waits: Histogram::new(ANSWERS),
            traffic: By::default(),
            spans: By::default(),
            now: Gauges::default(),
        };
        let mut registry = std::mem::take(&mut metrics.registry);
        let mut register = Register(&mut registry);
        register.one("http_requests", "HTTP requests by the answer's status", &metrics.requests);
        register.one("calls", "Commands that have ended, by status", &metrics.calls);
        register.one(
            "call_duration_seconds",
            "Time that commands ran, without waiting for people",
            &metrics.durations,
        );
        register.one("call_output_bytes", "Bytes that commands have printed", &metrics.output);
        register.one("execs_judged", "Programs that were judged, by decision", &metrics.judged);
        register.one("denials", "What was refused, by what refused it", &metrics.denials);
        register.one("questions", "Questions to people, by what came of them", &metrics.questions);
        register.one("questions_open", "Questions that wait for an answer", &metrics.open);
        register.one("question_wait_seconds", "Time that questions waited", &metrics.waits);
        register.one("network_bytes", "Bytes of connections by name, by direction", &metrics.traffic);
        register.one("spans", "Spans of traces, by what became of them", &metrics.spans);
        let now = &metrics.now;
        register.one("calls_running", "Commands that run", &now.running);
        register.one("calls_waiting", "Commands that wait until they may run", &now.waiting);
        register.one("sandboxes", "Sandboxes that are kept", &now.sandboxes);
        register.one("principals", "Principals that are served", &now.principals);
        register.one("http_connections", "Connections of clients", &now.connections);
        metrics.registry = registry;
        metrics
    }

    /// Counts an answer to a request.
    pub(super) fn answered(&self, status: u16) {
        self.requests.get_or_create(&[("code", u32::from(status))]).inc();
    }

    /// Counts spans that a collector has taken.
    pub(super) fn spans_exported(&self, number: usize) {
        add(&self.spans, "outcome", "exported", u64::try_from(number).unwrap_or(u64::MAX));
    }

    /// Counts spans that did not fit into the queue, or that the collector did not take.
    pub(super) fn spans_dropped(&self, number: usize) {
        add(&self.spans, "outcome", "dropped", u64::try_from(number).unwrap_or(u64::MAX));
    }

    /// All of it as text.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(super) fn text(&self, now: Now) -> Result<String, fmt::Error> {
        let gauges = &self.now;
        for (gauge, value) in [
            (&gauges.running, now.running),
            (&gauges.waiting, now.waiting),
            (&gauges.sandboxes, now.sandboxes),
            (&gauges.principals, now.principals),
            (&gauges.connections, now.connections),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn count_connection(&self, connection: &Connection) {
        if connection.refused.is_some() {
            add(&self.denials, "by", "network", 1);
        }
        add(&self.traffic, "direction", "sent", connection.sent);
        add(&self.traffic, "direction", "received", connection.received);
    }

    fn count_judged(&self, decision: ActionKind, count: u64) {
        let word = match decision {
            ActionKind::Run => "run",
            ActionKind::Escalate => "escalate",
            ActionKind::Deny => "deny",
        };
        add(&self.judged, "decision", word, count);
        if decision == ActionKind::Deny {
            add(&self.denials, "by", "rules", count);
        }
    }
}

impl Observer for Metrics {
    fn recorded(&self, event: &Event) {
        match event {
            Event::Decision(decision) => self.count_judged(decision.decision, 1),
            Event::MoreRuns { runs, .. } => self.count_judged(ActionKind::Run, *runs),
            Event::MoreRefusals { refusals, .. } => self.count_judged(ActionKind::Deny, *refusals),
            Event::Connection(connection) => self.count_connection(connection),
            Event::Input(input) if !input.written => add(&self.denials, "by", "input", 1),
            Event::Started { .. }
            | Event::Request { .. }
            | Event::Ended { .. }
            | Event::Input(_)
            | Event::Lost { .. }
            | Event::LostRuns { .. }
            | Event::Repaired { .. } => {}
        }
    }

    fn call_ended(&self, outcome: Option<&CallOutcome>) {
        let Some(outcome) = outcome else { return add(&self.calls, "status", "not_started", 1) };
        add(&self.calls, "status", status_word(outcome), 1);
        add(&self.denials, "by", "sandbox", u64::try_from(outcome.denials.len()).unwrap_or(u64::MAX));
        self.durations.observe(outcome.running.as_secs_f64());
        self.output.inc_by(outcome.output.total());
    }
}

impl QuestionObserver for Metrics {
    fn asked(&self) {
        self.open.inc();
    }

    fn answered(&self, answer: Option<&Answer>, waited: Duration) {
        self.open.dec();
        self.waits.observe(waited.as_secs_f64());
        let word = match answer {
            None => "withdrawn",
            Some(Answer::Approved { scope, .. }) => match scope {
                Scope::Once => "once",
                Scope::Inside => "inside",
                Scope::Session | Scope::SessionRule(_) => "session",
                Scope::Always(_) => "always",
            },
            Some(Answer::Declined { .. }) => "declined",
            Some(Answer::Cancelled { .. }) => "cancelled",
            Some(Answer::Unanswered(_)) => "nobody",
        };
        add(&self.questions, "answer", word, 1);
    }
}

fn add(counts: &By, label: &'static str, value: &'static str, count: u64) {
    if count > 0 {
        counts.get_or_create(&[(label, value)]).inc_by(count);
    }
}

struct Register<'r>(&'r mut Registry);

impl Register<'_> {
    fn one<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: &M) {
        self.0.register(name, help, metric.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dashboard_shows_what_there_is() {
        const DASHBOARD: &str = include_str!("../../../packaging/grafana.json");
        let metrics = Metrics::new();
        metrics.count_judged(ActionKind::Deny, 1);
        metrics.count_connection(&Connection { sent: 1, ..Connection::default() });
        metrics.answered(200);
        metrics.asked();
        metrics.spans_dropped(1);
        QuestionObserver::answered(&metrics, None, Duration::ZERO);
        metrics.call_ended(None);
        let text = metrics.text(Now::default()).unwrap();
        let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let kinds: Vec<&str> = kinds.collect();
        let parts = DASHBOARD.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let shown: Vec<&str> = parts.filter(|part| part.starts_with("shell_tool_")).collect();
        for name in &shown {
            assert!(kinds.contains(&name.trim_end_matches("_bucket")), "{name} is not in\n{text}");
        }
        for kind in kinds {
            assert!(shown.iter().any(|name| name.trim_end_matches("_bucket") == kind), "{kind} is not shown");
        }
    }

    #[test]
    fn what_was_counted_is_told_by_few_labels() {
        let metrics = Metrics::new();
        metrics.count_judged(ActionKind::Deny, 3);
        metrics.answered(200);
        metrics.asked();
        QuestionObserver::answered(&metrics, None, Duration::from_secs(2));
        metrics.call_ended(None);
        let text = metrics.text(Now { sandboxes: 2, ..Now::default() }).unwrap();
        for line in [
            "# TYPE shell_tool_calls_total counter",
            "shell_tool_execs_judged_total{decision=\"deny\"} 3",
            "shell_tool_denials_total{by=\"rules\"} 3",
            "shell_tool_http_requests_total{code=\"200\"} 1",
            "shell_tool_calls_total{status=\"not_started\"} 1",
            "shell_tool_questions_total{answer=\"withdrawn\"} 1",
            "shell_tool_questions_open 0",
            "shell_tool_question_wait_seconds_bucket{le=\"3\"} 1",
            "shell_tool_sandboxes 2",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
    }
}
