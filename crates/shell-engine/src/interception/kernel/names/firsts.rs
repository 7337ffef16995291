//! What Git makes once and obeys from then on, made by this call: a Git directory (`git init`, `git clone`), a linked work tree.
//!
//! A configuration is written by whoever asks under the name `config.lock`, and what it says is copied if it names nothing that runs:
//! the asker keeps no descriptor of what Git reads. What somebody else has changed since, and everything once the call has ended, is
//! protected like any other: it is changed only in what selects files (`git sparse-checkout`), adds a submodule, or says where a
//! submodule has its work tree. What Git finds as it wants it is written again (`git init`, `git submodule update`), as it was.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, MemfdFlags, Mode, OFlags, memfd_create, openat, statat};
use rustix::io::Errno;
use sandbox::GitName;

use super::copied::{Unfinished, copy, new_file, read};
use super::git_config::{is_harmless, is_harmless_change, leads_to};
use super::made::{Made, Written, open_plain};
use super::work::{Act, Free, Outcome, Worker};

/// The longest configuration that is looked at, in bytes.
const MAX_CONFIG: u64 = 64 << 10;

/// Where a configuration is written before it has its name.
const UNFINISHED: Unfinished = Unfinished("config.unfinished");

impl Worker<'_> {
    /// Whether a name that is protected may come into being, or go, this time.
    pub(super) fn is_first(&self, free: &Free, act: Act) -> bool {
        if act == Act::Remove && self.leads_to_configurable(free) {
            let folder = free.path.parent().map(Path::to_owned);
            self.made.lock().taken_out.extend(folder);
            return true;
        }
        let Some((repository, name)) = self.git_name(&free.path) else { return false };
        let made = self.made.lock();
        let is_made = made.repositories.contains(repository);
        match (name, act) {
            (GitName::Repository, Act::MakeFolder) => true,
            (GitName::Folder, Act::MakeFolder | Act::Remove) | (GitName::Repository, Act::Remove) => is_made,
            // What comes of it is looked at when it gets its name.
            (GitName::ConfigLock, Act::MakeFile) | (GitName::Config, Act::MoveHere) => true,
            (GitName::ConfigLock, Act::Write { .. } | Act::Remove | Act::MoveAway | Act::Mode) => {
                made.is_own_lock(&free.path)
            }
            (GitName::Config, Act::Remove | Act::Mode) => {
                let is_its_own = is_made && is_as_written(free, made.configurations.get(&free.path));
                is_its_own || act == Act::Remove && self.goes_with_its_work_tree(free, &made)
            }
            // A copy of what the repository's own says.
            (GitName::Config, Act::MakeFile) => {
                free.path.parent().is_some_and(|tree| made.work_trees.contains(tree))
            }
            // It goes nowhere.
            (GitName::Sample, Act::MakeFile | Act::Write { .. }) => true,
            (GitName::OfWorkTree(tree), Act::MakeFile | Act::Write { .. } | Act::Mode) => {
                made.work_trees.contains(&repository.join("worktrees").join(tree))
            }
            (GitName::OfWorkTree(_), Act::Remove) => self.goes_with_its_work_tree(free, &made),
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

    /// Whether what belongs to a linked work tree may go: the tree is gone, or this call has made it.
    fn goes_with_its_work_tree(&self, free: &Free, made: &Made) -> bool {
        let folder = free
            .path
            .parent()
            .filter(|folder| matches!(self.rules.git_name(folder), Some((_, GitName::WorkTree(_)))));
        folder.is_some_and(|folder| made.work_trees.contains(folder) || is_abandoned(&free.own, folder))
    }

    /// The Git directory in which a path lies, and what it is there; also one of a submodule that this call has made.
    pub(super) fn git_name<'a>(&'a self, path: &'a Path) -> Option<(&'a Path, GitName<'a>)> {
        self.rules
            .git_name(path)
            .or_else(|| {
                let repository = self.made.lock().repository(path)?;
                Some((repository, GitName::of(path.strip_prefix(repository).ok()?)?))
            })
            .or_else(|| self.of_submodule(path))
    }

    /// The same of what lies in the Git directory of a submodule that there is, as far as it can be changed there.
    fn of_submodule<'a>(&self, path: &'a Path) -> Option<(&'a Path, GitName<'a>)> {
        let is_there = |folder: &Path| {
            ["HEAD", "objects"].iter().all(|mark| folder.join(mark).symlink_metadata().is_ok())
        };
        let among_modules = path.ancestors().skip(1).take_while(|folder| self.rules.is_in_modules(folder));
        let repository = among_modules.into_iter().find(|folder| is_there(folder))?;
        let name = GitName::of(path.strip_prefix(repository).ok()?)?;
        matches!(name, GitName::Config | GitName::ConfigLock | GitName::Sample).then_some((repository, name))
    }

    /// Whether it is the file `.git` of a submodule that leads to a repository of which this asker may write the configuration: who
    /// may do that may take the submodule out of it (`git submodule deinit`).
    fn leads_to_configurable(&self, free: &Free) -> bool {
        let read = || {
            let mut text = String::new();
            open_plain(&free.own, &free.name).ok()?.take(MAX_CONFIG).read_to_string(&mut text).ok()?;
            leads_to(free.path.parent()?, text.strip_prefix("gitdir: ")?.trim_end_matches('\n'))
        };
        free.name == ".git"
            && free.kind() == Some(FileType::RegularFile)
            && read().is_some_and(|repository| {
                let top = self.rules.work_tree(&repository).filter(|_| self.rules.is_in_modules(&repository));
                top.is_some_and(|top| self.rules.is_free(&top.join(".git/config")))
            })
    }

    /// Whether this call has made the Git directory that a path lies in.
    pub(super) fn is_in_made(&self, path: &Path) -> bool {
        self.made.lock().repository(path).is_some()
    }

    /// A folder has been made here.
    pub(super) fn has_made(&self, path: &Path) {
        match self.rules.git_name(path) {
            Some((repository, GitName::Repository)) => {
                self.made.lock().repositories.insert(repository.to_owned());
            }
            Some((_, GitName::WorkTree(_))) => {
                self.made.lock().work_trees.insert(path.to_owned());
            }
            // Whatever its name: that of a submodule may have many parts.
            None if self.rules.is_in_modules(path) && self.rules.is_free(path) => {
                self.made.lock().repositories.insert(path.to_owned());
            }
            Some(_) | None => {}
        }
    }

    /// A file has been made here.
    pub(super) fn has_made_file(&self, free: &Free, file: &OwnedFd) {
        if matches!(self.git_name(&free.path), Some((_, GitName::ConfigLock))) {
            self.made.lock().has_locked(&free.path, &free.own, file);
        }
    }

    /// What is written goes nowhere: a hook's example, which nobody shall take for Git's own later, and the settings of a new work
    /// tree, which have been copied here from the repository's.
    pub(super) fn stand_in(&self, free: &Free, is_new: bool) -> Option<Result<OwnedFd, Errno>> {
        let (repository, name) = self.git_name(&free.path)?;
        let copied = match name {
            GitName::Sample => Ok(()),
            GitName::Config if is_new && !self.rules.is_free(&free.path) => copy_settings(repository, free),
            GitName::Config
            | GitName::Repository
            | GitName::Folder
            | GitName::ConfigLock
            | GitName::OfWorkTree(_)
            | GitName::WorkTree(_) => return None,
        };
        let copied = copied.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
        Some(copied.and_then(|()| memfd_create("stand-in", MemfdFlags::CLOEXEC)))
    }

    /// The rename by which a Git directory gets its configuration, or another one.
    pub(super) fn configure(&self, from: &Free, to: &Free) -> Option<Outcome> {
        let (repository, GitName::Config) = self.git_name(&to.path)? else { return None };
        // One that the user lets commands write is a file like any other.
        if self.rules.is_free(&to.path) {
            return None;
        }
        let mut lock = to.path.clone().into_os_string();
        lock.push(".lock");
        if from.path.as_os_str() != lock {
            self.is_refused(&to.path);
            return Some(Outcome::Fails(Errno::ROFS));
        }
        let is_its_own = {
            let made = self.made.lock();
            made.repositories.contains(repository)
                && (to.kind().is_none() || is_as_written(to, made.configurations.get(&to.path)))
        };
        let may = |text: &[u8]| -> std::io::Result<bool> {
            match is_its_own {
                true => Ok(is_harmless(text, |work_tree| self.is_of_submodule(repository, work_tree))),
                false => {
                    let is_work_tree = |work_tree: &str| self.is_of_submodule(repository, work_tree);
                    Ok(is_harmless_change(&read(to, MAX_CONFIG)?.unwrap_or_default(), text, is_work_tree))
                }
            }
        };
        match copy((from, MAX_CONFIG), (to, UNFINISHED), may) {
            Ok(Some(written)) => {
                self.made.lock().configurations.insert(to.path.clone(), written);
                Some(Outcome::Done)
            }
            Ok(None) => {
                self.is_refused(&to.path);
                Some(Outcome::Fails(Errno::ROFS))
            }
            Err(error) => Some(Outcome::Fails(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
        }
    }

    /// Whether what a submodule calls its work tree is one in the work tree to which it belongs.
    fn is_of_submodule(&self, repository: &Path, work_tree: &str) -> bool {
        let top = self.rules.work_tree(repository);
        let place = leads_to(repository, work_tree).filter(|_| self.rules.is_in_modules(repository));
        place.zip(top).is_some_and(|(place, top)| {
            place != top
                && place.starts_with(top)
                // It is held itself because of what leads here from it.
                && self.rules.is_free(&place.join("file"))
                && self.rules.git_name(&place).is_none()
        })
    }
}

fn is_as_written(free: &Free, written: Option<&Written>) -> bool {
    let found = open_plain(&free.own, &free.name).ok().and_then(|file| Written::of(&file).ok());
    written.is_some_and(|written| found.as_ref() == Some(written))
}

/// Gives a new work tree the settings that its repository has for the main one.
fn copy_settings(repository: &Path, free: &Free) -> std::io::Result<()> {
    let own = openat(CWD, repository, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    open_plain(&own, &free.name)?.take(MAX_CONFIG).read_to_end(&mut text)?;
    new_file(free, &free.name, 0o644)?.write_all(&text)
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
