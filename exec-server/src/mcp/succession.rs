//! How a server begins that takes the place of one that has died: it hears again what the client has said for all that
//! follows, and tells the client what will never be answered.

use std::collections::HashSet;

use rmcp::RoleServer;
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ErrorData, JsonRpcMessage, RequestId,
    ServerNotification, ToolListChangedNotification,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};

use super::session_file::{Said, Session};

/// What those are told whose requests the other server had taken.
const LOST: &str = "the server died while this request was under way, and was started again: a command that ran has been ended, and \
    what it printed is lost; look at what it has done before you repeat it";

/// What a server begins with.
#[derive(Default)]
pub(super) struct Succession {
    /// What is heard again, as if it had just come.
    pub(super) heard: Vec<RxJsonRpcMessage<RoleServer>>,
    /// The requests among that, whose answers the client has had.
    pub(super) repeated: HashSet<RequestId>,
    /// What the client is told.
    pub(super) told: Vec<TxJsonRpcMessage<RoleServer>>,
    /// The requests that are answered by that.
    pub(super) answered: Vec<RequestId>,
}

impl Succession {
    /// After this session.
    pub(super) fn of(session: &Session) -> Succession {
        let mut succession = Succession { answered: session.under_way(), ..Succession::default() };
        for message in session.said.values() {
            let Ok(mut message) = serde_json::from_slice(message) else { continue };
            if let JsonRpcMessage::Request(request) = &mut message {
                let request: &mut rmcp::model::JsonRpcRequest<_> = request;
                let id = format!("shell-tool-mcp:again:{}", succession.repeated.len());
                request.id = RequestId::String(id.into());
                succession.repeated.insert(request.id.clone());
            }
            succession.heard.push(message);
        }
        let lost =
            |id: &RequestId| JsonRpcMessage::error(ErrorData::internal_error(LOST, None), Some(id.clone()));
        succession.told.extend(succession.answered.iter().map(lost));
        // Whoever still looks at a question would answer nobody.
        succession.told.extend(session.asked().into_iter().map(moot));
        if session.said.contains_key(&Said::Initialized) {
            let changed = ToolListChangedNotification::default();
            succession.told.push(notification(ServerNotification::ToolListChangedNotification(changed)));
        }
        succession
    }
}

fn moot(id: RequestId) -> TxJsonRpcMessage<RoleServer> {
    let reason = "the server that asked has died".to_owned();
    let params = CancelledNotificationParam::new(Some(id), Some(reason));
    notification(ServerNotification::CancelledNotification(CancelledNotification::new(params)))
}

fn notification(notification: ServerNotification) -> TxJsonRpcMessage<RoleServer> {
    JsonRpcMessage::notification(notification)
}
