//! Unix sockets of running servers, by which other processes of the same user reach them, and who is at their other end.

mod peer;
mod socket;

pub(crate) use peer::{as_free_as_we_are, same_user};
pub(crate) use socket::{Kind, ServerSocket, connect, is_called, listen, sockets};
