//! Asking a human whether a program may run.
//!
//! The escalation side asks through the [`Approver`] trait: the question goes up, the answer comes down. A call's
//! approver is a ladder of [`Channel`]s: the client (which the protocol's edge implements), a terminal, a
//! program of the user's. What is not a clear yes is a no.

mod answer;
mod channel;
mod choice;
mod command;
mod desk;
mod ladder;
mod memory;
mod question;
mod settings;
mod visible;

pub use answer::{Answer, Scope};
pub use channel::{Asked, Channel, Offers, OpenQuestion, QuestionId, Reply};
pub use choice::{Choice, OfferedRule};
pub(crate) use command::CommandChannel;
pub(crate) use desk::Desk;
pub(crate) use ladder::{Ladder, nobody_answered};
pub use memory::Identity;
pub use question::Question;
pub use settings::{ApprovalSettings, ChannelKind, ReasonField, UnknownChannel};
pub(crate) use visible::{hides, visible};

use std::future::Future;
use std::pin::Pin;

/// Somebody who can be asked.
pub trait Approver: Send + Sync {
    /// Asks, and waits for the answer. Dropping the future withdraws the question.
    fn ask(&self, question: Question) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>>;
}
