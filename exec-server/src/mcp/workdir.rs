//! Where a command runs: what its caller says, and what is meant when the caller says little. Models leave the folder
//! out, or write it as they would type it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The folder for commands without one, as the client has last been told.
#[derive(Clone, Debug, Default)]
pub(super) struct ToldWorkdir(Arc<Mutex<Option<PathBuf>>>);

impl ToldWorkdir {
    /// Tells a folder; `false`: the client knows it.
    fn tell(&self, folder: &Path) -> bool {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(folder.to_owned());
        told.as_deref() != Some(folder)
    }

    /// What was to be told has not reached the client.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What a call's `workdir` begins with.
#[derive(Debug)]
pub(super) struct WorkdirBase {
    folder: PathBuf,
    home: Option<PathBuf>,
    told: ToldWorkdir,
}

/// Where a command runs, and what its caller should know about that.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Workdir {
    pub(super) folder: PathBuf,
    pub(super) note: Option<String>,
}

impl WorkdirBase {
    /// `folder` is the workspace's first, and `home` the user's.
    pub(super) fn new(folder: PathBuf, home: Option<PathBuf>, told: ToldWorkdir) -> WorkdirBase {
        WorkdirBase { folder, home, told }
    }

    /// Reads the argument; an empty one says nothing.
    pub(super) fn workdir(&self, given: Option<&str>) -> Workdir {
        let Some(given) = given.filter(|given| !given.trim().is_empty()) else {
            let note = self.told.tell(&self.folder).then(|| {
                format!(
                    "no workdir was given, so it ran in {}, as do all commands without one",
                    self.folder.display()
                )
            });
            return Workdir { folder: self.folder.clone(), note };
        };
        Workdir { folder: self.resolve(Path::new(given)), note: None }
    }

    fn resolve(&self, given: &Path) -> PathBuf {
        if given.is_absolute() {
            return given.to_owned();
        }
        if let (Ok(rest), Some(home)) = (given.strip_prefix("~"), &self.home) {
            return home.join(rest).components().collect();
        }
        self.folder.join(given).components().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(home: Option<&str>) -> WorkdirBase {
        WorkdirBase::new("/work/space".into(), home.map(PathBuf::from), ToldWorkdir::default())
    }

    #[test]
    fn nothing_means_the_workspace_and_is_noted_once() {
        let base = base(None);
        let first = base.workdir(None);
        assert_eq!(first.folder, Path::new("/work/space"));
        assert!(first.note.is_some_and(|note| note.contains("/work/space")));
        for nothing in [None, Some(""), Some("  ")] {
            assert_eq!(base.workdir(nothing), Workdir { folder: "/work/space".into(), note: None });
        }
    }

    #[test]
    fn another_workspace_is_noted_too_and_so_is_what_was_not_told() {
        let told = ToldWorkdir::default();
        let noted =
            |folder: &str| WorkdirBase::new(folder.into(), None, told.clone()).workdir(None).note.is_some();
        assert_eq!([noted("/a"), noted("/a"), noted("/b"), noted("/b")], [true, false, true, false]);
        told.forget();
        assert!(noted("/b"));
    }

    #[test]
    fn a_folder_may_be_written_as_one_types_it() {
        for (given, meant) in [
            ("/x", "/x"),
            ("src", "/work/space/src"),
            ("./src/", "/work/space/src"),
            (".", "/work/space"),
            ("..", "/work/space/.."),
            ("~", "/home/u"),
            ("~/a/b", "/home/u/a/b"),
            ("~other", "/work/space/~other"),
        ] {
            let workdir = base(Some("/home/u")).workdir(Some(given));
            assert_eq!(workdir, Workdir { folder: meant.into(), note: None }, "{given}");
        }
        assert_eq!(base(None).workdir(Some("~")).folder, Path::new("/work/space/~"));
    }
}
