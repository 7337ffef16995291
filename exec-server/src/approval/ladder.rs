//! Climbs from channel to channel until somebody has decided.
//!
//! The channels are asked in the order in which the user named them; the next one when the one before cannot be asked or has
//! passed. Channels that somebody watches see every question from the beginning. The first decision counts, and withdraws
//! the question everywhere else. When nobody is left the answer is no, with everything that stood in the way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use execpolicy::amend::append;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::answer::{Answer, Scope};
use super::channel::{Channel, Offers, OpenQuestion, QuestionId, Reply};
use super::choice::Choice;
use super::memory::{Identity, Memory};
use super::question::Question;
use super::settings::ChannelKind;

/// Questions of one server that are open at once; more wait.
const OPEN_PER_SERVER: usize = 64;

/// The ways to a person that a server has, and what was answered before.
pub(crate) struct Ladder {
    rungs: Vec<Rung>,
    memory: Memory,
    pub(super) places: Semaphore,
    default_rules: PathBuf,
}

enum Rung {
    /// The client of the call that asks.
    Client,
    Other(Arc<dyn Channel>),
}

impl Ladder {
    /// The channels of these kinds, in this order; those that are not given are left out. Rules for *always* go into
    /// `default_rules`.
    pub(crate) fn new(
        kinds: &[ChannelKind],
        terminal: Option<Arc<dyn Channel>>,
        command: Option<Arc<dyn Channel>>,
        default_rules: PathBuf,
    ) -> Ladder {
        let rung = |kind: &ChannelKind| match kind {
            ChannelKind::Client => Some(Rung::Client),
            ChannelKind::Terminal => terminal.clone().map(Rung::Other),
            ChannelKind::Command => command.clone().map(Rung::Other),
        };
        Ladder {
            rungs: kinds.iter().filter_map(rung).collect(),
            memory: Memory::default(),
            places: Semaphore::new(OPEN_PER_SERVER),
            default_rules,
        }
    }

    /// What was answered for the rest of the session, if this is the very same question.
    pub(super) fn remembered(&self, identity: &Identity) -> Option<Answer> {
        let answer = Answer::Approved { scope: Scope::Session, reason: None, by: "session" };
        self.memory.allows(identity).then_some(answer)
    }

    /// Asks, and does what the answer says. Dropping the future withdraws the question.
    pub(super) async fn ask(
        &self,
        question: Question,
        client: &Arc<dyn Channel>,
        timeout: Option<Duration>,
    ) -> Answer {
        let always = question.rules_on_offer();
        let open = Arc::new(OpenQuestion {
            id: QuestionId::next(),
            offers: Offers { session: self.memory.has_room() && !question.once, always },
            question,
            since: SystemTime::now(),
        });
        let (choice, reason, by) = match climb(&self.channels(client), &open, timeout).await {
            Ok(Decision { choice, reason, by }) => (choice, reason, by),
            Err(answer) => return answer,
        };
        let scope = match choice {
            Choice::Once => Scope::Once,
            Choice::Session => {
                self.memory.allow(open.question.identity);
                Scope::Session
            }
            Choice::Always | Choice::AlwaysFirst(_) => self.write_rule(&open.question, choice).await,
            Choice::Deny => return Answer::Declined { reason, by },
        };
        Answer::Approved { scope, reason, by }
    }

    /// The channels for one call, in order.
    fn channels(&self, client: &Arc<dyn Channel>) -> Vec<Arc<dyn Channel>> {
        let channel = |rung: &Rung| match rung {
            Rung::Client => Arc::clone(client),
            Rung::Other(channel) => Arc::clone(channel),
        };
        self.rungs.iter().map(channel).collect()
    }

    /// Writes the rule of *always*. When that fails, the yes counts once.
    async fn write_rule(&self, question: &Question, choice: Choice) -> Scope {
        let Some(amendment) = question.rule_of(choice).cloned() else { return Scope::Once };
        let (file, rule) = (self.default_rules.clone(), amendment.line().to_owned());
        let writing = tokio::task::spawn_blocking(move || append(&file, &amendment));
        match writing.await {
            Ok(Ok(_)) => Scope::Always(rule),
            Ok(Err(error)) => {
                tracing::error!(%error, "a rule that a person asked for was not written; the command is allowed once");
                Scope::Once
            }
            Err(error) => {
                tracing::error!(%error, "writing a rule broke; the command is allowed once");
                Scope::Once
            }
        }
    }
}

