//! The program that a wrapper asks about, as the server understands the request.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use escalation_protocol::request::ExecRequest;

/// One `execve` that waits for a decision. Every part of it is the asker's claim, except what the descriptors show.
#[derive(Debug)]
pub(super) struct Exec {
    /// The file, made absolute against the shell's working directory; not resolved further.
    pub(super) file: PathBuf,
    /// The argument vector, `argv[0]` first; may be empty.
    pub(super) argv: Vec<OsString>,
    /// The environment's entries.
    pub(super) env: Vec<OsString>,
    /// The shell's working directory, if it could be opened.
    pub(super) directory: Option<OwnedFd>,
    /// Its path, for people and rules; ` (deleted)` is appended by the kernel when it is gone.
    pub(super) workdir: PathBuf,
    /// What the file was when the wrapper looked (`O_PATH`), if it was there.
    pub(super) opened_file: Option<OwnedFd>,
}

impl Exec {
    /// Puts the request and its descriptors together.
    pub(super) fn new(
        request: &ExecRequest,
        directory: Option<OwnedFd>,
        opened_file: Option<OwnedFd>,
    ) -> Exec {
        let owned = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let workdir = directory.as_ref().and_then(path_of).unwrap_or_default();
        Exec {
            file: workdir.join(Path::new(OsStr::from_bytes(request.file()))),
            argv: request.argv().map(owned).collect(),
            env: request.env().map(owned).collect(),
            directory,
            workdir,
            opened_file,
        }
    }

    /// The arguments after `argv[0]`.
    pub(super) fn arguments(&self) -> &[OsString] {
        self.argv.get(1..).unwrap_or_default()
    }
}

/// The path of an open directory.
#[cfg(target_os = "linux")]
fn path_of(descriptor: &OwnedFd) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).ok()
}

/// The path of an open directory.
#[cfg(target_os = "macos")]
fn path_of(descriptor: &OwnedFd) -> Option<PathBuf> {
    rustix::fs::getpath(descriptor).ok().map(|path| OsString::from_vec(path.into_bytes()).into())
}
