//! The socket that a server listens on.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use super::address::Address;

/// A connection's two directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Who has connected, as far as the system knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Somebody at this address.
    Network(std::net::SocketAddr),
    /// A process of this user, on this machine.
    User(u32),
}

/// Connections that wait in the system's queue until they are accepted; it may allow fewer (`net.core.somaxconn`). By default
/// it is so short that some are lost when many clients come at once.
const BACKLOG: i32 = 4096;

/// The socket that a server listens on. A Unix socket that it has made is removed when this is dropped.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, Option<PathBuf>),
}

impl Listener {
    /// A socket that another process listens on has made. Must be called within the runtime.
    pub(super) fn made(listener: StdUnixListener) -> io::Result<Listener> {
        listener.set_nonblocking(true)?;
        Ok(Listener::Unix(UnixListener::from_std(listener)?, None))
    }

    /// Listens there. Must be called within the runtime.
    pub(super) async fn bind(address: &Address) -> io::Result<Listener> {
        match address {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                rustix::net::listen(&listener, BACKLOG)?;
                Ok(Listener::Tcp(listener))
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                rustix::net::listen(&listener, BACKLOG)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Ok(Listener::Unix(listener, Some(path.clone())))
            }
        }
    }

    /// Where it listens: with the port that the system has chosen.
    pub(super) fn address(&self) -> io::Result<Address> {
        match self {
            Listener::Tcp(listener) => Ok(Address::Tcp(listener.local_addr()?)),
            Listener::Unix(_, path) => Ok(Address::Unix(path.clone().unwrap_or_default())),
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Peer::Network(address)))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let user = stream.peer_cred()?.uid();
                Ok((Box::new(stream), Peer::User(user)))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, Some(path)) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes a socket that a server has left behind: one that nobody listens on.
pub(super) fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    match StdUnixStream::connect(path) {
        Err(error) if is_socket && error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_makes_room_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Unix(folder.path().join("socket"));
        let listener = Listener::bind(&address).await.unwrap();
        let mode = std::fs::metadata(folder.path().join("socket")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Listener::bind(&address).await.is_err(), "somebody listens");
        drop(listener);
        // As a server that was killed leaves it.
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap());
        drop(Listener::bind(&address).await.unwrap());
        std::fs::write(folder.path().join("socket"), "a file").unwrap();
        assert!(Listener::bind(&address).await.is_err(), "no socket");
    }
}
