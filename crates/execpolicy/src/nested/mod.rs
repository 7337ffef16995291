//! Programs that run other programs: what would this command run?
//!
//! `sh -c`, `env`, `xargs`, `find -exec` and their like. Each row of the table says where the nested command
//! begins; nothing is executed or looked up.

mod find;
mod options;
mod shells;
mod table;
mod wrapper;

pub(crate) use shells::is_shell;
pub(crate) use wrapper::{ReadBudget, finds_operands, nested, runs_commands, runs_in_its_own_process};
