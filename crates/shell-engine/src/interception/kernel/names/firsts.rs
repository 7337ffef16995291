//! What Git makes once and obeys from then on, made by this call: a Git directory (`git init`, `git clone`), a linked work tree.
//!
//! A configuration is written by whoever asks under the name `config.lock`, and what it says is copied if it names nothing that runs:
//! the asker keeps no descriptor of what Git reads. What somebody else has changed since, and everything once the call has ended, is
//! protected like any other.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, MemfdFlags, Mode, OFlags, memfd_create, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use sandbox::GitName;

use super::git_config::is_harmless;
use super::made::{Written, open_plain};
use super::work::{Act, Free, Outcome, Worker};

/// The longest configuration that is looked at, in bytes.
const MAX_CONFIG: u64 = 64 << 10;

/// Where a configuration is written before it has its name.
const UNFINISHED: &str = "config.unfinished";

impl Worker<'_> {
    /// Whether a name that is protected may come into being, or go, this time.
    pub(super) fn is_first(&self, free: &Free, act: Act) -> bool {
        let Some((repository, name)) = self.rules.git_name(&free.path) else { return false };
        let made = self.made.borrow();
        let is_made = made.repositories.contains_key(repository);
        match (name, act) {
            (GitName::Repository, Act::MakeFolder) => true,
            (GitName::Folder, Act::MakeFolder | Act::Remove) | (GitName::Repository, Act::Remove) => is_made,
            (
                GitName::ConfigLock,
                Act::Make | Act::Write { .. } | Act::Remove | Act::MoveAway | Act::Mode,
            ) => is_made,
            (GitName::Config, Act::MoveHere) => is_made,
            (GitName::Config, Act::Remove | Act::Mode) => {
                is_made && self.is_as_written(free, made.repositories.get(repository))
            }
            (GitName::Sample, Act::Make | Act::Write { .. }) => is_made,
            (GitName::OfWorkTree(tree), Act::Make | Act::Write { .. } | Act::Mode) => {
                made.work_trees.contains(&repository.join("worktrees").join(tree))
            }
            (GitName::OfWorkTree(tree), Act::Remove) => {
                let folder = repository.join("worktrees").join(tree);
                made.work_trees.contains(&folder) || is_abandoned(&free.own, &folder)
            }
            (
                GitName::Repository
                | GitName::Folder
                | GitName::Sample
                | GitName::Config
                | GitName::ConfigLock
                | GitName::OfWorkTree(_)
                | GitName::WorkTree(_),
                _,
            ) => false,
        }
    }

    /// Whether this call has made the Git directory that a path lies in.
    pub(super) fn is_in_made(&self, path: &Path) -> bool {
        self.made.borrow().repositories.keys().any(|made| path.starts_with(made))
    }

    fn is_as_written(&self, free: &Free, written: Option<&Option<Written>>) -> bool {
        let found = open_plain(&free.own, &free.name).ok().and_then(|file| Written::of(&file).ok());
        matches!(written, Some(Some(written)) if found.as_ref() == Some(written))
    }

    /// A folder has been made here.
    pub(super) fn has_made(&self, path: &Path) {
        match self.rules.git_name(path) {
            Some((repository, GitName::Repository)) => {
                self.made.borrow_mut().repositories.insert(repository.to_owned(), None);
            }
            Some((_, GitName::WorkTree(_))) => {
                self.made.borrow_mut().work_trees.insert(path.to_owned());
            }
            Some(_) | None => {}
        }
    }

    /// A hook's example goes nowhere: nobody shall take it for Git's own later.
    pub(super) fn sample(&self, free: &Free) -> Option<Result<OwnedFd, Errno>> {
        let (_, name) = self.rules.git_name(&free.path)?;
        (name == GitName::Sample).then(|| memfd_create("sample", MemfdFlags::CLOEXEC))
    }

    /// The rename by which a Git directory of this call gets its configuration.
    pub(super) fn configure(&self, from: &Free, to: &Free) -> Option<Outcome> {
        let (repository, GitName::Config) = self.rules.git_name(&to.path)? else { return None };
        // One that the user lets commands write is a file like any other.
        if self.rules.is_free(&to.path) {
            return None;
        }
        if self.rules.git_name(&from.path) != Some((repository, GitName::ConfigLock)) {
            return Some(Outcome::Fails(Errno::ROFS));
        }
        let mut made = self.made.borrow_mut();
        let written = made.repositories.get(repository);
        let is_new = to.kind().is_none();
        if !is_new && !self.is_as_written(to, written) {
            return Some(Outcome::Fails(Errno::ROFS));
        }
        match copy(from, to) {
            Ok(Some(written)) => {
                made.repositories.insert(repository.to_owned(), Some(written));
                Some(Outcome::Done)
            }
            Ok(None) => {
                self.is_refused(&to.path);
                Some(Outcome::Fails(Errno::ROFS))
            }
            Err(error) => Some(Outcome::Fails(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
        }
    }
}

/// Gives a Git directory the configuration that lies beside it, if it is harmless.
fn copy(from: &Free, to: &Free) -> std::io::Result<Option<Written>> {
    let source = open_plain(&from.own, &from.name)?;
    let mut text = Vec::new();
    (&source).take(MAX_CONFIG + 1).read_to_end(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_CONFIG) || !is_harmless(&text) {
        return Ok(None);
    }
    let mode = source.metadata()?.permissions().mode() & 0o777;
    let _ = unlinkat(&to.own, UNFINISHED, AtFlags::empty());
    let make = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(&to.own, UNFINISHED, make, Mode::from_raw_mode(mode))?);
    file.write_all(&text)?;
    let written = Written::of(&file)?;
    renameat(&to.own, UNFINISHED, &to.own, &to.name)?;
    unlinkat(&from.own, &from.name, AtFlags::empty())?;
    Ok(Some(written))
}

/// Whether the work tree that a folder in a Git directory is for is gone: what leads there may go, too. `gitdir` names its `.git` file.
fn is_abandoned(own: &OwnedFd, folder: &Path) -> bool {
    let Ok(file) = open_plain(own, OsStr::new("gitdir")) else {
        return is_missing(own, Path::new("gitdir"));
    };
    let mut text = Vec::new();
    if file.take(MAX_CONFIG).read_to_end(&mut text).is_err() {
        return false;
    }
    let place = OsString::from_vec(text.trim_ascii_end().to_vec());
    is_missing(CWD, &folder.join(place))
}

fn is_missing(folder: impl AsFd, path: &Path) -> bool {
    matches!(statat(folder, path, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT))
}
