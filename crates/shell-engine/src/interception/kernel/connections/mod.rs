//! Which Unix sockets can be connected to: those that were bound inside, and those that the user has taken
//! out of what is hidden.
//!
//! Each `connect` waits, as an `execve` does. It never simply happens, because its arguments would be read a
//! second time: another thread may put another address there, or another socket at that number. It is made on
//! a duplicate of the socket, to the file that was judged, in a thread that may wait for it.
//!
//! * `connector`: those threads, bounded in number. `connection`: one of what they do.
//! * `following`: which file a path means. `address`: which Internet address; `caller`: who connects to one that stands for a
//!   name.

mod address;
mod caller;
mod connection;
mod connector;
mod following;

pub(super) use connection::{Connection, path_in};
pub(super) use connector::Connector;
