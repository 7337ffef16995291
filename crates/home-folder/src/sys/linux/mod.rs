//! Linux.

mod entry;
mod getent;
mod passwd;

pub(crate) use entry::written_down;
