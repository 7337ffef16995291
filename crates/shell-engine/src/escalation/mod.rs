//! One `execve` after the other: what the wrapper asks, what is decided, what runs outside the sandbox.
//!
//! [`Listener`] hears a call's wrappers, `session` leads one dialogue and runs what is escalated, [`Judge`] decides. A
//! session does not know which door its request came through: it gets a stream and what was attached. [`Escalated`] knows what
//! has been let out.
//!
//! A judgement has its own stages: `judgement` (rules → `verdict`: what is to be done; `asking`: in which words), `trust` (is it that program?), `environment`
//! (what it gets), `git` (whose configuration it would obey), `decision` (what the call's result says about it), `minutes`
//! (what the audit log does).

mod asking;
mod decision;
mod end_of_call;
mod environment;
mod escalated;
mod exec;
mod fingerprint;
mod git;
mod judge;
mod judgement;
mod legacy;
mod listener;
mod minutes;
mod offer;
mod preview;
mod session;
mod socket;
mod trust;
mod verdict;
mod whereabouts;
mod wire;

pub(crate) use decision::Decisions;
pub use decision::{Decided, DecisionRecord};
pub(crate) use end_of_call::EndOfCall;
pub(crate) use environment::Environment;
pub(crate) use escalated::{AliveOutside, Escalated};
pub(crate) use judge::Judge;
pub(crate) use listener::Listener;
pub use preview::{find_program, preview};
pub(crate) use trust::Trust;
pub(crate) use whereabouts::Whereabouts;
