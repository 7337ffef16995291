//! The folder with the sockets of running servers, and the sockets in it.

use std::fs::File;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use shell_engine::private::{PrivateFolderError, make_private};

use crate::sys::WAY_THROUGH_DESCRIPTORS;

/// What a socket is for, which its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Terminals answer questions there.
    Approvals,
    /// Later clients find sessions there that were kept.
    Sessions,
}

impl Kind {
    fn ending(self) -> &'static str {
        match self {
            Kind::Approvals => ".sock",
            Kind::Sessions => ".kept",
        }
    }
}

/// Bytes that a socket's address may have on every system (`sun_path`, with its NUL).
const MAX_ADDRESS: usize = 100;

/// Why a server cannot be reached from terminals.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    #[error("cannot make the socket {}", path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A listening socket, which is removed in the end.
#[derive(Debug)]
pub(crate) struct ServerSocket {
    path: PathBuf,
}

impl ServerSocket {
    /// What it is called, without its ending.
    pub(crate) fn name(&self) -> &str {
        self.path.file_stem().and_then(|name| name.to_str()).unwrap_or_default()
    }
}

/// Whether a socket is called so.
pub(crate) fn is_called(path: &Path, name: &str) -> bool {
    path.file_stem().is_some_and(|stem| stem == name)
}

impl Drop for ServerSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Takes a seat in the first of the folders where that is possible.
pub(crate) fn listen(kind: Kind, folders: &[PathBuf]) -> Result<(UnixListener, ServerSocket), SocketError> {
    let mut tried = folders.iter().map(|folder| listen_in(kind, folder));
    let first = match tried.next() {
        None => return Err(PrivateFolderError::NotAFolder(PathBuf::new()).into()),
        Some(Ok(seat)) => return Ok(seat),
        Some(Err(error)) => error,
    };
    tried.find_map(Result::ok).ok_or(first)
}

fn listen_in(kind: Kind, folder: &Path) -> Result<(UnixListener, ServerSocket), SocketError> {
    make_private(folder)?;
    remove_dead(kind, folder);
    let process = std::process::id();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SocketError::Socket { path, source }
    };
    // Another process namespace may have a server of the same number.
    for attempt in 0..16 {
        let name = if attempt == 0 { process.to_string() } else { format!("{process}-{attempt}") };
        let path = folder.join(format!("{name}{}", kind.ending()));
        if path.symlink_metadata().is_ok() {
            continue;
        }
        // It gets its name when it listens: before, it would look dead.
        let unnamed = folder.join(format!(".{name}{}.new", kind.ending()));
        let _ = std::fs::remove_file(&unnamed);
        let listener =
            with_address(&unnamed, |address| UnixListener::bind(address)).map_err(failed(&unnamed))?;
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&unnamed, private).map_err(failed(&unnamed))?;
        std::fs::rename(&unnamed, &path).map_err(failed(&path))?;
        return Ok((listener, ServerSocket { path }));
    }
    Err(failed(&folder.join(format!("{process}{}", kind.ending())))(io::ErrorKind::AddrInUse.into()))
}

/// The sockets in these folders.
pub(crate) fn sockets(kind: Kind, folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = folders.iter().flat_map(|folder| sockets_in(kind, folder)).collect();
    found.sort();
    found.dedup();
    found
}

fn sockets_in(kind: Kind, folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_socket = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default();
        name.ends_with(kind.ending().as_bytes()) && !name.starts_with(b".")
    };
    entries.flatten().map(|entry| entry.path()).filter(is_socket).collect()
}

/// Connects. A socket that nobody listens on any more is removed.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    let connected = with_address(path, |address| UnixStream::connect(address));
    if let Err(error) = &connected
        && error.kind() == io::ErrorKind::ConnectionRefused
    {
        let _ = std::fs::remove_file(path);
    }
    connected
}

fn remove_dead(kind: Kind, folder: &Path) {
    for path in sockets_in(kind, folder) {
        let _ = connect(&path);
    }
}

/// Addresses of sockets are short; a long path is given by way of its open folder.
fn with_address<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let is_long = path.as_os_str().len() > MAX_ADDRESS;
    let Some(descriptors) = WAY_THROUGH_DESCRIPTORS.filter(|_| is_long) else { return act(path) };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = File::open(folder)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
    act(&Path::new(descriptors).join(number.to_string()).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_sockets_are_removed_and_living_ones_are_not() {
        let root = tempfile::tempdir().expect("a folder");
        let folders = [root.path().join("run")];
        let (living, seat) = listen(Kind::Approvals, &folders).expect("a seat");
        let dead = folders[0].join("1.sock");
        drop(UnixListener::bind(&dead).expect("bound"));
        let (second, other) = listen(Kind::Approvals, &folders).expect("another seat");
        assert_ne!(seat.path, other.path);
        assert!(!dead.exists());
        assert_eq!(sockets(Kind::Approvals, &folders).len(), 2);
        assert!(connect(&seat.path).is_ok());
        drop((living, second));
        assert!(connect(&seat.path).is_err());
        drop(other);
        assert!(sockets(Kind::Approvals, &folders).is_empty());
    }

    #[test]
    fn a_long_path_is_no_obstacle() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("x".repeat(150));
        if WAY_THROUGH_DESCRIPTORS.is_some() {
            let (_listener, seat) = listen(Kind::Approvals, std::slice::from_ref(&folder)).expect("a seat");
            assert!(connect(&seat.path).is_ok());
        }
    }

    #[test]
    fn the_next_folder_is_taken_when_the_first_cannot_be() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::write(root.path().join("file"), "").expect("written");
        let folders = [root.path().join("file"), root.path().join("run")];
        let (_listener, seat) = listen(Kind::Approvals, &folders).expect("a seat");
        assert!(seat.path.starts_with(&folders[1]));
        assert!(listen(Kind::Approvals, &folders[..1]).is_err());
    }
}
