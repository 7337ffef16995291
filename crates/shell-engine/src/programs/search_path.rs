//! The search path that the server was started with.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, access};

use super::identity::{FileIdentity, FileState};
use super::index::{Index, Known};
use super::opening::look_at;

/// The programs as the user knows them: the search path that the server was started with, and what is found there.
#[derive(Debug)]
pub(crate) struct Programs {
    search: Vec<PathBuf>,
    index: Index,
}

impl Programs {
    /// Takes the search path; relative entries mean another folder to everybody, so they are left out.
    pub(crate) fn new(search_path: &OsStr) -> Programs {
        let mut search: Vec<PathBuf> = Vec::new();
        for folder in std::env::split_paths(search_path).filter(|folder| folder.is_absolute()) {
            if !search.contains(&folder) {
                search.push(folder);
            }
        }
        let index = Index::new(search.clone());
        Programs { search, index }
    }

    /// Finds a bare name as a shell would: the first executable file of that name.
    pub(crate) fn find(&self, name: &OsStr) -> Option<(PathBuf, FileIdentity)> {
        self.search.iter().map(|folder| folder.join(name)).find_map(|path| {
            let state = look_at(&path).filter(FileState::is_regular)?;
            access(&path, Access::EXEC_OK).is_ok().then(|| (path, state.identity()))
        })
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
