//! The sessions of one principal, of the revisions that have them. Whoever is another principal has others, so that an
//! id of these means nothing to him.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError,
};
use rmcp::transport::streamable_http_server::session::{EventStore, ServerSseMessage};
use rmcp::transport::streamable_http_server::{RestoreOutcome, SessionId, SessionManager};
use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt};

use super::events::{Events, Replay};
use super::weight;

/// How long a session lives that nothing happens in: a person may have gone to sleep. What is stored of it outlives this.
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);

type Local = LocalSessionManager;
type Messages = Pin<Box<dyn Stream<Item = ServerSseMessage> + Send + Sync>>;

/// What all that clients have said at the beginning of one principal's sessions takes at most, in bytes.
const MOST_BYTES: usize = 32 << 20;

/// What is thought of a session that another server has begun: more than clients say.
const RESTORED: usize = 128 << 10;

/// The sessions of one principal. Clones are the same.
#[derive(Clone)]
pub(super) struct Sessions {
    local: Arc<Local>,
    events: Arc<Events>,
    /// When each was last used, and what is kept of its client, in bytes.
    used: Arc<Mutex<HashMap<SessionId, (Instant, usize)>>>,
    most: usize,
    /// Whether broken streams can be taken up.
    resumes: bool,
}

impl Sessions {
    /// None yet, and never more than this: the one that was not used for longest makes room.
    pub(super) fn new(server: &str, most: usize) -> Sessions {
        let events = Arc::new(Events::new(server));
        let mut local = Local::default().with_event_store(Arc::new(Replay(Arc::clone(&events))));
        local.session_config.keep_alive = Some(IDLE);
        Sessions { local: Arc::new(local), events, used: Arc::default(), most, resumes: true }
    }

    /// The same for requests of the revisions without sessions: there, who closes a stream has cancelled its request.
    pub(super) fn without_resuming(&self) -> Sessions {
        Sessions { resumes: false, ..self.clone() }
    }

    fn used(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, (Instant, usize)>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self, id: &SessionId, bytes: usize) {
        let now = Instant::now();
        self.used().entry(id.clone()).and_modify(|(when, _)| *when = now).or_insert((now, bytes));
    }

    /// Ends those that were not used for longest until there is room for one more, of which so much is kept.
    async fn make_room(&self, bytes: usize) -> Result<(), LocalSessionManagerError> {
        loop {
            let oldest = {
                let mut used = self.used();
                let kept: usize = used.values().map(|(_, bytes)| bytes).sum();
                if used.len() < self.most && kept.saturating_add(bytes) <= MOST_BYTES {
                    return Ok(());
                }
                let oldest = used.iter().min_by_key(|(_, (when, _))| *when).map(|(id, _)| id.clone());
                oldest.inspect(|id| {
                    used.remove(id);
                })
            };
            let Some(oldest) = oldest else { return Ok(()) };
            tracing::warn!("a principal has too many sessions; the one that was not used for longest ends");
            self.end(&oldest).await?;
        }
    }

    /// Ends one, with all that is kept for whoever would take its streams up.
    async fn end(&self, id: &SessionId) -> Result<(), LocalSessionManagerError> {
        let closed = self.local.close_session(id).await;
        self.events.forget_session(id);
        closed
    }
}

impl SessionManager for Sessions {
    type Error = LocalSessionManagerError;
    type Transport = <Local as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        self.make_room(0).await?;
        let (id, transport) = self.local.create_session().await?;
        self.touch(&id, 0);
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        let bytes = serde_json::to_vec(&message).map_or(0, |text| weight::of(&text));
        // It makes no room for itself.
        self.used().remove(id);
        self.make_room(bytes).await?;
        self.used().insert(id.clone(), (Instant::now(), bytes));
        self.local.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        let has = self.local.has_session(id).await?;
        if has {
            self.touch(id, RESTORED);
        }
        Ok(has)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        self.used().remove(id);
        self.end(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let stream = self.local.create_stream(id, message).await?;
        let (events, session) = (Arc::clone(&self.events), id.clone());
        Ok(stream.map(move |message| {
            message.event_id.iter().for_each(|event| events.is_of(&session, event));
            message
        }))
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        self.local.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.local.create_standalone_stream(id).await
    }

    /// What came after that event. Another server's events are not known here: what it has not sent, nobody will.
    async fn resume(
        &self,
        id: &SessionId,
        last_event: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        if self.events.knows(&last_event) {
            Ok(Box::pin(self.local.resume(id, last_event).await?) as Messages)
        } else {
            Ok(Box::pin(self.local.create_standalone_stream(id).await?) as Messages)
        }
    }

    async fn restore_session(&self, id: SessionId) -> Result<RestoreOutcome<Self::Transport>, Self::Error> {
        self.make_room(RESTORED).await?;
        self.touch(&id, RESTORED);
        self.local.restore_session(id).await
    }

    fn event_store(&self) -> Option<Arc<dyn EventStore>> {
        self.resumes.then(|| Arc::new(Replay(Arc::clone(&self.events))) as Arc<dyn EventStore>)
    }
}
