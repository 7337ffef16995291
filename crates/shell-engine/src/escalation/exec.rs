//! The program that a wrapper asks about, as the server understands the request.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use escalation_protocol::request::ExecRequest;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::programs::{FileIdentity, FileState, look_at, path_of};
use crate::sandboxes::{Directory, Sandbox};

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
    /// What the file was when the wrapper looked, if it was there.
    pub(super) seen: Option<FileState>,
    /// The file itself, as the wrapper opened it: what it is, not what it can do with it (`O_PATH`).
    pub(super) opened: Option<OwnedFd>,
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
            seen: opened_file.as_ref().and_then(FileState::of),
            opened: opened_file,
        }
    }

    /// Whether the file is still the one that was judged, as far as it can be seen from out here. Where it cannot, it is a
    /// file of the sandbox's own, and runs nowhere else.
    pub(super) fn is_unchanged(&self) -> bool {
        let Some(seen) = &self.seen else { return true };
        let written = self.opened.as_ref().and_then(FileState::of).is_some_and(|now| now != *seen);
        let there = look_at(&self.file);
        !written && there.is_none_or(|there| there == *seen)
    }

    /// The working directory as programs outside the sandbox see it. The shell's own descriptor leads through the sandbox's
    /// mounts, where most is read-only; the same directory is opened anew from outside.
    pub(super) fn directory_outside(&self, sandbox: &Sandbox) -> io::Result<Directory> {
        let inside = self.directory.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, &self.workdir, flags, Mode::empty()) {
            Ok(outside) if FileIdentity::of(&outside) == FileIdentity::of(inside) => {
                Ok(Directory::Open(outside))
            }
            // Renamed meanwhile, or removed: without mounts of its own the descriptor is as good.
            Ok(_) | Err(_) if !sandbox.plan().mode.is_enforced() => Ok(Directory::Open(inside.try_clone()?)),
            Ok(_) => Err(io::ErrorKind::NotFound.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The environment as names and values; entries without `=`, which only a hostile asker sends, are left out.
    pub(super) fn variables(&self) -> Vec<(OsString, OsString)> {
        let pairs = self.env.iter().filter_map(|entry| {
            let bytes = entry.as_bytes();
            let (name, value) = bytes.split_at(bytes.iter().position(|byte| *byte == b'=')?);
            let value = value.get(1..).unwrap_or_default();
            Some((OsStr::from_bytes(name).to_owned(), OsStr::from_bytes(value).to_owned()))
        });
        pairs.collect()
    }

    /// The arguments after `argv[0]`.
    pub(super) fn arguments(&self) -> &[OsString] {
        self.argv.get(1..).unwrap_or_default()
    }
}
