//! Says whether the server works here, and if not, what is missing and what to do: each part is tried, none is guessed.
//!
//! Goes the way that a call goes (programs, rules, sandbox, and a command through all of them) and reports every stage,
//! also after one that fails. The report is one page that can be pasted into a public place.

mod discretion;
mod examination;
mod facts;
mod hosts;
mod program;
mod report;
mod trial;

pub use examination::examine;
pub use report::{Check, Report};
