//! The `.rules` language: load, verify the examples, judge a command, explain.
//!
//! # Layout
//!
//! * [`mod@load`]: rule files and folders → [`Policy`], with every error of every file.
//! * `dialect`: one file's Starlark text → rules; bounded, so that no file can stall or exhaust the process.
//! * [`rule`], [`pattern`]: what one rule says, and whether it fits a command.
//! * [`Policy::evaluate`]: a [`Command`] → an [`Evaluation`]: every rule that matched, and which one decided.
//! * [`dangerous`]: what is asked about when no rule speaks.
//!
//! Pure: text → rules → decision. It reads rule files when asked to; it knows no process, no clock and no socket, and never looks at the
//! file system to judge a command. Whether a file *is* the program that a rule means is the caller's question.

pub mod amend;
mod answers;
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
pub mod host;
mod inner;
pub mod layers;
pub mod legacy;
mod lint;
pub mod live;
pub mod load;
pub mod network;
pub mod pattern;
pub mod policy;
mod requirements;
pub mod rule;
pub mod shell;

pub use command::{Command, Environment};
pub use dangerous::Heuristics;
pub use decision::Decision;
pub use errors::{LoadError, LoadErrors};
pub use evaluate::Options;
pub use evaluation::{DecidedBy, Evaluation, HeuristicMatch, RuleMatch};
pub use layers::Layers;
pub use live::LiveRules;
pub use load::{Loaded, RuleSource, load};
pub use policy::Policy;
pub use rule::ProgramToken;
