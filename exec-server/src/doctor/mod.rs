//! Says whether the server works here, and if not, what is missing and what to do: each part is tried, none is guessed.
//!
//! Goes the way that a call goes (programs, rules, sandbox, and a command through all of them) and reports every stage, also
//! after one that fails.

mod examination;
mod report;

pub use examination::examine;
pub use report::{Check, Report};
