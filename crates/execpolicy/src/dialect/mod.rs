//! One rules file: its Starlark text → what it declares. Bounded in time and memory; reads nothing else.

mod api;
mod arguments;
mod bounded;
mod collector;
mod examples;
mod excerpt;
mod file;
mod values;

pub(crate) use file::{Declarations, read};
