//! Asks one channel after the other until somebody has decided.
//!
//! The channels are asked in the order in which the user named them; the next one when the one before cannot be asked
//! or has passed. Channels that somebody watches see every question from the beginning. The first decision counts, and
//! withdraws the question everywhere else. When nobody is left the answer is no, with everything that stood in the way.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;

use super::answer::{Answer, Scope};
use super::channel::{Channel, Offers, OpenQuestion, QuestionId, Reply};
use super::choice::Choice;
use super::memory::{Identity, Memory};
use super::question::Question;
use crate::rules::AnswerFile;

/// Questions of one server that are open at once; more wait.
const OPEN_PER_SERVER: usize = 64;

/// The ways to a person that a server has, in the order in which they are asked, and what was answered before.
pub struct ApprovalChain {
    links: Vec<Link>,
    memory: Memory,
    /// Room for open questions.
    room: Semaphore,
    /// Whoever has so many open is refused more, instead of waiting.
    most: Option<usize>,
    answers: AnswerFile,
    observer: Option<Arc<dyn QuestionObserver>>,
}

/// Hears of questions, to count them.
pub trait QuestionObserver: Send + Sync {
    /// A question is open.
    fn asked(&self);

    /// A question that was open is no more, after so long; `None`: nobody needs its answer any more.
    fn answered(&self, answer: Option<&Answer>, waited: Duration);
}

/// One way to a person, in its place in the chain.
pub enum Link {
    /// The channel that a call brings along: its client.
    OfCall,
    /// One that all calls share.
    Shared(Arc<dyn Channel>),
}

impl ApprovalChain {
    /// Asks these, in this order. The rules of *always* go into `answers`.
    #[must_use]
    pub fn new(links: Vec<Link>, answers: AnswerFile) -> ApprovalChain {
        ApprovalChain {
            links,
            memory: Memory::default(),
            room: Semaphore::new(OPEN_PER_SERVER),
            most: None,
            answers,
            observer: None,
        }
    }

    /// The same for one of many: what would be asked while so many of his questions are open is refused.
    #[must_use]
    pub fn refusing_beyond(self, most: usize) -> ApprovalChain {
        let most = most.clamp(1, OPEN_PER_SERVER);
        ApprovalChain { room: Semaphore::new(most), most: Some(most), ..self }
    }

    /// Room for one more open question.
    pub(super) async fn place(&self) -> Result<SemaphorePermit<'_>, Answer> {
        match self.most {
            None => self.room.acquire().await.map_err(|_| Answer::Unanswered("the server is ending".into())),
            Some(most) => self.room.try_acquire().map_err(|_| {
                Answer::Unanswered(format!(
                    "{most} questions of this user are open already, which is as many as may be"
                ))
            }),
        }
    }

    /// The same, where `observer` hears of questions.
    #[must_use]
    pub fn observed(self, observer: Arc<dyn QuestionObserver>) -> ApprovalChain {
        ApprovalChain { observer: Some(observer), ..self }
    }

    /// Tells the channels that a call is about to start, and may ask.
    pub fn prepare(&self) {
        for link in &self.links {
            match link {
                Link::OfCall => {}
                Link::Shared(channel) => channel.prepare(),
            }
        }
    }

    /// What was answered for the rest of the session, if this is the very same question.
    pub(super) fn remembered(&self, identity: &Identity) -> Option<Answer> {
        let answer = Answer::Approved { scope: Scope::Session, reason: None, by: "session" };
        self.memory.allows(identity).then_some(answer)
    }

    /// Whether somebody can be asked now.
    pub(super) fn reaches_anybody(&self, client: Option<&Arc<dyn Channel>>) -> bool {
        self.channels(client).iter().any(|channel| channel.reach().is_ok())
    }

    /// Asks, and does what the answer says. Dropping the future withdraws the question.
    pub(super) async fn ask(
        &self,
        question: Question,
        client: Option<&Arc<dyn Channel>>,
        timeout: Option<Duration>,
        has_asked_before: bool,
    ) -> Answer {
        let always = question.rules_on_offer();
        let open = Arc::new(OpenQuestion {
            id: QuestionId::next(),
            offers: Offers {
                session: self.memory.has_room() && !question.once,
                always,
                inside: question.gives_more,
                end: has_asked_before,
            },
            question,
            since: SystemTime::now(),
        });
        let counted = self.observer.as_deref().map(Counted::new);
        let mut answer = decide(&self.channels(client), &open, timeout).await;
        if let Some(counted) = counted {
            counted.answered(&answer);
        }
        if let Answer::Approved { scope, .. } = &mut answer {
            match scope {
                Scope::Once | Scope::Inside => {}
                Scope::Session => self.memory.allow(open.question.identity),
                Scope::Always(rule) => {
                    // When it cannot be written, the yes counts once.
                    if !self.write_rule(&open.question, rule).await {
                        *scope = Scope::Once;
                    }
                }
                // Whoever has the rules makes it.
                Scope::SessionRule(_) => {}
            }
        }
        answer
    }

    /// The channels for one call, in order.
    fn channels(&self, client: Option<&Arc<dyn Channel>>) -> Vec<Arc<dyn Channel>> {
        let channel = |link: &Link| match link {
            Link::OfCall => client.cloned(),
            Link::Shared(channel) => Some(Arc::clone(channel)),
        };
        self.links.iter().filter_map(channel).collect()
    }

    /// Writes the rule of *always*; says whether it is in the file then.
    async fn write_rule(&self, question: &Question, line: &str) -> bool {
        match question.rule_to_write(line) {
            Some((rule, file)) => file.unwrap_or(&self.answers).add(rule.clone()).await,
            None => false,
        }
    }
}