struct Decision {
    choice: Choice,
    reason: Option<String>,
    by: &'static str,
}

/// Asks until somebody has decided, or nobody is left, or the time is over.
async fn climb(
    channels: &[Arc<dyn Channel>],
    open: &Arc<OpenQuestion>,
    timeout: Option<Duration>,
) -> Result<Decision, Answer> {
    let mut climb = Climb::default();
    let decided = climb.decide(channels, open);
    let Some(timeout) = timeout else { return decided.await };
    match tokio::time::timeout(timeout, decided).await {
        Ok(decided) => decided,
        Err(_) => Err(Answer::Unanswered(nobody_answered(timeout))),
    }
}

/// Characters of a person's reason that are kept.
const MAX_REASON: usize = 2000;

/// What a person said, if it is something.
fn bounded(reason: &str) -> Option<String> {
    let kept: String = reason.trim().chars().take(MAX_REASON).collect();
    (!kept.is_empty()).then_some(kept)
}

/// What is said when the time for an answer is over.
pub(crate) fn nobody_answered(timeout: Duration) -> String {
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
struct Climb {
    asked: JoinSet<(&'static str, bool, Reply)>,
    /// Channels in reach that have been shown the question and have not replied.
    hoped_for: usize,
    /// Why those that cannot be asked, or have passed, have not decided.
    obstacles: Vec<String>,
}

impl Climb {
    async fn decide(
        &mut self,
        channels: &[Arc<dyn Channel>],
        open: &Arc<OpenQuestion>,
    ) -> Result<Decision, Answer> {
        let mut in_turn = Vec::new();
        let mut onlookers = Vec::new();
        for channel in channels {
            match (channel.reach(), channel.watches()) {
                (Ok(()), true) => self.show(channel, open, true),
                (Ok(()), false) => in_turn.push(channel),
                (Err(obstacle), watches) => {
                    self.obstacles.push(obstacle);
                    onlookers.extend(watches.then_some(channel));
                }
            }
        }
        let mut in_turn = in_turn.into_iter();
        self.hoped_for += self.asked.len();
        let mut next_is_due = true;
        loop {
            if next_is_due && let Some(channel) = in_turn.next() {
                self.show(channel, open, true);
                self.hoped_for += 1;
            }
            if self.hoped_for == 0 {
                return Err(self.nobody());
            }
            // As long as somebody else is asked, somebody may come to a channel that nobody watches yet.
            for onlooker in onlookers.drain(..) {
                self.show(onlooker, open, false);
            }
            let Some(replied) = self.asked.join_next().await else { return Err(self.nobody()) };
            next_is_due = match replied {
                Ok((by, _, Reply::Decided { choice, reason })) if open.offers.choices().contains(&choice) => {
                    return Ok(Decision { choice, reason: reason.as_deref().and_then(bounded), by });
                }
                // Neither a yes nor a no to what was asked.
                Ok((by, hoped_for, Reply::Decided { choice, .. })) => {
                    let choice = choice.word();
                    self.obstacles.push(format!("the {by}'s answer {choice:?} was not among the choices"));
                    self.hoped_for -= usize::from(hoped_for);
                    hoped_for
                }
                Ok((by, _, Reply::Closed)) => return Err(Answer::Cancelled { by }),
                Ok((_, hoped_for, Reply::Passed(obstacle))) => {
                    self.obstacles.push(obstacle);
                    self.hoped_for -= usize::from(hoped_for);
                    hoped_for
                }
                Err(error) => {
                    tracing::error!(%error, "a way of asking broke");
                    self.obstacles.push("a way of asking broke inside the server; its log says where".into());
                    self.hoped_for = self.hoped_for.saturating_sub(1);
                    true
                }
            };
        }
    }

    fn nobody(&self) -> Answer {
        if self.obstacles.is_empty() {
            return Answer::Unanswered("no way of asking anybody is set up (--approvals)".into());
        }
        Answer::Unanswered(self.obstacles.join("; "))
    }

    fn show(&mut self, channel: &Arc<dyn Channel>, open: &Arc<OpenQuestion>, hoped_for: bool) {
        let asked = Arc::clone(channel).ask(Arc::clone(open));
        let name = channel.name();
        self.asked.spawn(async move { (name, hoped_for, asked.await) });
    }
}

#[cfg(test)]
mod tests;
