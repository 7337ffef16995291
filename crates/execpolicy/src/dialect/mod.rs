//! One rules file: its Starlark text → what it declares. What each function accepts, and in which words it refuses.

mod api;
mod arguments;
mod collector;
mod examples;
mod file;

pub(crate) use file::{Declarations, read};
