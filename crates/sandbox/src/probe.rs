//! What this machine can enforce, and what stands in the way: the sandbox's part of `doctor`.
//!
//! Tries instead of guessing: each form of the sandbox is really started, once, and what refused it is told. Facts
//! about the machine only explain refusals; they decide nothing.

use crate::backend::{Backend, Platform};
use crate::findings::{Hint, Probe};
use crate::launcher::Launcher;

/// Tries every form. Takes some tens of milliseconds.
#[must_use]
pub fn probe(launcher: &Launcher) -> Probe {
    Platform::probe(launcher)
}

/// Explains why no session starts, from facts alone: nothing is tried.
#[must_use]
pub fn explain_refusal() -> Vec<Hint> {
    Platform::explain_refusal()
}
