//! The search path that the server was started with.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, access};

use super::identity::{FileIdentity, FileState};
use super::index::{Index, Known};
use super::opening::look_at;
use super::walk::walk;

/// The search path where nothing better is known (`_CS_PATH`, confstr(3), and what an administrator adds).
const SYSTEMS_OWN: &str = "/usr/local/bin:/usr/bin:/bin";

/// The programs as the user knows them: the search path that the server was started with, and what is found there.
#[derive(Debug)]
pub(crate) struct Programs {
    search: Vec<PathBuf>,
    /// Entries that are left out.
    relative: Vec<PathBuf>,
    index: Index,
}

impl Programs {
    /// Takes the search path; relative entries mean another folder to everybody, so they are left out.
    pub(crate) fn new(search_path: &OsStr) -> Programs {
        let (mut search, mut relative) = (Vec::new(), Vec::new());
        for folder in std::env::split_paths(search_path) {
            let list = if folder.is_absolute() { &mut search } else { &mut relative };
            if !list.contains(&folder) {
                list.push(folder);
            }
        }
        let index = Index::new(search.clone());
        Programs { search, relative, index }
    }

    /// The same, which looks no more often than this at what has changed.
    pub(crate) fn looking_every(self, time: Duration) -> Programs {
        Programs { index: self.index.looking_every(time), ..self }
    }

    /// Finds a bare name as a shell would: the first executable file of that name.
    pub(crate) fn find(&self, name: &OsStr) -> Option<(PathBuf, FileIdentity)> {
        find_in(&self.search, name)
    }

    /// The search path of programs outside the sandbox: without folders that, or on the way to which, something may be
    /// written.
    pub(crate) fn search_path_outside(&self, may_be_written: impl Fn(&Path) -> bool) -> OsString {
        let folders = self.search.iter().filter(|folder| !leads_through(folder, &may_be_written));
        match std::env::join_paths(folders) {
            Ok(path) if !path.is_empty() => path,
            // An empty or missing one means the working directory to some.
            Ok(_) | Err(_) => SYSTEMS_OWN.into(),
        }
    }

    /// Says, one sentence each, which folders of the search path programs outside the sandbox do not look in, and why.
    pub(crate) fn doubts(&self, may_be_written: impl Fn(&Path) -> bool) -> Vec<String> {
        let why = |folder: &Path, why: &str| {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            format!(
                "programs outside the sandbox do not look for others in {}, which PATH names: {why}",
                folder.display()
            )
        };
        let written =
            self.search.iter().filter(|folder| folder.is_dir() && leads_through(folder, &may_be_written));
        let relative = self
            .relative
            .iter()
            .map(|folder| why(folder, "a relative path, which leads elsewhere in each folder"));
        relative.chain(written.map(|folder| why(folder, "commands can write there"))).collect()
    }

    /// Finds a bare name on another search path.
    pub(crate) fn find_in(search_path: &OsStr, name: &OsStr) -> Option<(PathBuf, FileIdentity)> {
        find_in(&std::env::split_paths(search_path).collect::<Vec<_>>(), name)
    }

    /// Has it found out, beside other work, which programs there are, unless that is known: it takes milliseconds that the
    /// first program would wait for.
    pub(crate) fn prepare(self: &Arc<Programs>) {
        if !self.index.is_read() {
            let programs = Arc::clone(self);
            tokio::task::spawn_blocking(move || programs.index.read());
        }
    }

    /// The programs that a file is: the one at its path, else those with the same inode or content.
    pub(crate) fn recognise(
        &self,
        canonical: Option<&Path>,
        state: &FileState,
        file: Option<&File>,
    ) -> Vec<Arc<Known>> {
        self.index.recognise(canonical, state, file)
    }

    /// Whether a file would have to be compared with others.
    pub(crate) fn may_be_a_copy(&self, state: &FileState) -> bool {
        self.index.may_be_a_copy(state)
    }
}

fn find_in(folders: &[PathBuf], name: &OsStr) -> Option<(PathBuf, FileIdentity)> {
    folders.iter().map(|folder| folder.join(name)).find_map(|path| {
        let state = look_at(&path).filter(FileState::is_regular)?;
        access(&path, Access::EXEC_OK).is_ok().then(|| (path, state.identity()))
    })
}

/// Whether what a folder is depends on a place for which `may_be_written` holds. One that is not there does not count
/// as safe.
fn leads_through(folder: &Path, may_be_written: impl Fn(&Path) -> bool) -> bool {
    walk(folder)
        .is_ok_and(|walk| walk.folders.iter().chain([&walk.canonical]).any(|place| may_be_written(place)))
        || !folder.is_dir()
}
