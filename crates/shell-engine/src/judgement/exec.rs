//! The program that is about to be executed, as the server understands it, whatever way it was asked about.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use execpolicy::rights::ProfileName;
use execpolicy::rule::Origin;
use execpolicy::{Rights, Run};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::lineage::Lineage;
use crate::programs::shebang::Interpreter;
use crate::programs::{FileIdentity, FileState, look_at, reopen};
use crate::sys::path_of;

/// One `execve` that waits for a decision. Every part of it is the asker's claim, except what the descriptors show.
#[derive(Debug)]
pub(crate) struct Exec {
    /// The file, made absolute against the shell's working directory; not resolved further.
    pub(super) file: PathBuf,
    /// The argument vector, `argv[0]` first; may be empty.
    pub(crate) argv: Vec<OsString>,
    /// The environment's entries.
    pub(super) env: Vec<OsString>,
    /// The shell's working directory, if it could be opened.
    pub(super) directory: Option<OwnedFd>,
    /// Its path, for people and rules; ` (deleted)` is appended by the kernel when it is gone.
    pub(crate) workdir: PathBuf,
    /// What the file was when the asker looked, if it was there.
    pub(super) seen: Option<FileState>,
    /// The file itself, as the asker opened it: what it is, not what it can do with it (`O_PATH`).
    pub(super) opened: Option<OwnedFd>,
    /// The interpreter of its first line, where whoever asks has read it already.
    pub(super) first_line: Option<Option<Interpreter>>,
    /// The file that runs when it does, as far as the asker's side could tell: itself, or the interpreter of a script.
    pub(super) runs_as: Option<FileIdentity>,
    /// It has a standard input that it may read, as far as the asker says: else it gets none outside.
    pub(crate) reads_input: bool,
    /// Who is about to execute it.
    pub(super) starter: Starter,
    /// What was let out of the call's sandbox, and is starting it.
    pub(super) below: Option<Arc<Below>>,
    /// Why it cannot leave the sandbox, whatever is decided.
    pub(super) kept_inside: Option<String>,
    /// Where it stands among the programs of its call.
    pub(crate) lineage: Lineage,
    /// Its file is where looking may take long.
    pub(super) is_far: bool,
}

/// A program that was let out of its call's sandbox.
#[derive(Debug)]
pub(crate) struct Below {
    /// What was judged.
    pub(crate) exec: Arc<Exec>,
    /// How it runs.
    pub(crate) run: Run,
    /// What it may run besides its own helpers, where it is confined.
    pub(crate) may_run: Vec<String>,
    /// The rule that lets it out.
    pub(crate) origin: Option<Origin>,
    /// The profile that says how it runs, if one does.
    pub(crate) profile: Option<ProfileName>,
    /// Why it is told no password, where that is so.
    pub(crate) no_password: Option<String>,
}

impl Below {
    /// Whether what it starts would get by these rights what it has already.
    pub(super) fn has(&self, rights: &Rights) -> bool {
        let is_same_profile = rights.profile == self.profile;
        // One rule may be about programs with profiles of their own.
        self.run == rights.run
            && is_same_profile
            && (rights.profile.is_some() || rights.origin == self.origin)
    }
}

/// Who is about to execute a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Starter {
    /// The command's own shell.
    Shell,
    /// Something that it has started: command lines to be shown, the nearest first, as far as they are known.
    Program(Vec<String>),
}

impl Starter {
    /// The programs that have started it, for people.
    pub(super) fn parents(&self) -> &[String] {
        match self {
            Starter::Shell => &[],
            Starter::Program(parents) => parents,
        }
    }
}

impl Exec {
    /// Puts together what is asked for: the file, the argument vector, the environment, and what the descriptors show.
    pub(crate) fn new(
        file: &Path,
        argv: Vec<OsString>,
        env: Vec<OsString>,
        directory: Option<OwnedFd>,
        opened: Option<OwnedFd>,
    ) -> Exec {
        let workdir = directory.as_ref().and_then(path_of).unwrap_or_default();
        let seen = opened.as_ref().and_then(FileState::of);
        Exec { directory, ..Exec::seen_in(workdir, file, argv, opened.zip(seen)) }.with_environment(env)
    }

    /// The same where the working directory is only known by its path, and what the file is, without an environment.
    pub(crate) fn seen_in(
        workdir: PathBuf,
        file: &Path,
        argv: Vec<OsString>,
        opened: Option<(OwnedFd, FileState)>,
    ) -> Exec {
        let file = workdir.join(file);
        let (opened, seen) = opened.unzip();
        let (directory, env, starter) = (None, Vec::new(), Starter::Shell);
        Exec {
            file,
            argv,
            env,
            directory,
            workdir,
            seen,
            opened,
            first_line: None,
            starter,
            below: None,
            kept_inside: None,
            runs_as: None,
            lineage: Lineage::default(),
            reads_input: true,
            is_far: false,
        }
    }

