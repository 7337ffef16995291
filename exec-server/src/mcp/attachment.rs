//! Joins a call to the request that waits for it: the call's questions come out here, whoever asked for the call.
//!
//! A call does not know which request it belongs to. It asks through [`Desk`]; the request that is attached takes the
//! questions from its [`Questions`] and carries them to its client. When no request is attached any more, nobody can be
//! asked, and the answer is no.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::{mpsc, oneshot};

use crate::approval::{Answer, Approver, Question};

/// Questions that may wait to be carried; more programs wait for a place.
const WAITING: usize = 16;

/// Where a call asks.
pub(super) struct Desk {
    questions: mpsc::Sender<Pending>,
}

/// Where a request takes its call's questions from.
pub(super) type Questions = mpsc::Receiver<Pending>;

/// A question that waits for its answer. Dropping it answers that nobody could be asked.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) question: Question,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Makes both ends.
pub(super) fn desk() -> (Desk, Questions) {
    let (questions, receiver) = mpsc::channel(WAITING);
    (Desk { questions }, receiver)
}

impl Approver for Desk {
    fn ask(&self, question: Question) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let nobody = || Answer::Unanswered("the request that started this command has ended".into());
            // A failed send gives the question back, with the sender that `answered` would wait for.
            match self.questions.send(Pending { question, answer }).await {
                Ok(()) => answered.await.unwrap_or_else(|_| nobody()),
                Err(_) => nobody(),
            }
        })
    }
}
