//! What is logged to standard error, and how much of it: nobody who can cause a line may fill a disk with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Warnings and errors of one kind (one place in the code) that are written in a [`PERIOD`].
const MOST: u32 = 20;

/// See above.
const PERIOD: Duration = Duration::from_secs(60);

/// What says how much was left out, which is never left out itself.
const LEFT_OUT: &str = "exec_server::logs";

/// What is logged of the protocol library: it has whole requests at its lower levels, warns of what clients say, and calls it
/// an error of its service when a client is gone before its answer.
const LIBRARY: &str = "rmcp=error,rmcp::service=off";

/// Begins to log, in lines for people, or in JSON for programs, which want to know of every request.
pub(crate) fn start(json: bool) {
    let by_default = if json { "warn,exec_server=info" } else { "warn" };
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{by_default},{LIBRARY}")));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // A log that cannot be written (a full disk) must not end the thread that says so.
        .log_internal_errors(false);
    if json {
        let logs = logs.json().flatten_event(true).with_span_list(false);
        logs.finish().with(Limited::default()).init();
    } else {
        logs.finish().with(Limited::default()).init();
    }
}

/// Leaves out what comes too often.
#[derive(Debug, Default)]
struct Limited(Mutex<HashMap<Identifier, Kind>>);

/// What there was of one kind.
#[derive(Debug)]
struct Kind {
    since: Instant,
    written: u32,
    left_out: u64,
}

impl Kind {
    fn new(now: Instant) -> Kind {
        Kind { since: now, written: 0, left_out: 0 }
    }

    /// One more: it is written, after so many that were not; or it is not.
    fn one_more(&mut self, now: Instant) -> Option<u64> {
        if self.written < MOST {
            self.written += 1;
            return Some(0);
        }
        if now.duration_since(self.since) < PERIOD {
            self.left_out += 1;
            return None;
        }
        let left_out = self.left_out;
        *self = Kind { written: 1, ..Kind::new(now) };
        Some(left_out)
    }
}

impl<S: Subscriber> Layer<S> for Limited {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || metadata.target() == LEFT_OUT {
            return true;
        }
        let now = Instant::now();
        let counted = {
            let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kinds.entry(metadata.callsite()).or_insert_with(|| Kind::new(now)).one_more(now)
        };
        if let Some(lines @ 1..) = counted {
            tracing::warn!(target: LEFT_OUT, lines, "of the kind that follows were left out");
        }
        counted.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_often_is_left_out_and_that_is_said() {
        let begin = Instant::now();
        let mut kind = Kind::new(begin);
        for _ in 0..MOST {
            assert_eq!(kind.one_more(begin), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(kind.one_more(begin + PERIOD / 2), None);
        }
        assert_eq!(kind.one_more(begin + PERIOD), Some(1000));
        for _ in 1..MOST {
            assert_eq!(kind.one_more(begin + PERIOD), Some(0));
        }
        assert_eq!(kind.one_more(begin + PERIOD), None);
    }

    #[test]
    fn what_comes_seldom_is_written() {
        let mut now = Instant::now();
        let mut kind = Kind::new(now);
        for _ in 0..10 * MOST {
            assert_eq!(kind.one_more(now), Some(0));
            now += PERIOD / MOST;
        }
    }
}
