//! A way to a person: the client, a terminal, a program of the user's.
//!
//! The chain (`chain`) shows each question to the channels that can be asked, in the order in which the user named
//! them. The first decision counts; every other channel's future is dropped, which withdraws the question there.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::choice::{Choice, OfferedRule};
use super::question::Question;

/// A question that waits for its answer.
#[derive(Clone, Debug)]
pub struct OpenQuestion {
    /// Its number, unique in this process.
    pub id: QuestionId,
    /// What is asked.
    pub question: Question,
    /// What may be answered besides *once* and *deny*.
    pub offers: Offers,
    /// When it was opened.
    pub since: SystemTime,
}

/// The number of a question in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(u64);

impl QuestionId {
    /// A number that no question has had.
    pub fn next() -> QuestionId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        QuestionId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl std::fmt::Display for QuestionId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "q{}", self.0)
    }
}

/// What may be answered besides *once* and *deny*. An answer that is not on offer counts as *deny*.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    /// The very same command may be allowed until the server ends.
    pub session: bool,
    /// The rules that *always* may write, the narrowest first; none: *always* is not on offer.
    pub always: Vec<OfferedRule>,
    /// It may be let run inside the sandbox, with nothing more than commands may do.
    pub inside: bool,
    /// The call may be ended: it has asked before.
    pub end: bool,
}

impl Offers {
    /// The choices, in the order in which they are shown.
    #[must_use]
    pub fn choices(&self) -> Vec<Choice> {
        let session = self.session.then_some(Choice::Session);
        let always = self.always.iter().map(|rule| rule.choice);
        let inside = self.inside.then_some(Choice::Inside);
        let end = self.end.then_some(Choice::End);
        let yes = std::iter::once(Choice::Once).chain(session).chain(always).chain(inside);
        yes.chain([Choice::Deny]).chain(end).collect()
    }
}

/// What came of a question in one channel.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A person has decided.
    Decided {
        /// What.
        choice: Choice,
        /// What the person said about it; it reaches the agent.
        reason: Option<String>,
    },
    /// A person has closed the question without deciding: it is not approved, and nobody else is asked.
    Closed,
    /// Nobody has decided here, and the text says why: the next channel is asked, if there is one.
    Passed(String),
}

/// A way to a person.
pub trait Channel: Send + Sync {
    /// Its name for messages and logs: one word.
    fn name(&self) -> &'static str;

    /// Whether somebody can be asked here now; the text says why not.
    ///
    /// # Errors
    ///
    /// When nobody can be asked.
    fn reach(&self) -> Result<(), String>;

    /// Whether this channel also sees questions that another one is asking, because somebody watches it. A channel that
    /// does not watch is asked only when those before it cannot be asked or have passed.
    fn watches(&self) -> bool {
        false
    }

    /// Completes when nobody watches this channel and nobody is expected to: waiting for an answer here is then waiting
    /// for nobody. Asked of channels that watch.
    fn deserted(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    /// A call is about to start, within the runtime, and may ask. Does nothing by default.
    fn prepare(&self) {}

    /// Shows the question and waits for what comes of it. Dropping the future withdraws the question. A watching
    /// channel may be shown a question while it is out of reach: somebody may come; it then just waits.
    fn ask(self: Arc<Self>, open: Arc<OpenQuestion>) -> ReplyFuture;
}

/// What [`Channel::ask`] returns.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;
