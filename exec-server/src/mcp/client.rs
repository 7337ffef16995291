//! The client of one call as a channel to a person.
//!
//! A call does not know which request it belongs to: requests attach here, and say how their client can be asked.
//! Clients of the revisions that begin with `initialize` are asked by a request of ours while theirs stays open. Since
//! 2026-07-28 there are no such requests: open questions are laid out here, the client's request returns with them
//! (`input_required`), and its next one brings the answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmcp::RoleServer;
use rmcp::model::{
    CancelledNotificationParam, ClientResult, ElicitResult, ElicitationAction, InputRequest, InputRequests,
    InputResponses, ProtocolVersion, RequestId, ServerRequest,
};
use rmcp::service::{OriginatingRequestId, Peer, PeerRequestOptions, RequestContext};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::form::{self, Shape};
use shell_engine::approval::{Channel, OpenQuestion, QuestionId, Reply, ReplyFuture};
use shell_engine::config::ReasonField;

/// A person needs longer to read a question. A refusal that comes sooner is the client's own.
const READING: Duration = Duration::from_millis(300);

/// How the client can be asked.
#[derive(Clone)]
pub(super) enum ElicitationMode {
    /// By requests of ours.
    Requests {
        peer: Peer<RoleServer>,
        shape: Shape,
        gone: CancellationToken,
        /// The client's request, which questions go beside where there is more than one stream.
        request: RequestId,
    },
    /// By results that ask for more input.
    InputRequired { shape: Shape },
    /// Not at all; the text says why.
    Unsupported(&'static str),
}

impl ElicitationMode {
    /// What the client of this request has declared; `gone` is cancelled when it has closed the connection.
    pub(super) fn of(
        context: &RequestContext<RoleServer>,
        reason: ReasonField,
        gone: &CancellationToken,
    ) -> ElicitationMode {
        let shape = Shape::of(context, reason);
        let version = context.protocol_version();
        let elicitation = context.client_capabilities().and_then(|capabilities| capabilities.elicitation);
        match elicitation {
            // A client that names no mode means forms.
            Some(modes) if modes.form.is_some() || modes.url.is_none() => {
                if version.as_ref().is_some_and(|version| *version >= ProtocolVersion::V_2026_07_28) {
                    ElicitationMode::InputRequired { shape }
                } else {
                    ElicitationMode::Requests {
                        peer: context.peer.clone(),
                        shape,
                        gone: gone.clone(),
                        request: context.id.clone(),
                    }
                }
            }
            Some(_) => ElicitationMode::Unsupported(
                "the client can be asked by links only, not by forms (MCP elicitation)",
            ),
            None => ElicitationMode::Unsupported(
                "the client did not declare that it can ask one (MCP elicitation)",
            ),
        }
    }
}

/// The client of one call.
pub(super) struct ClientChannel {
    state: Mutex<Fetching>,
    /// Something was laid out.
    laid_out: Notify,
}

struct Fetching {
    /// `None` when the request has ended and no other will come.
    mode: Option<ElicitationMode>,
    open: BTreeMap<QuestionId, LaidOut>,
}

/// A question that waits to be fetched, or for its answer.
struct LaidOut {
    open: Arc<OpenQuestion>,
    reply: oneshot::Sender<Reply>,
    /// When a result took it to the client.
    shown: Option<Instant>,
}

const ENDED: &str = "the request that started this command has ended";

impl ClientChannel {
    /// A channel whose client is asked this way.
    pub(super) fn new(mode: ElicitationMode) -> ClientChannel {
        ClientChannel {
            state: Mutex::new(Fetching { mode: Some(mode), open: BTreeMap::new() }),
            laid_out: Notify::new(),
        }
    }

    /// Another request takes over.
    pub(super) fn attach(&self, mode: ElicitationMode) {
        self.state().mode = Some(mode);
    }

