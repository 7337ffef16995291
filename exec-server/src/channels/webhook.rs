//! Posts questions to a server of the user's, and takes its answers: both are signed with a key that the two share.
//!
//! The answer is signed, too, although it comes by TLS or from this machine: a port of this machine is whoever's was
//! there first, and a proxy that looks into TLS is not asked whether a command may run. It is bound to its question by
//! the message's name. The question itself, sent back with its own signature, has no decision in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::json;
use ureq::Agent;

use shell_engine::approval::{Channel, OpenQuestion, Reply, ReplyFuture};
use shell_engine::{ApprovalSettings, Webhook};

use super::document::{self, MAX_DECISION, NoDecision};
use super::signing::{Seal, SigningKey, SigningKeyError, now};
use crate::fetching;

/// How long reaching the server may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a decision may take when nothing else is said.
const PATIENCE: Duration = ApprovalSettings::PARKED;

/// What names a message, says when it was sent, and has its signature.
const HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// A server that decides, or asks somebody who does.
pub(super) struct WebhookChannel {
    url: String,
    key: PathBuf,
    asker: Option<String>,
}

/// Why an answer is none.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("cannot be asked: its key {0}")]
    Key(#[from] SigningKeyError),
    #[error("cannot be asked: the system gives no random numbers")]
    NoName,
    #[error("did not answer: {0}")]
    Http(#[from] ureq::Error),
    #[error("answered {0}, not 200")]
    Status(u16),
    #[error("answered what is not signed with its key, for this question, now")]
    NotSigned,
    #[error("answered {0}")]
    Decision(#[from] NoDecision),
}

/// A question on its way.
struct Message {
    url: String,
    key: SigningKey,
    id: String,
    body: String,
}

/// Ends a request that nobody waits for.
struct Ending(Option<Agent>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(agent) = self.0.take() {
            agent.shutdown();
        }
    }
}

impl WebhookChannel {
    /// Asks this server, and tells it who asks, if there are others.
    pub(super) fn new(webhook: Webhook, asker: Option<String>) -> WebhookChannel {
        WebhookChannel { url: webhook.url, key: webhook.key, asker }
    }

    async fn post(&self, open: &OpenQuestion) -> Result<Reply, NoAnswer> {
        let message = self.message(open)?;
        let config = fetching::config(&self.url)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false);
        let agent = fetching::agent(config.build());
        let ending = Ending(Some(agent.clone()));
        let answered = tokio::task::spawn_blocking(move || message.exchange(&agent)).await;
        drop(ending);
        answered.unwrap_or_else(|error| Err(ureq::Error::Io(std::io::Error::other(error)).into()))
    }

    fn message(&self, open: &OpenQuestion) -> Result<Message, NoAnswer> {
        let key = SigningKey::read(&self.key)?;
        let random = ring::rand::generate::<[u8; 16]>(&ring::rand::SystemRandom::new());
        let random = random.map_err(|_| NoAnswer::NoName)?.expose();
        let mut data = document::of(open);
        if let Some(asker) = &self.asker {
            data["asked_by"] = json!(asker);
        }
        let since = chrono::DateTime::<chrono::Utc>::from(open.since);
        let since = since.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let body = json!({"type": "approval.asked", "timestamp": since, "data": data}).to_string();
        let id = format!("msg_{:032x}", u128::from_be_bytes(random));
        Ok(Message { url: self.url.clone(), key, id, body })
    }
}

/// The address of a server that may be asked.
///
/// # Errors
///
/// When anybody on the way could read what is asked.
pub fn webhook_url(text: &str) -> Result<String, String> {
    let is_one = fetching::is_safe(text) && text.parse::<axum::http::Uri>().is_ok();
    is_one.then(|| text.to_owned()).ok_or_else(|| "an https address, or http on this machine itself".into())
}

/// The file of a key.
///
/// # Errors
///
/// When it has none.
pub fn webhook_key(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    SigningKey::read(&path).map(|_| path).map_err(|error| format!("it {error}"))
}

impl Message {
    /// Posts it, and reads what comes back. Waits where it is called.
    fn exchange(&self, agent: &Agent) -> Result<Reply, NoAnswer> {
        let seal = Seal { id: &self.id, timestamp: now() };
        let signature = self.key.sign(&seal, self.body.as_bytes());
        let mut request = agent.post(&self.url).header("content-type", "application/json");
        for (name, value) in HEADERS.into_iter().zip([seal.id, &seal.timestamp.to_string(), &signature]) {
            request = request.header(name, value);
        }
        let mut answer = request.send(&self.body)?;
        if answer.status() != 200 {
            return Err(NoAnswer::Status(answer.status().as_u16()));
        }
        let most = u64::try_from(MAX_DECISION).unwrap_or(u64::MAX);
        let body = answer.body_mut().with_config().limit(most).read_to_vec()?;
        if !self.is_answered_by(answer.headers(), &body) {
            return Err(NoAnswer::NotSigned);
        }
        Ok(document::decision(&body)?)
    }

    fn is_answered_by(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let [id, timestamp, signatures] = HEADERS.map(|name| {
            let mut values = headers.get_all(name).iter();
            values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
        });
        let Some(((id, timestamp), signatures)) = id.zip(timestamp).zip(signatures) else { return false };
        let Ok(timestamp) = timestamp.parse() else { return false };
        id == self.id && self.key.verify(&Seal { id, timestamp }, body, signatures)
    }
}

impl Channel for WebhookChannel {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn reach(&self) -> Result<(), String> {
        Ok(())
    }

    fn ask(self: Arc<Self>, open: Arc<OpenQuestion>) -> ReplyFuture {
        Box::pin(async move {
            self.post(&open).await.unwrap_or_else(|error| {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the approval webhook gave no answer"
                );
                Reply::Passed(format!("the approval webhook {error}"))
            })
        })
    }
}
