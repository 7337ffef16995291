//! Who listens for the ends of commands, and for changes of tasks.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

/// What one client listens for of a kind; more is passed over.
pub(super) const MOST: usize = 256;

/// Changes of tasks that may wait for a client that does not read.
const WAITING: usize = 64;

/// The tasks that a request to listen names. The protocol's library does not read them.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskIds(pub(super) Vec<String>);

impl TaskIds {
    /// Those of a request, as it came.
    pub(super) fn named_in(line: &[u8]) -> TaskIds {
        let request: Value = serde_json::from_slice(line).unwrap_or_default();
        let named = request["params"]["notifications"]["taskIds"].as_array().cloned().unwrap_or_default();
        let texts = named.iter().filter_map(Value::as_str);
        TaskIds(texts.take(MOST).map(str::to_owned).collect())
    }
}

/// Changes of tasks, by their ids. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct TaskChanges(pub(super) broadcast::Sender<String>);

impl Default for TaskChanges {
    fn default() -> TaskChanges {
        TaskChanges(broadcast::channel(WAITING).0)
    }
}

impl TaskChanges {
    /// A task does something else than before.
    pub(super) fn tell(&self, id: &str) {
        // Nobody may listen.
        let _ = self.0.send(id.to_owned());
    }
}

/// What clients of `initialize` have subscribed to.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(Mutex<HashMap<String, AbortHandle>>);

impl Subscriptions {
    pub(super) fn list(&self) -> MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.list().values().for_each(AbortHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_listen_names_tasks() {
        let ids = |line: &str| TaskIds::named_in(line.as_bytes()).0;
        assert_eq!(ids(r#"{"params":{"notifications":{"taskIds":["a",1,"b"]}}}"#), ["a", "b"]);
        for none in ["", "{}", r#"{"params":{"notifications":{"taskIds":"a"}}}"#] {
            assert!(ids(none).is_empty(), "{none}");
        }
    }
}
