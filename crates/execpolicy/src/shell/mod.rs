//! Shell scripts: which commands does this text contain, and is that all that it does?
//!
//! The grammar is that of Bash, which `sh`, `dash`, `ksh` and `zsh` share as far as anything here is called
//! understood. What is not on the list of understood constructs leaves a [`Doubt`]; the commands found are
//! listed all the same, so that a forbidden one is still seen.

mod characters;
mod constructs;
mod doubt;
mod parse;
mod redirect;
mod script;
mod variables;
mod words;

pub(crate) use characters::is_invisible;
pub use doubt::Doubt;
pub(crate) use parse::MAX_SCRIPT;
pub use script::{Script, ScriptCommand, read};
pub(crate) use variables::is_harmless;
pub use words::Word;
