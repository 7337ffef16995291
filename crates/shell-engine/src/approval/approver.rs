//! What judgement knows of asking: a question goes up, the answer comes down.

use std::future::Future;
use std::pin::Pin;

use super::answer::Answer;
use super::question::Question;

/// Somebody who can be asked.
pub trait Approver: Send + Sync {
    /// Asks, and waits for the answer. Dropping the future withdraws the question.
    fn ask(&self, question: Question) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>>;

    /// Whether somebody was asked so far, so that time was spent on answers.
    fn has_asked(&self) -> bool {
        true
    }
}
