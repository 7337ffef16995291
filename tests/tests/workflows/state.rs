//! What a workflow leaves behind, in a form that is the same wherever it ran.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use end_to_end_tests::World;

/// Files by their paths, and what Git says of the repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    files: BTreeMap<String, String>,
    git: Vec<String>,
}

/// What of a repository must be the same.
const GIT: &[&[&str]] = &[
    &["status", "--porcelain=v1", "--branch", "--untracked-files=all"],
    &["log", "--all", "--format=%H %s"],
    &["for-each-ref", "--format=%(refname) %(contents:subject)"],
    &["stash", "list", "--format=%gs"],
    &["ls-files", "--stage"],
];

impl State {
    pub(crate) fn of(world: &World, folder: &Path, ignoring: &[&str]) -> State {
        let mut files = BTreeMap::new();
        list(folder, Path::new(""), ignoring, &mut files);
        let git = GIT.iter().map(|question| ask(world, folder, question)).collect();
        State { files, git }
    }

    /// The first lines that differ.
    pub(crate) fn difference(&self, other: &State) -> Option<String> {
        let mut lines = Vec::new();
        for (path, what) in &self.files {
            match other.files.get(path) {
                None => lines.push(format!("missing: {path} ({what})")),
                Some(there) if there != what => lines.push(format!("{path}: {there}, plainly {what}")),
                Some(_) => {}
            }
        }
        let new = other.files.keys().filter(|path| !self.files.contains_key(*path));
        lines.extend(new.map(|path| format!("only in the sandbox: {path}")));
        let said = self.git.iter().zip(&other.git).filter(|(plainly, inside)| plainly != inside);
        lines.extend(said.map(|(plainly, inside)| format!("Git says:\n{inside}plainly:\n{plainly}")));
        lines.truncate(10);
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

fn list(root: &Path, below: &Path, ignoring: &[&str], files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(root.join(below)).expect("a folder").map(|entry| entry.expect("an entry")) {
        let path = below.join(entry.file_name());
        let name = path.to_string_lossy().into_owned();
        let is_gits = path.file_name().is_some_and(|name| name == ".git");
        if is_gits || ignoring.iter().any(|ignored| path.starts_with(ignored) || path.ends_with(ignored)) {
            continue;
        }
        let kind = entry.file_type().expect("a kind");
        let metadata = entry.metadata().expect("its metadata");
        let mode = metadata.permissions().mode() & 0o777;
        let what = if kind.is_dir() {
            list(root, &path, ignoring, files);
            format!("folder {mode:o}")
        } else if kind.is_symlink() {
            format!("link to {}", fs::read_link(entry.path()).expect("a link").display())
        } else if kind.is_file() {
            let content = fs::read(entry.path()).expect("a file that can be read");
            format!("file {mode:o}: {}", String::from_utf8_lossy(&content))
        } else {
            format!("fifo {} {mode:o}", kind.is_fifo())
        };
        files.insert(name, what);
    }
}

fn ask(world: &World, folder: &Path, question: &[&str]) -> String {
    let mut git = Command::new("git");
    world.surround(&mut git);
    // Not in the repository of whoever runs the tests.
    git.env("GIT_CEILING_DIRECTORIES", world.home());
    let said = git.current_dir(folder).args(question).output().expect("git starts");
    let text = String::from_utf8_lossy(&said.stdout);
    let mut lines: Vec<&str> = text.lines().collect();
    // Commits of the same time come in any order.
    lines.sort_unstable();
    format!("git {}: {}\n{}", question[0], lines.join("\n"), String::from_utf8_lossy(&said.stderr))
}
