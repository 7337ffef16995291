//! The user's and the system's start-up files, and whether they have changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What Bash and the usual files themselves read at the start of a login shell (bash(1), "INVOCATION"; Debian's and
/// Fedora's `/etc/profile` and `~/.bashrc`).
const SYSTEM: &[&str] = &["/etc/profile", "/etc/bash.bashrc", "/etc/bashrc", "/etc/environment"];
const SYSTEM_FOLDER: &str = "/etc/profile.d";
const HOME: &[&str] = &[".bash_profile", ".bash_login", ".profile", ".bashrc", ".bash_aliases"];

/// Files of a folder that are looked at.
const MAX_FILES: usize = 200;

/// What tells one version of a file from another; `None` when it is not there.
type Version = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// The versions of all start-up files at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Versions(Vec<(PathBuf, Version)>);

impl Versions {
    /// Looks at the files of a user with this home.
    pub(super) fn now(home: Option<&Path>) -> Versions {
        let mut paths: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        let folder = std::fs::read_dir(SYSTEM_FOLDER).into_iter().flatten().flatten();
        let mut in_folder: Vec<PathBuf> = folder.take(MAX_FILES).map(|entry| entry.path()).collect();
        in_folder.sort_unstable();
        paths.extend(in_folder);
        paths.extend(home.into_iter().flat_map(|home| HOME.iter().map(|name| home.join(name))));
        let versions = paths.into_iter().map(|path| {
            let version = version(std::fs::metadata(&path).ok());
            (path, version)
        });
        Versions(versions.collect())
    }
}

fn version(metadata: Option<Metadata>) -> Version {
    let file = metadata?;
    Some((
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_comes_changes_or_goes_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let now = || Versions::now(Some(home.path()));
        let none = now();
        assert_eq!(none, now());
        let file = home.path().join(".profile");
        std::fs::write(&file, "A=1").unwrap();
        let first = now();
        assert_ne!(none, first);
        std::fs::write(&file, "A=12").unwrap();
        assert_ne!(first, now());
        std::fs::remove_file(&file).unwrap();
        assert_eq!(none, now());
    }
}