    /// The call's last request has ended: nobody can be asked here any more, also not what is asked now.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.mode = None;
        for (_, laid_out) in std::mem::take(&mut state.open) {
            let _ = laid_out.reply.send(Reply::Passed(ENDED.into()));
        }
    }

    /// Gives up on the questions that are laid out.
    pub(super) fn give_up(&self, why: &str) {
        for (_, laid_out) in std::mem::take(&mut self.state().open) {
            let _ = laid_out.reply.send(Reply::Passed(why.to_owned()));
        }
    }

    /// Completes when there are questions for a result to take along.
    pub(super) async fn has_questions(&self) {
        loop {
            let laid_out = self.laid_out.notified();
            if !self.state().open.is_empty() {
                return;
            }
            laid_out.await;
        }
    }

    /// Completes when there are questions that were not taken along yet.
    pub(super) async fn has_new_questions(&self) {
        loop {
            let laid_out = self.laid_out.notified();
            if self.state().open.values().any(|laid_out| laid_out.shown.is_none()) {
                return;
            }
            laid_out.await;
        }
    }

    /// The questions that are laid out, as a result takes them to the client.
    pub(super) fn take_along(&self) -> Result<InputRequests, serde_json::Error> {
        let mut state = self.state();
        let shape = match &state.mode {
            Some(ElicitationMode::InputRequired { shape } | ElicitationMode::Requests { shape, .. }) => {
                *shape
            }
            Some(ElicitationMode::Unsupported(_)) | None => Shape::default(),
        };
        let mut requests = InputRequests::new();
        for (id, laid_out) in &mut state.open {
            let request = form::request(&laid_out.open, shape)?;
            requests.insert(id.to_string(), InputRequest::Elicitation(request));
            laid_out.shown = Some(Instant::now());
        }
        Ok(requests)
    }

    /// Passes on the answers that a request brought. What was not asked, or is not open any more, is passed over; what
    /// was asked and not answered stays open.
    pub(super) fn answer(&self, responses: &InputResponses) {
        let mut state = self.state();
        let answered: Vec<(QuestionId, Reply)> = state
            .open
            .iter()
            .filter_map(|(id, laid_out)| {
                let shown = laid_out.shown?;
                let response = responses.get(&id.to_string())?;
                let reply = match serde_json::from_value::<ElicitResult>(response.clone()) {
                    Ok(result) => reply(&result, shown.elapsed()),
                    Err(_) => form::not_understood(NO_ANSWER),
                };
                Some((*id, reply))
            })
            .collect();
        for (id, reply) in answered {
            if let Some(laid_out) = state.open.remove(&id) {
                let _ = laid_out.reply.send(reply);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, Fetching> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NO_ANSWER: &str = "it is not one to a question";

/// What an answer means that took so long.
fn reply(result: &ElicitResult, took: Duration) -> Reply {
    match result.action {
        ElicitationAction::Decline if took < READING => {
            Reply::Passed("the client declined at once, perhaps without asking anyone".into())
        }
        ElicitationAction::Cancel if took < READING => {
            Reply::Passed("the client cancelled at once, perhaps without asking anyone".into())
        }
        ElicitationAction::Accept | ElicitationAction::Decline | ElicitationAction::Cancel | _ => {
            form::read(result)
        }
    }
}

impl Channel for ClientChannel {
    fn name(&self) -> &'static str {
        "client"
    }

    fn reach(&self) -> Result<(), String> {
        match &self.state().mode {
            Some(ElicitationMode::Requests { gone, .. }) if gone.is_cancelled() => {
                Err("the client is gone".into())
            }
            Some(ElicitationMode::Requests { .. } | ElicitationMode::InputRequired { .. }) => Ok(()),
            Some(ElicitationMode::Unsupported(why)) => Err((*why).into()),
            None => Err(ENDED.into()),
        }
    }

    fn ask(self: Arc<Self>, open: Arc<OpenQuestion>) -> ReplyFuture {
        let mode = self.state().mode.clone();
        match mode {
            Some(ElicitationMode::Requests { peer, shape, gone, request }) => Box::pin(async move {
                tokio::select! {
                    reply = send(peer, &open, shape, request) => reply,
                    // The client's side of the connection is closed; a request to it would wait for ever.
                    () = gone.cancelled() => Reply::Passed("the client is gone".into()),
                }
            }),
            Some(ElicitationMode::InputRequired { .. }) => Box::pin(self.lay_out(open)),
            Some(ElicitationMode::Unsupported(why)) => {
                Box::pin(std::future::ready(Reply::Passed(why.into())))
            }
            None => Box::pin(std::future::ready(Reply::Passed(ENDED.into()))),
        }
    }
}

impl ClientChannel {
    /// Lays a question out until it is answered or withdrawn.
    async fn lay_out(self: Arc<Self>, open: Arc<OpenQuestion>) -> Reply {
        let (reply, replied) = oneshot::channel();
        let id = open.id;
        let _withdrawn = Withdrawn { channel: &self, id };
        self.state().open.insert(id, LaidOut { open, reply, shown: None });
        self.laid_out.notify_waiters();
        replied.await.unwrap_or_else(|_| Reply::Passed(ENDED.into()))
    }
}

/// Takes a question away again when it is dropped.
struct Withdrawn<'c> {
    channel: &'c ClientChannel,
    id: QuestionId,
}

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        self.channel.state().open.remove(&self.id);
    }
}

