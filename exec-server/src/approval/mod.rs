//! Asking a human whether a program may run.
//!
//! The escalation side asks through the [`Approver`] trait, which this module owns and the protocol's edge implements:
//! the question goes up, the answer comes down, and nothing here knows who carries it. What is not a clear yes is a no.

mod question;
mod visible;

pub use question::Question;
pub(crate) use visible::{hides, visible};

use std::future::Future;
use std::pin::Pin;

/// Somebody who can be asked.
pub trait Approver: Send + Sync {
    /// Asks, and waits for the answer. Dropping the future withdraws the question.
    fn ask(&self, question: Question) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>>;
}

/// What came of a question.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes, this once.
    Approved,
    /// No.
    Declined,
    /// The question was closed without a decision.
    Cancelled,
    /// Nobody could be asked; the text says why, for the person who reads the command's output.
    NobodyToAsk(String),
}
