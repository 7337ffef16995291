//! Which program is it? Names are the asker's claim; files are not.
//!
//! Two questions, and each errs on its own side:
//!
//! * *May it leave the sandbox as the program that a rule means?* [`Trust::vouch`] says yes only for the very file that
//!   the rule's name means to the user, in a place that nobody but root and the user can change, and nobody inside the
//!   sandbox can.
//! * *Does a rule that asks or forbids speak about it?* [`Trust::other_names`] gives every name that the file has
//!   beside the one that it was called by: links, copies, its interpreter, what it is told to run.
//!
//! # Layout
//!
//! * [`known`]: what one call's programs are checked against.
//! * [`vouch`]: the first question. [`untrusted`]: its *no*.
//! * [`location`]: who can change what is there.
//! * [`meaning`]: the file that a bare name means.
//! * [`script`]: its interpreters.
//! * [`names`]: all names of what is about to run. [`ancestor`]: those of what has started it.

mod ancestor;
mod known;
mod location;
mod meaning;
mod names;
mod script;
mod untrusted;
mod vouch;

pub(crate) use known::{Holds, Trust};
pub(super) use names::OtherName;
pub(super) use untrusted::Untrusted;
pub(crate) use vouch::Program;

#[cfg(test)]
mod tests;
