//! The `.rules` language: load, verify the examples, judge a command, explain.
//!
//! # Layout
//!
//! * [`Policy::add_text`]: the text of one file → rules in a policy, or what is wrong with it.
//! * `dialect`: one file's Starlark text → rules; bounded, so that no file can stall or exhaust the process.
//! * [`rule`], [`pattern`]: what one rule says, and whether it fits a command.
//! * [`Policy::evaluate`]: a [`Command`] → an [`Evaluation`]: every rule that matched, and which one decided.
//! * [`rights`]: how a program runs that a rule lets run, and what it is granted for that.
//! * [`dangerous`]: what is asked about when no rule speaks.
//!
//! Pure: text → rules → decision. It knows no file system, no process, no thread, no clock and no socket.
//! Which files there are, and whether one *is* the program that a rule means, are the caller's questions. So
//! is the stack: text is read with [`STACK`] bytes of it.

pub mod amend;
pub mod ancestry;
mod answers;
pub mod built_in;
pub mod check;
pub mod command;
pub mod conditions;
pub mod dangerous;
pub mod decision;
mod dialect;
pub mod errors;
mod evaluate;
pub mod evaluation;
mod evaluator;
pub mod examples;
mod explain;
mod giving;
pub mod host;
mod input;
pub mod legacy;
mod lint;
mod nested;
pub mod network;
mod origin;
pub mod patch;
pub mod pattern;
pub mod policy;
mod profiles;
mod requirements;
pub mod rights;
pub mod rule;
pub mod shell;
mod subcommands;
mod sys;

pub use ancestry::{Ancestor, Ancestry};
pub use command::{Command, Environment};
pub use dangerous::Heuristics;
pub use decision::Decision;
pub use errors::ParseError;
pub use evaluate::{Nested, Options};
pub use evaluation::{DecidedBy, Evaluation, HeuristicMatch, RuleMatch};
pub use evaluator::STACK;
pub use giving::Plain;
pub use policy::Policy;
pub use rights::{Rights, Run};
pub use rule::ProgramToken;
