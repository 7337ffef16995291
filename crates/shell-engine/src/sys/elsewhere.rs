//! Other systems than Linux: macOS, and FreeBSD.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::fs::{OFlags, Stat};
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType};

/// Opens a file to see which one it is; a pipe must not block that.
pub(crate) const LOOK: OFlags = OFlags::NONBLOCK;

/// The directory in which a process finds its open descriptors by their numbers.
pub(crate) const DESCRIPTORS: &str = "/dev/fd";

/// A socket with message boundaries. It stays open to the call's end.
pub(crate) const MESSAGES: SocketType = SocketType::DGRAM;

/// There is no flag for an error instead of a signal, which the server ignores anyway.
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::empty();

/// New sockets are marked afterwards.
pub(crate) const NEW_SOCKET: SocketFlags = SocketFlags::empty();

/// Descriptors that are received are marked afterwards.
pub(crate) const RECEIVE: RecvFlags = RecvFlags::empty();

/// Gives what a descriptor is open on: there is no way to open it once more.
pub(crate) fn reopen(descriptor: &OwnedFd, _: OFlags) -> Option<File> {
    descriptor.try_clone().ok().map(File::from)
}

/// Opens the end of a pseudoterminal that programs have.
pub(crate) fn other_end(terminal: &OwnedFd) -> io::Result<OwnedFd> {
    let path = rustix::pty::ptsname(terminal, Vec::new())?;
    Ok(rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Not known here.
pub(crate) fn reopen_terminal_to_write(_: &OwnedFd) -> Option<OwnedFd> {
    None
}

/// Finds the path of an open file or directory.
#[cfg(target_os = "macos")]
pub(crate) fn path_of(descriptor: &OwnedFd) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    rustix::fs::getpath(descriptor).ok().map(|path| std::ffi::OsString::from_vec(path.into_bytes()).into())
}

/// Not told by this system in a way that a kept library knows: what is named by a relative path is then not found, and
/// refused.
#[cfg(not(target_os = "macos"))]
pub(crate) fn path_of(_: &OwnedFd) -> Option<PathBuf> {
    None
}

/// Not asked for here: no door reports what a program starts.
pub(crate) fn file_of_process(_: i32) -> Option<PathBuf> {
    None
}

/// The same.
pub(crate) fn parent_of_process(_: i32) -> Option<i32> {
    None
}

/// Tells device and inode.
#[expect(clippy::cast_sign_loss, reason = "a signed number on some systems; it is compared only")]
pub(crate) fn device_and_inode(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// Pipes are as large as the system makes them.
pub(crate) fn grow_pipe(_: impl AsFd, _: usize) {}

/// Whether the kernel can report what programs execute.
pub(crate) const REPORTS_EXECS: bool = false;

/// Makes a file without a name that holds `bytes`, read from its beginning.
pub(crate) fn unnamed_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let path = std::env::temp_dir().join(format!("shell-command-{}-{:p}", std::process::id(), bytes));
    let mut file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// Gives back the memory of code that has done its work: the system does so by itself.
pub(crate) fn release_code() {}
