//! Asking a human whether a program may run.
//!
//! Judgement asks through the [`Approver`] trait: the question goes up, the answer comes down. A call's approver
//! ([`CallApprover`]) asks an [`ApprovalChain`] of [`Channel`]s, which are implemented above. What is not a clear yes
//! is a no.

mod answer;
mod approver;
mod call_approver;
mod chain;
mod channel;
mod choice;
mod memory;
mod question;

pub use answer::{Answer, Scope};
pub use approver::Approver;
pub use call_approver::CallApprover;
pub use chain::nobody_answered;
pub use chain::{ApprovalChain, Link, QuestionObserver};
pub use channel::{Channel, Offers, OpenQuestion, QuestionId, Reply, ReplyFuture};
pub use choice::{Choice, OfferedRule};
pub use memory::Identity;
pub use question::{Question, ScopedRule};
