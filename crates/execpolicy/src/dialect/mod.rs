//! One rules file: its Starlark text → what it declares. What each function accepts, and in which words it
//! refuses.

mod api;
mod arguments;
mod collector;
mod declarations;
mod examples;
mod file;
mod rights;
mod wording;

pub(crate) use declarations::Declarations;
pub(crate) use file::read;
