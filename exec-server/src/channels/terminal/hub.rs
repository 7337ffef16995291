//! Open questions, and those who look at them: whoever comes is shown what is open, and the first answer counts.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::connection::{MOST, ShownConnection};
use super::protocol::{FromServer, FromTerminal};
use super::question::{ShownQuestion, asked_by};
use shell_engine::OpenConnection;
use shell_engine::approval::{Choice, OpenQuestion, QuestionId, Reply, ReplyFuture};

/// Messages that may wait for a view; one that does not take them is let go. A server has 64 open questions at most.
const WAITING: usize = 256;

/// How long a server that has just started waits for a view that is open already: views look for new servers ten times a second.
pub(super) const GREETING_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a question waits for somebody who has left the last view: it may be opened again.
pub(super) const ABSENCE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often open connections are told of.
const REPORTED: Duration = Duration::from_secs(1);

/// Tells which connections to hosts are open.
pub(super) type Connections = Arc<dyn Fn() -> Vec<OpenConnection> + Send + Sync>;

/// Messages to a view, each a JSON object.
pub(crate) type Messages = mpsc::Receiver<Arc<[u8]>>;

/// What is open, and who looks at it.
pub(crate) struct Hub {
    hello: FromServer,
    most: usize,
    state: Mutex<OpenQuestions>,
    presence: watch::Sender<Presence>,
}

/// Who looks, and until when somebody is expected to if nobody does.
#[derive(Clone, Copy)]
struct Presence {
    attached: usize,
    expected_until: Instant,
}

#[derive(Default)]
struct OpenQuestions {
    open: BTreeMap<QuestionId, Open>,
    views: Vec<mpsc::Sender<Arc<[u8]>>>,
    /// What was last said about connections, if that is more than that there are none.
    connections: Option<Arc<[u8]>>,
}

struct Open {
    question: Arc<[u8]>,
    choices: Vec<Choice>,
    reply: oneshot::Sender<Reply>,
}

/// Why an answer counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// It was answered somewhere, or is moot, or was never asked.
    #[error("no such question is open")]
    NotOpen,
    /// The question stays open for a better one.
    #[error("that is not among the choices")]
    NoChoice,
}

impl Hub {
    /// Nothing is open yet. Each view, of which there may be so many, hears `hello` first.
    pub(in crate::channels) fn new(hello: FromServer, most: usize) -> Hub {
        let presence = Presence { attached: 0, expected_until: Instant::now() + GREETING_TIMEOUT };
        Hub { hello, most, state: Mutex::default(), presence: watch::Sender::new(presence) }
    }

