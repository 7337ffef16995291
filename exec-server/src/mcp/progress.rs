//! Tells a client that asked for it how its command is getting on: `notifications/progress` for a progress token,
//! `notifications/message` for a log level.
//!
//! Without either nothing is ever sent. What is sent comes before the answer, always: sending belongs to the
//! request, not to a task of its own.

#![expect(deprecated, reason = "messages are still asked for")]

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};
use serde_json::json;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use shell_engine::shell::Call;

/// Time between two notifications: four a second.
const PERIOD: Duration = Duration::from_millis(250);

/// A command that prints nothing is mentioned every so many periods.
const QUIET_PERIODS: u32 = 4;

/// What is said while a person is asked.
pub(super) const WAITING: &str = "waiting for approval";

/// How one request's client is told; nothing, if it did not ask.
pub(super) struct Progress {
    asked: Option<Asked>,
}

struct Asked {
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
    /// Messages are wanted.
    messages: bool,
    started: Instant,
    interval: Interval,
    /// Periods since something was sent.
    quiet: u32,
    last: String,
    sending: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Progress {
    /// For this request. `messages`: the client has asked for messages about all requests; it may also ask with one.
    pub(super) fn of(context: &RequestContext<RoleServer>, messages: bool) -> Progress {
        let token = context.meta.get_progress_token();
        let messages = context.meta.log_level().map_or(messages, |level| wants(&level));
        let asked = (token.is_some() || messages).then(|| {
            let started = Instant::now();
            let mut interval = interval_at(started + PERIOD, PERIOD);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let peer = context.peer.clone();
            Asked { peer, token, messages, started, interval, quiet: 0, last: String::new(), sending: None }
        });
        Progress { asked }
    }

    /// Tells what `text` says, again and again, until the future is dropped; may be called again then.
    pub(super) async fn tell(&mut self, text: impl Fn() -> String) -> Infallible {
        let Some(asked) = &mut self.asked else { return std::future::pending().await };
        loop {
            asked.finish_sending().await;
            asked.interval.tick().await;
            asked.quiet += 1;
            let text = text();
            if text != asked.last || asked.quiet >= QUIET_PERIODS {
                asked.quiet = 0;
                asked.begin_sending(&text);
                asked.last = text;
            }
        }
    }

    /// Tells something at once.
    pub(super) async fn say(&mut self, text: &str, client_gone: &CancellationToken) {
        self.settle(client_gone).await;
        if let Some(asked) = self.asked.as_mut().filter(|_| !client_gone.is_cancelled()) {
            asked.quiet = 0;
            asked.begin_sending(text);
            text.clone_into(&mut asked.last);
        }
        self.settle(client_gone).await;
    }

    /// Waits until the notification that is being sent has been, so that it does not come after the answer.
    pub(super) async fn settle(&mut self, client_gone: &CancellationToken) {
        if let Some(asked) = &mut self.asked {
            tokio::select! {
                () = asked.finish_sending() => {}
                // Nobody reads any more.
                () = client_gone.cancelled() => {}
            }
        }
    }
}

impl Asked {
    async fn finish_sending(&mut self) {
        if let Some(sending) = &mut self.sending {
            sending.await;
            self.sending = None;
        }
    }

    fn begin_sending(&mut self, text: &str) {
        let elapsed = self.started.elapsed();
        let message =
            if text.is_empty() { seconds(elapsed) } else { format!("{}: {text}", seconds(elapsed)) };
        let progress = self.token.clone().map(|token| {
            ProgressNotificationParam::new(token, elapsed.as_secs_f64()).with_message(message.clone())
        });
        self.sending = Some(Box::pin(send(self.peer.clone(), progress, self.messages.then_some(message))));
    }
}

async fn send(peer: Peer<RoleServer>, progress: Option<ProgressNotificationParam>, message: Option<String>) {
    if let Some(progress) = progress
        && let Err(error) = peer.notify_progress(progress).await
    {
        tracing::debug!(%error, "a progress notification was not sent");
    }
    let Some(message) = message else { return };
    let sent = {
        let message = LoggingMessageNotificationParam::new(LoggingLevel::Debug, json!({"message": message}));
        peer.notify_logging_message(message.with_logger("shell")).await
    };
    if let Err(error) = sent {
        tracing::debug!(%error, "a message was not sent");
    }
}

/// Whether somebody who asks for this level wants to know how commands are getting on. fastmcp always asks for the
/// lowest, and prints all that is not of it.
pub(super) fn wants(level: &LoggingLevel) -> bool {
    matches!(level, LoggingLevel::Debug)
}

/// How a running call is getting on: its last line, or what it waits for.
pub(super) fn of_call(call: &Call) -> String {
    if call.is_waiting() {
        return WAITING.into();
    }
    call.announcement().or_else(|| call.output().last_line()).unwrap_or_default()
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
