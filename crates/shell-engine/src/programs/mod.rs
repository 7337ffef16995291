//! Which file a program is, under all its names: nothing is judged here, and nothing of a
//! command's is started.
//!
//! # Layout
//!
//! * `identity`: which file something is, and whether it is still the same.
//! * `opening`: opening what a command names without doing anything by it.
//! * `walk`: a path, link by link.
//! * `shebang`: `#!` lines.
//! * `loader`: what the kernel starts a dynamic program by.
//! * `search_path`: the programs as the user knows them. `index`: those on the search path by file, to recognise one
//!   under another name.
//! * `offered`: those that commands find besides the user's.
//! * `trial`: whether Bash and the wrapper are ours.

mod identity;
mod index;
mod loader;
mod offered;
mod opening;
mod search_path;
pub(crate) mod shebang;
mod trial;
mod walk;

pub(crate) use identity::{FileIdentity, FileState};
pub(crate) use loader::loader;
pub(crate) use offered::offer;
pub(crate) use opening::{look, look_at, open, reopen};
pub(crate) use search_path::Programs;
pub(crate) use trial::{TrialError, takes_command_by_descriptor, try_bash, try_wrapper};
pub(crate) use walk::walk;
