//! Sends spans to a collector, from a thread of its own: no call waits for it, and what does not fit is counted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use ureq::Agent;

use super::collector::Collector;
use super::otlp::{Span, message};
use crate::fetching;
use crate::http::metrics::Metrics;

/// Calls whose spans wait to be sent.
const WAITING: usize = 1024;

/// Spans of one message.
const MOST: usize = 512;

/// How long spans are gathered for a message.
const GATHERING: Duration = Duration::from_secs(1);

/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the last spans may take when the server ends.
const LAST: Duration = Duration::from_secs(2);

/// The way to a collector. Clones are the same.
#[derive(Clone)]
pub(in crate::http) struct Exporter {
    queue: SyncSender<Queued>,
    metrics: Arc<Metrics>,
}

enum Queued {
    Spans(Vec<Span>),
    /// Whoever waits until all that was there before it has been sent.
    Flush(oneshot::Sender<()>),
}

struct Sending {
    agent: Agent,
    collector: Collector,
    metrics: Arc<Metrics>,
    /// Whether the last message arrived: a collector that is away is told of once.
    arrives: bool,
}

impl Exporter {
    /// Sends spans to this collector, and counts them.
    pub(in crate::http) fn start(collector: Collector, metrics: Arc<Metrics>) -> Exporter {
        let (queue, queued) = sync_channel(WAITING);
        let config = fetching::config(&collector.url).timeout_global(Some(PATIENCE));
        let agent = fetching::agent(config.build());
        let sending = Sending { agent, collector, metrics: Arc::clone(&metrics), arrives: true };
        std::thread::spawn(move || sending.send_all(&queued));
        Exporter { queue, metrics }
    }

    /// Sends the spans of one call, some time.
    pub(super) fn export(&self, spans: Vec<Span>) {
        let number = spans.len();
        if self.queue.try_send(Queued::Spans(spans)).is_err() {
            self.metrics.spans_dropped(number);
        }
    }

    /// Waits until what was exported has been sent, for a while.
    pub(in crate::http) async fn flush(&self) {
        let (sent, told) = oneshot::channel();
        if self.queue.try_send(Queued::Flush(sent)).is_ok() {
            let _ = tokio::time::timeout(LAST, told).await;
        }
    }
}

impl Sending {
    fn send_all(mut self, queue: &Receiver<Queued>) {
        while let Ok(first) = queue.recv() {
            let (mut spans, mut waiting) = (Vec::new(), None);
            let until = Instant::now() + GATHERING;
            let mut next = Ok(first);
            loop {
                match next {
                    Ok(Queued::Spans(more)) => spans.extend(more),
                    Ok(Queued::Flush(sent)) => waiting = Some(sent),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
                if spans.len() >= MOST || waiting.is_some() {
                    break;
                }
                next = queue.recv_timeout(until.saturating_duration_since(Instant::now()));
            }
            if !spans.is_empty() {
                self.send(&spans);
            }
            if let Some(waiting) = waiting {
                let _ = waiting.send(());
            }
        }
    }

    fn send(&mut self, spans: &[Span]) {
        let Collector { url, headers, service } = &self.collector;
        let mut request = self.agent.post(url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        match request.send(message(service, spans).to_string()) {
            Ok(_) => {
                self.arrives = true;
                self.metrics.spans_exported(spans.len());
            }
            Err(error) => {
                self.metrics.spans_dropped(spans.len());
                if std::mem::replace(&mut self.arrives, false) {
                    tracing::warn!(%error, "the collector does not take traces; they are dropped until it does");
                }
            }
        }
    }
}
