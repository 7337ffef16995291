//! Where one call asks: same questions together, not too many at once.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::answer::{Answer, Scope};
use super::approver::Approver;
use super::chain::ApprovalChain;
use super::channel::Channel;
use super::memory::Identity;
use super::question::Question;

/// Questions of one call that are open at once; more wait.
const OPEN_PER_CALL: usize = 16;

/// Answers of one call that are remembered; further ones are asked about again.
const MOST_REMEMBERED: usize = 1024;

/// Noes of one call after which the rest is refused unasked: nobody shall be worn down by asking for something else.
const MOST_NOES: usize = 5;

/// The approver of one call.
pub struct CallApprover {
    chain: Arc<ApprovalChain>,
    client: Option<Arc<dyn Channel>>,
    timeout: Option<Duration>,
    /// Room for open questions.
    room: Semaphore,
    questions: Mutex<HashMap<Identity, QuestionState>>,
    /// Questions that people were shown, and those that they have answered with no or closed.
    asked: AtomicUsize,
    noes: AtomicUsize,
    /// There was somebody who could be asked.
    has_asked: AtomicBool,
}

/// What this call knows about a question.
enum QuestionState {
    /// It is being asked.
    Open(watch::Receiver<Option<Answer>>),
    /// A person said no. That holds for the rest of the call: nobody shall be worn down by asking again.
    Refused(Answer),
    /// A person said yes to what a program of the command may start many times.
    Allowed(Answer),
}

enum AskingTurn<'d> {
    Lead(Lead<'d>),
    Follow(watch::Receiver<Option<Answer>>),
    Settled(Answer),
}

impl CallApprover {
    /// The approver of a call whose own client is reached through `client`, if it has one; an answer may take
    /// `timeout`.
    #[must_use]
    pub fn new(
        chain: Arc<ApprovalChain>,
        client: Option<Arc<dyn Channel>>,
        timeout: Option<Duration>,
    ) -> CallApprover {
        let room = Semaphore::new(OPEN_PER_CALL);
        CallApprover {
            chain,
            client,
            timeout,
            room,
            questions: Mutex::default(),
            asked: AtomicUsize::new(0),
            noes: AtomicUsize::new(0),
            has_asked: AtomicBool::new(false),
        }
    }

    #[cfg(test)]
    pub(super) fn chain(&self) -> Arc<ApprovalChain> {
        Arc::clone(&self.chain)
    }

    /// Asks; whoever asks the same meanwhile gets the same answer.
    async fn inquire(&self, question: Question) -> Answer {
        loop {
            if let Some(answer) = self.chain.remembered(&question.identity) {
                return answer;
            }
            match self.turn(question.in_its_call()) {
                AskingTurn::Settled(answer) => return answer,
                AskingTurn::Follow(mut answered) => {
                    // When the one that asks is gone without an answer, the next one asks.
                    if let Ok(answer) = answered.wait_for(Option::is_some).await
                        && let Some(answer) = answer.clone()
                    {
                        return answer;
                    }
                }
                AskingTurn::Lead(lead) => {
                    let repeats = question.again.is_some();
                    let answer = self.ask_in_turn(question).await;
                    lead.settle(&answer, repeats);
                    return answer;
                }
            }
        }
    }

    async fn ask_in_turn(&self, question: Question) -> Answer {
        let Ok(_call) = self.room.acquire().await else {
            return Answer::Unanswered("the server is ending".into());
        };
        let _server = match self.chain.place().await {
            Ok(place) => place,
            Err(refused) => return refused,
        };
        // Also those that waited for their turn.
        if self.noes.load(Ordering::Relaxed) >= MOST_NOES {
            let reason =
                format!("{MOST_NOES} questions of this call were answered with no, so no more are asked");
            return Answer::Declined { reason: Some(reason), ends_call: false, by: "server" };
        }
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        self.has_asked.fetch_or(self.chain.reaches_anybody(self.client.as_ref()), Ordering::Relaxed);
        let answer = self.chain.ask(question, self.client.as_ref(), self.timeout, before > 0).await;
        if matches!(answer, Answer::Declined { .. } | Answer::Cancelled { .. }) {
            self.noes.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    fn turn(&self, identity: Identity) -> AskingTurn<'_> {
        let mut questions = self.questions();
        match questions.get(&identity) {
            Some(QuestionState::Open(answered)) => AskingTurn::Follow(answered.clone()),
            Some(QuestionState::Refused(answer) | QuestionState::Allowed(answer)) => {
                AskingTurn::Settled(answer.clone())
            }
            None => {
                let (announce, answered) = watch::channel(None);
                questions.insert(identity, QuestionState::Open(answered));
                AskingTurn::Lead(Lead { approver: self, identity, announce })
            }
        }
    }

    fn questions(&self) -> MutexGuard<'_, HashMap<Identity, QuestionState>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one of several same questions that is really asked.
struct Lead<'d> {
    approver: &'d CallApprover,
    identity: Identity,
    announce: watch::Sender<Option<Answer>>,
}

impl Lead<'_> {
    fn settle(&self, answer: &Answer, repeats: bool) {
        let mut questions = self.approver.questions();
        let is_open = |state: &QuestionState| matches!(state, QuestionState::Open(_));
        let remembered = questions.values().filter(|state| !is_open(state)).count();
        let state = match answer {
            Answer::Declined { .. } => Some(QuestionState::Refused(answer.clone())),
            // What was said, and any rule that was written, counts once.
            Answer::Approved { scope, .. } if repeats => {
                let scope = if *scope == Scope::Inside { Scope::Inside } else { Scope::Once };
                let reason = None;
                Some(QuestionState::Allowed(Answer::Approved { scope, reason, by: "call" }))
            }
            Answer::Approved { .. } | Answer::Cancelled { .. } | Answer::Unanswered(_) => None,
        };
        if let Some(state) = state.filter(|_| remembered < MOST_REMEMBERED) {
            questions.insert(self.identity, state);
        }
        drop(questions);
        self.announce.send_replace(Some(answer.clone()));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut questions = self.approver.questions();
        if matches!(questions.get(&self.identity), Some(QuestionState::Open(_))) {
            questions.remove(&self.identity);
        }
    }
}

impl Approver for CallApprover {
    fn ask(&self, question: Question) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>> {
        Box::pin(self.inquire(question))
    }

    fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }
}
