//! Asking those who may answer over HTTP: the questions of all principals of one server, in one place.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::terminal::{FromServer, FromTerminal, Hub, VERSION};
use shell_engine::approval::{Channel, OpenQuestion, ReplyFuture};
use shell_engine::visible::visible;

/// Views that may be open at once.
const MAX_VIEWS: usize = 64;

/// Questions of one principal that are shown at a time; there are fewer (`--max-questions`) of one that keeps to what it says.
const MAX_RELAYED: usize = 1024;

/// Bytes of a question's name.
const MAX_ID: usize = 64;

/// What is open on a server behind HTTP.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Hub>);

/// The way of one principal's questions to the desk.
struct DeskChannel {
    hub: Arc<Hub>,
    asker: Option<String>,
}

impl Desk {
    /// Nothing is open yet.
    pub(crate) fn new() -> Desk {
        let folder = std::env::current_dir().unwrap_or_default();
        let folder = visible(folder.as_os_str().as_encoded_bytes());
        let server = std::process::id();
        Desk(Arc::new(Hub::new(
            FromServer::Hello { version: VERSION, server, folder, codex_home: None },
            MAX_VIEWS,
        )))
    }

    /// What is open, and who looks at it.
    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0
    }

    /// The way of a principal's questions; his name is shown with them, if there are others.
    pub(crate) fn channel(&self, asker: Option<String>) -> Arc<dyn Channel> {
        Arc::new(DeskChannel { hub: Arc::clone(&self.0), asker })
    }
}

impl Channel for DeskChannel {
    fn name(&self) -> &'static str {
        "web"
    }

    fn reach(&self) -> Result<(), String> {
        if self.hub.is_watched() { Ok(()) } else { Err("nobody looks at the server's page /approve".into()) }
    }

    fn watches(&self) -> bool {
        true
    }

    fn deserted(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.hub.deserted()
    }

    fn ask(self: Arc<Self>, open: Arc<OpenQuestion>) -> ReplyFuture {
        Arc::clone(&self.hub).ask(open, self.asker.clone())
    }
}

/// Messages of a server that serves one principal, for the views of the server that all principals' are shown by.
pub(crate) struct Relayed {
    number: u64,
    asker: String,
    open: BTreeSet<String>,
}

impl Relayed {
    /// Of the server of this number, which serves `asker`.
    pub(crate) fn new(number: u64, asker: String) -> Relayed {
        Relayed { number, asker, open: BTreeSet::new() }
    }

    /// A message as views get it. `None`: it is none about questions. What it says about who asks does not count.
    pub(crate) fn message(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let passed = match serde_json::from_slice(message).ok()? {
            FromServer::Asked(question) => {
                let id = relayed_id(self.number, question.id());
                if id.len() > MAX_ID || self.open.len() >= MAX_RELAYED || !self.open.insert(id.clone()) {
                    return None;
                }
                FromServer::Asked(Box::new(question.relayed(id, &self.asker)))
            }
            FromServer::Closed { id } => {
                let id = relayed_id(self.number, &id);
                self.open.remove(&id).then_some(FromServer::Closed { id })?
            }
            FromServer::Hello { .. } | FromServer::Refused { .. } | FromServer::Connections { .. } => {
                return None;
            }
        };
        serde_json::to_vec(&passed).ok()
    }

    /// That all that are open are not any more.
    pub(crate) fn closed(self) -> impl Iterator<Item = Vec<u8>> {
        self.open.into_iter().filter_map(|id| serde_json::to_vec(&FromServer::Closed { id }).ok())
    }
}

fn relayed_id(number: u64, id: &str) -> String {
    format!("{number}-{id}")
}

impl FromTerminal {
    /// The server that an answer is for, and the answer as that one understands it.
    pub(crate) fn relayed(self) -> Option<(u64, FromTerminal)> {
        let FromTerminal::Answer { id, choice, reason } = self;
        let (number, id) = id.split_once('-')?;
        Some((number.parse().ok()?, FromTerminal::Answer { id: id.to_owned(), choice, reason }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relayed_question_names_who_asks_and_its_answer_finds_back() {
        let question = r#"{"say":"asked","id":"q7","message":"m","command":"c","program":"/p","arguments":[],
            "left_out":0,"workdir":"/","rule":null,"why":null,"details":["Asked by bob."],"choices":["once"],"rules":[],
            "since_ms":1}"#;
        let mut relayed = Relayed::new(3, "ann".into());
        let passed = relayed.message(question.as_bytes()).unwrap();
        let passed: serde_json::Value = serde_json::from_slice(&passed).unwrap();
        assert_eq!(passed["id"], "3-q7");
        assert_eq!(passed["details"][0], "Asked by ann.");
        assert!(relayed.message(question.as_bytes()).is_none(), "it is open already");
        assert!(relayed.message(br#"{"say":"closed","id":"q8"}"#).is_none(), "it was never open");
        assert!(relayed.message(br#"{"say":"refused","why":"x"}"#).is_none());
        assert!(relayed.message(b"{").is_none());
        let answer = FromTerminal::Answer { id: "3-q7".into(), choice: "once".into(), reason: None };
        let (number, FromTerminal::Answer { id, .. }) = answer.relayed().unwrap();
        assert_eq!((number, id.as_str()), (3, "q7"));
        let closed: Vec<Vec<u8>> = relayed.closed().collect();
        assert_eq!(closed, [br#"{"say":"closed","id":"3-q7"}"#]);
        for id in ["q7", "-q7", "x-q7"] {
            let answer = FromTerminal::Answer { id: id.into(), choice: String::new(), reason: None };
            assert!(answer.relayed().is_none(), "{id}");
        }
    }
}
