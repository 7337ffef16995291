//! From a program that is about to be executed to what is done about it: an `Exec` and what is known about its call go
//! in, an `Action` comes out. No socket, no process, and nothing about the way by which it was asked.
//!
//! # Layout
//!
//! * `exec`: what is asked for; `lineage`: where it stands among the programs of its call.
//! * `judge`: the rules first, then a person if they say so.
//! * `by_rules`: what the rules make of it, a `verdict`. `legacy`: what an old policy adds.
//! * `trust`: is it that program? `environment`: what it would get. `granted`: what rights are on this machine.
//! * `executes`: what a confined program executes; `git_settings`: what stands over Git's configuration then;
//!   `git_helpers`: how what has keys and credentials runs below it; `git_connections`: what would read these on the way.
//! * `ssh_configuration`: what would have `ssh` print keys.
//! * `credentials`: whose are hidden places. `written_code`: interpreters outside that run a command's code.
//! * `connections`: the same for connections by name.
//! * `let_run`: scripts that are asked about once, though `env` executes them once more.
//! * `removal`: forced removals that nobody is asked about. `retry`: what failed inside, and is asked about once.
//! * `wording`: questions and refusals. `fingerprint`: which questions are the same. `rule_suggestions`: rules that a
//!   person may have written.
//! * `patches`: the same for what `apply_patch` would change. `asked_for`: what the caller of a command asks for.
//! * `input`: the same for what a caller writes to programs while they run.
//! * `audit_trail`: what is put on record, and told in the call's result (`decisions`).
//! * `preview`: the same for `policy explain`, without a call.

mod asked_for;
mod audit_trail;
mod by_rules;
mod call_script;
mod connections;
mod credentials;
mod decisions;
mod environment;
mod exec;
mod executes;
mod fingerprint;
mod git_connections;
mod git_helpers;
mod git_settings;
mod granted;
mod input;
mod judge;
mod legacy;
mod let_run;
mod lineage;
mod patches;
mod preview;
mod removal;
mod retry;
mod rule_suggestions;
mod ssh_configuration;
mod trust;
mod verdict;
mod wording;
mod written_code;

pub(crate) use asked_for::AskedByCall;
pub use asked_for::AskedFor;
pub(crate) use call_script::Script;
pub(crate) use connections::CallConnections;
pub(crate) use decisions::Decisions;
pub use decisions::{Decided, DecisionRecord};
pub(crate) use environment::Environment;
pub(crate) use exec::{Below, Exec, Starter};
pub(crate) use executes::Executed;
pub(crate) use git_connections::{QUESTION as GIT_CONNECTIONS, in_arguments, in_configuration};
pub(crate) use git_settings::{may_talk as git_may_talk, subcommand as git_subcommand};
pub use input::InputRefused;
pub(crate) use input::{Asking, Permit, Readers};
pub(crate) use judge::{AtOnce, CallFacts, Judge, Ran};
pub(crate) use let_run::LetRun;
pub(crate) use lineage::Lineage;
pub(crate) use patches::CallPatch;
pub use preview::{find_program, preview, started_by};
pub(crate) use retry::Refusals;
pub(crate) use rule_suggestions::Project;
pub(crate) use trust::{Holds, Trust};
pub(crate) use verdict::{Action, Outside, Retry};