/// Asks by a request of ours.
async fn send(peer: Peer<RoleServer>, open: &OpenQuestion, shape: Shape, beside: RequestId) -> Reply {
    let request = match form::request(open, shape) {
        Ok(mut request) => {
            request.extensions.insert(OriginatingRequestId(beside));
            ServerRequest::ElicitRequest(request)
        }
        Err(error) => return failed(&error),
    };
    let shown = Instant::now();
    let handle = match peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await {
        Ok(handle) => handle,
        Err(error) => return failed(&error),
    };
    let mut moot = Moot { peer: Some(peer.clone()), id: handle.id.clone() };
    let response = handle.await_response().await;
    moot.peer = None;
    match response {
        Ok(ClientResult::ElicitResult(result)) => reply(&result, shown.elapsed()),
        Ok(_) => form::not_understood(NO_ANSWER),
        Err(error) => failed(&error),
    }
}

/// Tells the client that its answer is not needed any more, when it is dropped before the answer came.
struct Moot {
    peer: Option<Peer<RoleServer>>,
    id: RequestId,
}

impl Drop for Moot {
    fn drop(&mut self) {
        let Some(peer) = self.peer.take() else { return };
        let reason = "the question has been settled or its program has ended".to_owned();
        let cancelled = CancelledNotificationParam::new(Some(self.id.clone()), Some(reason));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { peer.notify_cancelled(cancelled).await });
        }
    }
}

fn failed(error: &impl std::fmt::Display) -> Reply {
    tracing::warn!(%error, "asking the client failed");
    Reply::Passed(format!("asking the client failed ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shell_engine::approval::Choice;

    #[test]
    fn a_refusal_is_a_persons_when_there_was_time_to_read() {
        let said = |action: ElicitationAction, took| reply(&ElicitResult::new(action), took);
        let hasty = READING - Duration::from_millis(1);
        let decided = |choice| Reply::Decided { choice, reason: None };
        assert_eq!(said(ElicitationAction::Accept, Duration::ZERO), decided(Choice::Once));
        assert_eq!(said(ElicitationAction::Decline, READING), decided(Choice::Deny));
        assert_eq!(said(ElicitationAction::Cancel, READING), Reply::Closed);
        for action in [ElicitationAction::Decline, ElicitationAction::Cancel] {
            assert!(matches!(said(action, hasty), Reply::Passed(why) if why.contains("at once")));
        }
    }
}
