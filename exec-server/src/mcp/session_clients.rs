//! The clients of sessions: who can be asked for each, between requests too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::ClientChannel;
use shell_engine::shell::{Session, Sessions};

/// How the client of each session is asked. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct SessionClients(Arc<Mutex<HashMap<u32, Arc<ClientChannel>>>>);

impl SessionClients {
    /// The client of a session that goes on.
    pub(super) fn insert(&self, session: &Session, client: &Arc<ClientChannel>, sessions: &Sessions) {
        let mut clients = self.clients();
        clients.retain(|number, _| sessions.find(*number).is_some_and(|session| !session.call().has_ended()));
        clients.insert(session.number(), Arc::clone(client));
    }

    pub(super) fn find(&self, session: &Session) -> Option<Arc<ClientChannel>> {
        self.clients().get(&session.number()).cloned()
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<u32, Arc<ClientChannel>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
