//! Evaluates one Starlark file, bounded in time and memory, for both languages of this crate.
//!
//! It knows what Starlark is, and nothing of rules: the functions of a language and the state that they fill
//! are its caller's.

mod bounded;
mod excerpt;
mod run;
mod values;

pub use run::STACK;
pub(crate) use run::{fail, run, state};
pub(crate) use values::Tagged;