    /// The same, with its environment, which was not read before.
    pub(crate) fn with_environment(self, env: Vec<OsString>) -> Exec {
        Exec { env, ..self }
    }

    /// The same, with its working directory, if that is the one at the path that is known.
    pub(crate) fn with_directory(self, directory: Option<OwnedFd>) -> Exec {
        let is_it = |directory: &OwnedFd| path_of(directory).is_some_and(|path| path == self.workdir);
        Exec { directory: directory.filter(is_it), ..self }
    }

    /// The same, with what its first line says.
    pub(crate) fn with_first_line(self, first_line: Option<Interpreter>) -> Exec {
        Exec { first_line: Some(first_line), ..self }
    }

    /// The same, with the file that runs.
    pub(crate) fn running_as(self, runs_as: Option<FileIdentity>) -> Exec {
        Exec { runs_as, ..self }
    }

    /// The same, about to be executed by this one.
    pub(crate) fn started_by(self, starter: Starter) -> Exec {
        Exec { starter, ..self }
    }

    /// The same, unable to leave the sandbox.
    pub(crate) fn kept_inside(self, why: String) -> Exec {
        Exec { kept_inside: Some(why), ..self }
    }

    /// The same, started by something that was let out.
    pub(crate) fn below(self, below: &Arc<Below>) -> Exec {
        Exec { below: Some(Arc::clone(below)), ..self }
    }

    /// What was let out to be confined, and is starting it.
    pub(super) fn confined(&self) -> Option<&Below> {
        self.below.as_deref().filter(|below| below.run == Run::Confined)
    }

    /// What was let out with the user's rights, and is starting it: so it has them, too.
    pub(super) fn outside(&self) -> Option<&Exec> {
        self.below.as_ref().filter(|below| below.run == Run::Outside).map(|below| &*below.exec)
    }

    /// The same, standing there among the programs of its call.
    pub(crate) fn descended(self, lineage: Lineage) -> Exec {
        Exec { lineage, ..self }
    }

    /// The same, whose file is where looking may take long.
    pub(crate) fn far(self) -> Exec {
        Exec { is_far: true, ..self }
    }

    /// Whether it asks for the same as another did, whoever started it.
    pub(crate) fn asks_for_the_same(&self, other: &Exec) -> bool {
        let all = |exec: &Exec| (exec.file.clone(), exec.seen.clone(), exec.workdir.clone());
        self.argv == other.argv
            && self.env == other.env
            && self.runs_as == other.runs_as
            && all(self) == all(other)
    }

    /// The file, as it was asked for, made absolute.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Who is about to execute it.
    pub(crate) fn starter(&self) -> &Starter {
        &self.starter
    }

    /// Its environment, `NAME=value` each.
    pub(crate) fn environment(&self) -> &[OsString] {
        &self.env
    }

    /// Opens the file that was shown, to be executed by its descriptor.
    pub(crate) fn open_file(&self) -> io::Result<File> {
        self.opened.as_ref().and_then(reopen).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        self.argv.iter().chain(&self.env).map(|text| text.len()).sum()
    }

    /// The same, where it is known whether it has a standard input to read.
    pub(crate) fn with_input(self, reads_input: bool) -> Exec {
        Exec { reads_input, ..self }
    }

    /// Whether it is this very file.
    pub(crate) fn is(&self, file: FileIdentity) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.identity() == file)
    }

    /// Whether the file is still the one that was judged, as far as it can be seen from out here. Where it cannot, it
    /// is a file of the sandbox's own, and runs nowhere else.
    pub(super) fn is_unchanged(&self) -> bool {
        let Some(seen) = &self.seen else { return true };
        let written = self.opened.as_ref().and_then(FileState::of).is_some_and(|now| now != *seen);
        let there = look_at(&self.file);
        !written && there.is_none_or(|there| there == *seen)
    }

    /// The working directory as programs outside the sandbox see it. The shell's own descriptor leads through the
    /// sandbox's mounts, where most is read-only; the same directory is opened anew from outside.
    pub(crate) fn open_directory_outside(&self, is_enforced: bool) -> io::Result<OwnedFd> {
        let inside = self.directory.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, &self.workdir, flags, Mode::empty()) {
            Ok(outside) if FileIdentity::of(&outside) == FileIdentity::of(inside) => Ok(outside),
            // Renamed meanwhile, or removed: without mounts of its own the descriptor is as good.
            Ok(_) | Err(_) if !is_enforced => inside.try_clone(),
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
