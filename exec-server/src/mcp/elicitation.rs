//! Carries a question to a person through the client: MCP elicitation.
//!
//! Clients of the revisions that begin with `initialize` are asked while their request stays open. Everything but a
//! well-formed *accept* is a no.

use rmcp::model::{
    ClientResult, ElicitRequest, ElicitRequestParams, ElicitationAction, ElicitationSchema, ProtocolVersion,
    ServerRequest,
};
use rmcp::service::{Peer, PeerRequestOptions, RequestContext};
use rmcp::{RoleServer, model::CancelledNotificationParam};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::attachment::Pending;
use crate::approval::{Answer, Question, Scope};

/// The name of this way of asking.
const CLIENT: &str = "client";

/// Whether and how the client of one request can be asked.
#[derive(Clone)]
pub(super) enum Channel {
    /// By a request of ours.
    Request(Peer<RoleServer>),
    /// Not at all; the text says why.
    None(&'static str),
}

impl Channel {
    /// What the client of this request has declared.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Channel {
        if context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28) {
            return Channel::None(
                "this client speaks MCP 2026-07-28, in which this version of the server cannot ask yet",
            );
        }
        let elicitation = context.client_capabilities().and_then(|capabilities| capabilities.elicitation);
        match elicitation {
            // A client that names no mode means forms.
            Some(modes) if modes.form.is_some() || modes.url.is_none() => {
                Channel::Request(context.peer.clone())
            }
            Some(_) => Channel::None("the client can be asked by links only, not by forms (MCP elicitation)"),
            None => Channel::None("the client did not declare that it can ask one (MCP elicitation)"),
        }
    }

    /// Asks, and passes the answer on. Ends when the question is withdrawn or the client is gone.
    pub(super) async fn carry(self, pending: Pending, client_gone: CancellationToken) {
        let Pending { question, mut answer } = pending;
        let answered = match self {
            Channel::None(why) => Answer::Unanswered(why.into()),
            Channel::Request(peer) => tokio::select! {
                answered = ask(&peer, &question, &mut answer) => match answered {
                    Some(answered) => answered,
                    None => return, // Withdrawn.
                },
                // The client's side of the connection is closed; a request to it would wait for ever.
                () = client_gone.cancelled() => return,
            },
        };
        let _ = answer.send(answered);
    }
}

async fn ask(
    peer: &Peer<RoleServer>,
    question: &Question,
    asker: &mut tokio::sync::oneshot::Sender<Answer>,
) -> Option<Answer> {
    let params = match schema() {
        Ok(requested_schema) => ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: question.message(),
            requested_schema,
        },
        Err(error) => return Some(failed(&error)),
    };
    let request = ServerRequest::ElicitRequest(ElicitRequest::new(params));
    let handle = match peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await {
        Ok(handle) => handle,
        Err(error) => return Some(failed(&error)),
    };
    let id = handle.id.clone();
    tokio::select! {
        response = handle.await_response() => Some(match response {
            Ok(ClientResult::ElicitResult(result)) => match result.action {
                ElicitationAction::Accept => Answer::Approved { scope: Scope::Once, reason: None, by: CLIENT },
                ElicitationAction::Decline => Answer::Declined { reason: None, by: CLIENT },
                ElicitationAction::Cancel => Answer::Cancelled { by: CLIENT },
                _ => Answer::Declined { reason: None, by: CLIENT }, // A later revision's: not a clear yes.
            },
            Ok(_) => Answer::Unanswered("the client's answer was not one to a question".into()),
            Err(error) => failed(&error),
        }),
        () = asker.closed() => {
            let reason = "the program that needed approval has ended".to_owned();
            let _ = peer.notify_cancelled(CancelledNotificationParam::new(Some(id), Some(reason))).await;
            None
        }
    }
}

fn failed(error: &impl std::fmt::Display) -> Answer {
    tracing::warn!(%error, "asking the client failed");
    Answer::Unanswered(format!("asking the client failed ({error})"))
}

/// The form that clients of this kind of server know: an optional reason, next to accept and decline.
fn schema() -> Result<ElicitationSchema, serde_json::Error> {
    serde_json::from_value(json!({
        "type": "object",
        "title": "Execution Permission Request",
        "properties": {
            "reason": {
                "type": "string",
                "description": "Optional reason for allowing or denying execution"
            }
        }
    }))
}
