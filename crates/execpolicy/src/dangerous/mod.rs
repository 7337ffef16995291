//! Commands that are asked about although no rule mentions them: short lists of what cannot be undone.
//!
//! They look at a command's words only. They are a courtesy to the human, never a boundary: what they miss,
//! the sandbox must hold.

mod cmd;
mod danger;
pub(crate) mod git;
mod launch;
mod powershell;
mod remove;
pub mod safe;

pub use danger::{Danger, Heuristics, find};
