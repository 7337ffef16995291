//! One rules file: its Starlark text → what it declares. Bounded in time and memory; reads nothing else.

mod api;
mod bounded;
mod collector;
mod examples;
mod excerpt;
mod file;

pub(crate) use file::read;
