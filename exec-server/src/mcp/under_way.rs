//! The requests that have no answer yet, the client's and ours, and what a next server would have to know of them.
//!
//! Our own requests are numbered from another number on by each server of a session: an answer to a question of a
//! server that has died must never be taken for one to another question of the next.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rmcp::model::RequestId;
use tokio::sync::Notify;

use super::session_file::SessionFile;

/// More questions than one server asks.
const NUMBERS: i64 = 1 << 24;

/// The requests that have no answer yet.
#[derive(Default)]
pub(super) struct UnderWay {
    state: Mutex<Requests>,
    answered: Notify,
}

#[derive(Default)]
struct Requests {
    ids: HashSet<RequestId>,
    /// Requests of those whose message holds for all that follow, if it is accepted.
    said: HashMap<RequestId, Vec<u8>>,
    session: Option<SessionFile>,
}

impl Requests {
    /// By how much the numbers of our requests are raised.
    fn first_number(&self) -> i64 {
        let generation = self.session.as_ref().map_or(1, SessionFile::generation);
        i64::try_from(generation - 1).unwrap_or_default().saturating_mul(NUMBERS)
    }
}

impl UnderWay {
    /// None yet; what happens is noted in this file from now on.
    pub(super) fn new(session: Option<SessionFile>) -> UnderWay {
        UnderWay { state: Mutex::new(Requests { session, ..Requests::default() }), ..UnderWay::default() }
    }

    fn state(&self) -> MutexGuard<'_, Requests> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come; `said` is its message if that holds for all that follow. `false`: the id is in use.
    pub(super) fn begin(&self, id: &RequestId, said: Option<&[u8]>) -> bool {
        let mut state = self.state();
        if !state.ids.insert(id.clone()) {
            return false;
        }
        if let Some(session) = &mut state.session {
            session.received(id);
            if let Some(message) = said {
                state.said.insert(id.clone(), message.to_vec());
            }
        }
        true
    }

    /// A notification has come that holds for all that follow.
    pub(super) fn said(&self, message: &[u8]) {
        if let Some(session) = &mut self.state().session {
            session.said(message);
        }
    }

    /// A request has been answered, with a result or else an error, or its client does not want an answer any more.
    pub(super) fn finish(&self, id: &RequestId, with_result: bool) {
        let mut state = self.state();
        state.ids.remove(id);
        let said = state.said.remove(id).filter(|_| with_result);
        if let Some(session) = &mut state.session {
            if let Some(message) = said {
                session.said(&message);
            }
            session.answered(id);
            if with_result {
                session.begin();
            }
        }
        drop(state);
        self.answered.notify_waiters();
    }

    /// This server serves, also if nobody asks anything.
    pub(super) fn serving(&self) {
        if let Some(session) = &mut self.state().session {
            session.begin();
        }
    }

    /// The id that a request of ours has for the client.
    pub(super) fn ask(&self, id: &RequestId) -> RequestId {
        let mut state = self.state();
        let raised = shift(id, state.first_number());
        if let Some(session) = &mut state.session {
            session.asked(&raised);
        }
        raised
    }

    /// The same, of one that needs no answer any more.
    pub(super) fn withdraw(&self, id: &RequestId) -> RequestId {
        let mut state = self.state();
        let raised = shift(id, state.first_number());
        if let Some(session) = &mut state.session {
            session.settled(&raised);
        }
        raised
    }

    /// The request of ours that an answer of the client's is for; `None`: one of another server's.
    pub(super) fn settle(&self, id: &RequestId) -> Option<RequestId> {
        let mut state = self.state();
        let first = state.first_number();
        let Some(session) = &mut state.session else { return Some(id.clone()) };
        session.settled(id);
        let number = match id {
            RequestId::Number(number) => *number,
            RequestId::String(text) => text.parse().ok()?,
        };
        let own = number.checked_sub(first).filter(|own| (0..NUMBERS).contains(own))?;
        Some(RequestId::Number(own))
    }

    /// Waits until there is none.
    pub(super) async fn none_left(&self) {
        loop {
            // Hears of answers from here on, so that none between looking and waiting is missed.
            let answered = self.answered.notified();
            tokio::pin!(answered);
            answered.as_mut().enable();
            if self.state().ids.is_empty() {
                return;
            }
            answered.await;
        }
    }
}

fn shift(id: &RequestId, by: i64) -> RequestId {
    match id {
        RequestId::Number(number) => RequestId::Number(number.saturating_add(by)),
        RequestId::String(_) => id.clone(),
    }
}