/// An open question, as the observer hears of it. Dropped without an answer, it was withdrawn.
struct Counted<'o> {
    observer: Option<&'o dyn QuestionObserver>,
    since: Instant,
}

impl<'o> Counted<'o> {
    fn new(observer: &'o dyn QuestionObserver) -> Counted<'o> {
        observer.asked();
        Counted { observer: Some(observer), since: Instant::now() }
    }

    fn answered(mut self, answer: &Answer) {
        if let Some(observer) = self.observer.take() {
            observer.answered(Some(answer), self.since.elapsed());
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some(observer) = self.observer {
            observer.answered(None, self.since.elapsed());
        }
    }
}

/// Asks until somebody has decided, or nobody is left, or the time is over.
async fn decide(
    channels: &[Arc<dyn Channel>],
    open: &Arc<OpenQuestion>,
    timeout: Option<Duration>,
) -> Answer {
    let mut asking = Asking::default();
    let decided = asking.decide(channels, open);
    let Some(timeout) = timeout else { return decided.await };
    match tokio::time::timeout(timeout, decided).await {
        Ok(decided) => decided,
        Err(_) => Answer::Unanswered(nobody_answered(timeout)),
    }
}

/// What a person's choice means.
fn answer(question: &Question, choice: Choice, reason: Option<&str>, by: &'static str) -> Answer {
    let reason = reason.and_then(bounded);
    let scope = match choice {
        Choice::Deny => return Answer::Declined { reason, ends_call: false, by },
        Choice::End => return Answer::Declined { reason, ends_call: true, by },
        Choice::Once => Scope::Once,
        Choice::Inside => Scope::Inside,
        Choice::Session => Scope::Session,
        Choice::Always | Choice::AlwaysFirst(_) | Choice::Project(_) | Choice::Hour(_) => {
            question.rule_of(choice).map_or(Scope::Once, |rule| Scope::Always(rule.line().to_owned()))
        }
        Choice::SessionFirst(_) => {
            question.rule_of(choice).map_or(Scope::Once, |rule| Scope::SessionRule(rule.line().to_owned()))
        }
    };
    Answer::Approved { scope, reason, by }
}

/// Characters of a person's reason that are kept.
const MAX_REASON: usize = 2000;

/// What a person said, if it is something.
fn bounded(reason: &str) -> Option<String> {
    let kept: String = reason.trim().chars().take(MAX_REASON).collect();
    (!kept.is_empty()).then_some(kept)
}

/// What is said when the time for an answer is over.
#[must_use]
pub fn nobody_answered(timeout: Duration) -> String {
    format!("nobody answered within {}", human(timeout))
}

fn human(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds if seconds >= 120 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        _ => format!("{} s", time.as_secs_f64()),
    }
}

/// One question on its way. Dropping it withdraws the question from every channel.
#[derive(Default)]
struct Asking {
    asked: JoinSet<Replied>,
    /// Channels that were asked in their turn and have not replied.
    in_turn: usize,
    /// Why those that cannot be asked, or have passed, have not decided.
    obstacles: Vec<String>,
}

struct Replied {
    by: &'static str,
    in_turn: bool,
    reply: Reply,
}

impl Asking {
    async fn decide(&mut self, channels: &[Arc<dyn Channel>], open: &Arc<OpenQuestion>) -> Answer {
        let (watched, others): (Vec<_>, Vec<_>) = channels.iter().partition(|channel| channel.watches());
        // Whoever watches sees the question from the beginning, and whoever comes to watch later sees it then.
        for channel in &watched {
            self.show(channel, open, false);
        }
        let mut waiting = Vec::new();
        for channel in others {
            match channel.reach() {
                Ok(()) => waiting.push(channel),
                Err(obstacle) => self.obstacles.push(obstacle),
            }
        }
        let mut waiting = waiting.into_iter();
        let mut next_is_due = true;
        loop {
            if next_is_due && let Some(channel) = waiting.next() {
                self.show(channel, open, true);
                self.in_turn += 1;
            }
            let replied = if self.in_turn > 0 {
                self.asked.join_next().await
            } else {
                tokio::select! {
                    biased;
                    replied = self.asked.join_next() => replied,
                    () = deserted(&watched) => None,
                }
            };
            next_is_due = match replied {
                None => return self.nobody(&watched),
                Some(Ok(Replied { by, reply: Reply::Decided { choice, reason }, .. }))
                    if open.offers.choices().contains(&choice) =>
                {
                    return answer(&open.question, choice, reason.as_deref(), by);
                }
                // Neither a yes nor a no to what was asked.
                Some(Ok(Replied { by, in_turn, reply: Reply::Decided { choice, .. } })) => {
                    let choice = choice.word();
                    self.pass(format!("the {by}'s answer {choice:?} was not among the choices"), in_turn)
                }
                Some(Ok(Replied { by, reply: Reply::Closed, .. })) => return Answer::Cancelled { by },
                Some(Ok(Replied { in_turn, reply: Reply::Passed(obstacle), .. })) => {
                    self.pass(obstacle, in_turn)
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "a way of asking broke");
                    self.pass("a way of asking broke inside the server; its log says where".into(), true)
                }
            };
        }
    }

    /// A channel has not decided. Returns whether it is the next one's turn.
    fn pass(&mut self, obstacle: String, in_turn: bool) -> bool {
        self.obstacles.push(obstacle);
        self.in_turn = self.in_turn.saturating_sub(usize::from(in_turn));
        in_turn
    }

    fn nobody(&mut self, watched: &[&Arc<dyn Channel>]) -> Answer {
        self.obstacles.extend(watched.iter().filter_map(|channel| channel.reach().err()));
        if self.obstacles.is_empty() {
            return Answer::Unanswered("no way of asking anybody is set up (--approvals)".into());
        }
        Answer::Unanswered(self.obstacles.join("; "))
    }

    fn show(&mut self, channel: &Arc<dyn Channel>, open: &Arc<OpenQuestion>, in_turn: bool) {
        let asked = Arc::clone(channel).ask(Arc::clone(open));
        let by = channel.name();
        self.asked.spawn(async move { Replied { by, in_turn, reply: asked.await } });
    }
}

/// Completes when nobody watches any of these channels, and nobody is expected to.
async fn deserted(watched: &[&Arc<dyn Channel>]) {
    for channel in watched {
        channel.deserted().await;
    }
}

#[cfg(test)]
mod tests;
