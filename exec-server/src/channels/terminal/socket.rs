//! The folder with the sockets of running servers, and the sockets in it.

use std::fs::File;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use shell_engine::private::{PrivateFolderError, make_private};

use crate::sys::WAY_THROUGH_DESCRIPTORS;

/// How every server's socket is called.
const ENDING: &str = ".sock";

/// Bytes that a socket's address may have on every system (`sun_path`, with its NUL).
const MAX_ADDRESS: usize = 100;

/// Why a server cannot be reached from terminals.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
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
pub(super) struct ServerSocket {
    path: PathBuf,
}

impl Drop for ServerSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Takes a seat in the first of the folders where that is possible.
pub(super) fn listen(folders: &[PathBuf]) -> Result<(UnixListener, ServerSocket), SocketError> {
    let mut tried = folders.iter().map(|folder| listen_in(folder));
    let first = match tried.next() {
        None => return Err(PrivateFolderError::NotAFolder(PathBuf::new()).into()),
        Some(Ok(seat)) => return Ok(seat),
        Some(Err(error)) => error,
    };
    tried.find_map(Result::ok).ok_or(first)
}

fn listen_in(folder: &Path) -> Result<(UnixListener, ServerSocket), SocketError> {
    make_private(folder)?;
    remove_dead(folder);
    let process = std::process::id();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SocketError::Socket { path, source }
    };
    // Another process namespace may have a server of the same number.
    for attempt in 0..16 {
        let name = if attempt == 0 { process.to_string() } else { format!("{process}-{attempt}") };
        let path = folder.join(format!("{name}{ENDING}"));
        if path.symlink_metadata().is_ok() {
            continue;
        }
        // It gets its name when it listens: before, it would look dead.
        let unnamed = folder.join(format!(".{name}.new"));
        let _ = std::fs::remove_file(&unnamed);
        let listener =
            with_address(&unnamed, |address| UnixListener::bind(address)).map_err(failed(&unnamed))?;
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&unnamed, private).map_err(failed(&unnamed))?;
        std::fs::rename(&unnamed, &path).map_err(failed(&path))?;
        return Ok((listener, ServerSocket { path }));
    }
    Err(failed(&folder.join(format!("{process}{ENDING}")))(io::ErrorKind::AddrInUse.into()))
}

/// The sockets in these folders.
pub(super) fn sockets(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = folders.iter().flat_map(|folder| sockets_in(folder)).collect();
    found.sort();
    found.dedup();
    found
}

fn sockets_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_socket = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default();
        name.ends_with(ENDING.as_bytes()) && !name.starts_with(b".")
    };
    entries.flatten().map(|entry| entry.path()).filter(is_socket).collect()
}

/// Connects. A socket that nobody listens on any more is removed.
pub(super) fn connect(path: &Path) -> io::Result<UnixStream> {
    let connected = with_address(path, |address| UnixStream::connect(address));
    if let Err(error) = &connected
        && error.kind() == io::ErrorKind::ConnectionRefused
    {
        let _ = std::fs::remove_file(path);
    }
    connected
}

fn remove_dead(folder: &Path) {
    for path in sockets_in(folder) {
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
        let (living, seat) = listen(&folders).expect("a seat");
        let dead = folders[0].join("1.sock");
        drop(UnixListener::bind(&dead).expect("bound"));
        let (second, other) = listen(&folders).expect("another seat");
        assert_ne!(seat.path, other.path);
        assert!(!dead.exists());
        assert_eq!(sockets(&folders).len(), 2);
        assert!(connect(&seat.path).is_ok());
        drop((living, second));
        assert!(connect(&seat.path).is_err());
        drop(other);
        assert!(sockets(&folders).is_empty());
    }

    #[test]
    fn a_long_path_is_no_obstacle() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("x".repeat(150));
        if WAY_THROUGH_DESCRIPTORS.is_some() {
            let (_listener, seat) = listen(std::slice::from_ref(&folder)).expect("a seat");
            assert!(connect(&seat.path).is_ok());
        }
    }

    #[test]
    fn the_next_folder_is_taken_when_the_first_cannot_be() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::write(root.path().join("file"), "").expect("written");
        let folders = [root.path().join("file"), root.path().join("run")];
        let (_listener, seat) = listen(&folders).expect("a seat");
        assert!(seat.path.starts_with(&folders[1]));
        assert!(listen(&folders[..1]).is_err());
    }
}
