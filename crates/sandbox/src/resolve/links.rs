//! Small files by which Git says where something lies: `.git`, `commondir`, `config`.

use crate::git_names::MARKS;
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Tells whether Git takes a folder for a Git directory.
pub(super) fn is_git_directory(folder: &Path) -> bool {
    MARKS.iter().all(|mark| folder.join(mark).exists())
}

/// Returns the work tree that a submodule's own folder names (`worktree = ../../../x` in its `config`).
pub(super) fn work_tree_of(folder: &Path) -> Option<PathBuf> {
    folder.join(value_of(&folder.join("config"), "worktree")?).canonicalize().ok()
}

/// Returns the first value of a key in a configuration of Git's, whose section is not looked at.
pub(super) fn value_of(config: &Path, key: &str) -> Option<String> {
    let text = small_text(config, 65_536)?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case(key).then(|| value.to_owned())
    })
}

/// Reads a file that names a folder (`gitdir: ../x`, or a bare path) and returns it, canonical.
pub(super) fn linked_folder(file: &Path, prefix: &str) -> Option<PathBuf> {
    let text = small_text(file, 8192)?;
    let target = text.trim_end().strip_prefix(prefix)?.trim_start();
    let path = file.parent()?.join(target);
    path.canonicalize().ok().filter(|path| path.is_dir())
}

/// Reads a small file that a command may have made: a pipe or a device in its place must not keep us.
pub(super) fn small_text(path: &Path, most: u64) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::File::from(openat(CWD, path, flags, Mode::empty()).ok()?);
    let metadata = file.metadata().ok().filter(|metadata| metadata.is_file() && metadata.len() < most)?;
    let mut text = String::new();
    file.take(metadata.len()).read_to_string(&mut text).ok()?;
    Some(text)
}
