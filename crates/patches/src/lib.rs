//! Patches: read in Codex's format or as unified diffs, checked whole, applied all or nothing.
//!
//! # Layout, in the order in which a patch meets it
//!
//! * `patch`: what a patch says. `codex`, `unified`: the formats → that.
//! * `place`: where its paths lead. `turn`: waiting for other patches there.
//! * `check`: whether all of it fits, by `fit` (`occurrences`); what would be done. `apply`: doing that, or nothing.
//! * `words`: it in lines, for who decides about it. `report`, `failure`: what came of it. `program`: the program `apply_patch`.
//!
//! Reading is pure. Whether a file may be written is the kernel's and the caller's business: the program is meant to run
//! where only those files can be.

mod apply;
mod check;
mod codex;
mod failure;
mod fit;
mod occurrences;
mod patch;
mod place;
pub mod program;
mod report;
mod sys;
mod text;
mod turn;
mod unified;
mod words;

pub use apply::TEMPORARY;
pub use check::Checked;
pub use failure::{Failure, Nearest};
pub use patch::{
    Act, Format, Hunk, HunkLine, LineKind, MAX_PATCH_BYTES, MAX_SECTIONS, NoPatch, Patch, Section,
};
pub use place::places;
pub use report::{Change, ChangeKind, Report};
