//! Linux.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SeekFrom, Stat, fstat, memfd_create, openat, seek};
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType};

/// Opens a file to see which one it is, not to read it.
pub(crate) const LOOK: OFlags = OFlags::PATH;

/// The directory in which a process finds its open descriptors by their numbers.
pub(crate) const DESCRIPTORS: &str = "/proc/self/fd";

/// A socket with message boundaries *and* an end of file when nobody holds the other end any more.
pub(crate) const MESSAGES: SocketType = SocketType::SEQPACKET;

/// An error instead of a signal when the other end is gone; the server ignores that signal anyway.
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// No program that is executed gets a new socket.
pub(crate) const NEW_SOCKET: SocketFlags = SocketFlags::CLOEXEC;

/// No program that is executed gets a descriptor that is received.
pub(crate) const RECEIVE: RecvFlags = RecvFlags::CMSG_CLOEXEC;

/// Opens once more what a descriptor is open on.
pub(crate) fn reopen(descriptor: &OwnedFd, flags: OFlags) -> Option<File> {
    openat(CWD, link(descriptor), flags, Mode::empty()).ok().map(File::from)
}

/// Opens the end of a pseudoterminal that programs have anew, to be written only. Opening the other end would make
/// another one.
pub(crate) fn reopen_terminal_to_write(terminal: &OwnedFd) -> Option<OwnedFd> {
    /// Major numbers of these ends (the kernel's Documentation/admin-guide/devices.txt).
    const PSEUDOTERMINALS: std::ops::RangeInclusive<u32> = 136..=143;
    if !PSEUDOTERMINALS.contains(&rustix::fs::major(fstat(terminal).ok()?.st_rdev)) {
        return None;
    }
    let opened = reopen(terminal, OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK)?;
    rustix::io::ioctl_fionbio(&opened, false).ok()?;
    Some(opened.into())
}

/// Opens the end of a pseudoterminal that programs have, by the other one: its path may lead elsewhere.
pub(crate) fn other_end(terminal: &OwnedFd) -> io::Result<OwnedFd> {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
    Ok(ioctl_tiocgptpeer(terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?)
}

/// Finds the path of an open file or directory.
pub(crate) fn path_of(descriptor: &OwnedFd) -> Option<PathBuf> {
    std::fs::read_link(link(descriptor)).ok()
}

/// The file that a process executes.
pub(crate) fn file_of_process(process: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{process}/exe")).ok()
}

/// The process that has started a process (proc_pid_stat(5): the name in brackets may hold anything).
pub(crate) fn parent_of_process(process: i32) -> Option<i32> {
    let text = std::fs::read(format!("/proc/{process}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn link(descriptor: &OwnedFd) -> PathBuf {
    Path::new(DESCRIPTORS).join(descriptor.as_raw_fd().to_string())
}

/// Tells device and inode.
pub(crate) fn device_and_inode(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Makes a pipe larger. What the kernel refuses stays as it is.
pub(crate) fn grow_pipe(pipe: impl AsFd, bytes: usize) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, bytes);
}

/// Whether the kernel can report what programs execute.
pub(crate) const REPORTS_EXECS: bool = true;

/// Makes a file without a name that holds `bytes`, read from its beginning.
pub(crate) fn unnamed_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("command", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    seek(&file, SeekFrom::Start(0))?;
    Ok(file.into())
}
