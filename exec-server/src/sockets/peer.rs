//! Who is at the other end of a socket.
//!
//! The folder is hidden from the sandbox. Should a sandboxed process reach a socket all the same, it is known by what
//! it cannot get rid of: it is more confined than the server.

use tokio::net::UnixStream;

use crate::sys::is_more_confined;

/// Why the other end is not spoken to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stranger {
    #[error("it cannot be found out who is at the other end")]
    Unknown,
    #[error("the other end belongs to another user")]
    OtherUser,
    #[error("the other end runs in a sandbox")]
    Confined,
}

/// Makes sure that the other end belongs to the same user.
pub(crate) fn same_user(stream: &UnixStream) -> Result<(), Stranger> {
    let peer = stream.peer_cred().map_err(|_| Stranger::Unknown)?;
    if peer.uid() == rustix::process::geteuid().as_raw() { Ok(()) } else { Err(Stranger::OtherUser) }
}

/// Makes sure that the other end is not more confined than this process.
pub(crate) fn as_free_as_we_are(stream: &UnixStream) -> Result<(), Stranger> {
    let peer = stream.peer_cred().map_err(|_| Stranger::Unknown)?;
    match is_more_confined(peer.pid()) {
        Some(false) => Ok(()),
        Some(true) => Err(Stranger::Confined),
        None => Err(Stranger::Unknown),
    }
}