    fn state(&self) -> MutexGuard<'_, OpenQuestions> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many questions are open.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.state().open.len()
    }

    /// Whether somebody looks.
    pub(in crate::channels) fn is_watched(&self) -> bool {
        !self.state().views.iter().all(mpsc::Sender::is_closed)
    }

    /// Shows a question until it is answered; `asker` is whose it is, where there are several. Dropping the future withdraws
    /// it.
    pub(in crate::channels) fn ask(
        self: Arc<Self>,
        open: Arc<OpenQuestion>,
        asker: Option<String>,
    ) -> ReplyFuture {
        Box::pin(async move {
            let mut shown = ShownQuestion::new(&open);
            shown.details.splice(0..0, asker.as_deref().map(asked_by));
            let question = match serde_json::to_vec(&FromServer::Asked(Box::new(shown))) {
                Ok(question) => question.into(),
                Err(error) => return Reply::Passed(format!("it cannot be shown ({error})")),
            };
            let (reply, replied) = oneshot::channel();
            let _shown = self.show(open.id, Open { question, choices: open.offers.choices(), reply });
            // Whoever has the other end keeps it until the question is answered or withdrawn.
            replied.await.unwrap_or_else(|_| Reply::Passed("the answer was lost".into()))
        })
    }

    fn show(&self, id: QuestionId, open: Open) -> OnShow<'_> {
        let mut state = self.state();
        state.tell(&open.question);
        state.open.insert(id, open);
        OnShow { hub: self, id }
    }

    /// A view that comes gets what is open, and from now on what changes. `None`: there are too many.
    pub(crate) fn attach(&self) -> Option<Messages> {
        let mut state = self.state();
        state.views.retain(|view| !view.is_closed());
        if state.views.len() >= self.most {
            return None;
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        let hello = serde_json::to_vec(&self.hello).ok()?.into();
        let questions = state.open.values().map(|open| &open.question);
        let greetings = std::iter::once(&hello).chain(questions).chain(&state.connections);
        for message in greetings {
            sender.try_send(Arc::clone(message)).ok()?;
        }
        state.views.push(sender);
        Some(receiver)
    }

    /// Somebody looks until the guard is dropped.
    pub(crate) fn attend(self: &Arc<Self>) -> Attending {
        self.presence.send_modify(|presence| presence.attached += 1);
        Attending(Arc::clone(self))
    }

    /// Completes when nobody looks, and nobody is expected to.
    pub(in crate::channels) fn deserted(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let mut presence = self.presence.subscribe();
            loop {
                let Presence { attached, expected_until } = *presence.borrow_and_update();
                let timeout = async {
                    match attached {
                        0 => tokio::time::sleep_until(expected_until).await,
                        _ => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = timeout => return,
                    // The sender is our own.
                    _ = presence.changed() => {}
                }
            }
        })
    }

    /// Tells of open connections while somebody looks.
    pub(super) async fn report(&self, connections: &Connections) {
        let mut presence = self.presence.subscribe();
        // The sender is our own.
        while presence.wait_for(|presence| presence.attached > 0).await.is_ok() {
            self.tell_of(&connections());
            tokio::time::sleep(REPORTED).await;
        }
    }

    fn tell_of(&self, connections: &[OpenConnection]) {
        let open: Vec<ShownConnection> = connections.iter().take(MOST).map(ShownConnection::new).collect();
        let there_are_some = !open.is_empty();
        let left_out = connections.len() - open.len();
        let Ok(message) = serde_json::to_vec(&FromServer::Connections { open, left_out }) else { return };
        let mut state = self.state();
        if there_are_some || state.connections.is_some() {
            let message = Arc::from(message);
            state.tell(&message);
            state.connections = there_are_some.then_some(message);
        }
    }

    /// Passes an answer on. One that is not among the choices decides nothing.
    ///
    /// # Errors
    ///
    /// When it counts for nothing.
    pub(crate) fn answer(&self, answer: FromTerminal) -> Result<(), NoAnswer> {
        let FromTerminal::Answer { id, choice, reason } = answer;
        let mut state = self.state();
        let asked = state.open.iter().find(|(asked, _)| asked.to_string() == id);
        let (id, open) = asked.map(|(id, open)| (*id, open)).ok_or(NoAnswer::NotOpen)?;
        let choice = Choice::from_word(&choice).filter(|choice| open.choices.contains(choice));
        let choice = choice.ok_or(NoAnswer::NoChoice)?;
        let open = state.open.remove(&id).ok_or(NoAnswer::NotOpen)?;
        open.reply.send(Reply::Decided { choice, reason }).map_err(|_| NoAnswer::NotOpen)
    }
}

/// Withdraws a question when it is dropped.
struct OnShow<'d> {
    hub: &'d Hub,
    id: QuestionId,
}

impl Drop for OnShow<'_> {
    fn drop(&mut self) {
        let mut state = self.hub.state();
        state.open.remove(&self.id);
        if let Ok(message) = serde_json::to_vec(&FromServer::Closed { id: self.id.to_string() }) {
            state.tell(&message.into());
        }
    }
}

/// A view that is attached.
pub(crate) struct Attending(Arc<Hub>);

impl Drop for Attending {
    fn drop(&mut self) {
        self.0.presence.send_modify(|presence| {
            presence.attached = presence.attached.saturating_sub(1);
            presence.expected_until = Instant::now() + ABSENCE_TIMEOUT;
        });
    }
}

impl OpenQuestions {
    /// Tells every view; one that does not listen any more, or too slowly, is let go.
    fn tell(&mut self, message: &Arc<[u8]>) {
        self.views.retain(|view| view.try_send(Arc::clone(message)).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_view_is_waited_for_at_the_start_and_after_it_has_left() {
        let hub = || Arc::new(Hub::new(FromServer::Refused { why: String::new() }, 1));
        let start = Instant::now();
        let (lonely, visited) = (hub(), hub());
        let view = visited.attend();
        lonely.deserted().await;
        assert_eq!(start.elapsed(), GREETING_TIMEOUT);
        let deserted = tokio::time::timeout(Duration::from_secs(3600), visited.deserted());
        assert!(deserted.await.is_err(), "somebody looks");
        drop(view);
        let left = Instant::now();
        visited.deserted().await;
        assert_eq!(left.elapsed(), ABSENCE_TIMEOUT);
    }
}
