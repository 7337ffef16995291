//! The repository that Git would find, and who can write its configuration.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::trust::Trust;
use super::entries;

/// The longest configuration that is read; a longer one is in doubt.
const LONGEST_CONFIG: u64 = 1 << 20;

/// What Git obeys in its own folders.
const OBEYED: &[&str] = &["config", "config.worktree", "hooks", "commondir", "remotes", "branches"];

/// Folders of remotes by name, as Git had them before its configuration: nobody uses them, and an empty one says
/// nothing.
const OLD_REMOTES: &[&str] = &["remotes", "branches"];

/// Settings whose value is run, beside those that are switched off anyway.
const RUN: &[&str] = &[
    "askpass",
    "clean",
    "cmd",
    "command",
    "driver",
    "editor",
    "external",
    "gitproxy",
    "helper",
    "pager",
    "process",
    "program",
    "receivepack",
    "smudge",
    "sshcommand",
    "textconv",
    "update",
    "uploadpack",
];

/// A repository, as gitrepository-layout(5) has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repository {
    /// The file or folder that was found first.
    entry: PathBuf,
    /// Its own folder, and the one that it shares with other work trees; absent when they cannot be determined.
    folders: Option<Vec<PathBuf>>,
}

/// Finds the repository as Git does: from a folder upwards. Before it, if anything, come those `.git` that Git passes
/// by because they hold none, unless somebody makes it one.
pub(super) fn find(directory: &Path) -> Vec<Repository> {
    let Ok(directory) = directory.canonicalize() else {
        return vec![Repository { entry: directory.to_owned(), folders: None }];
    };
    let mut found = Vec::new();
    for folder in directory.ancestors() {
        let entry = folder.join(".git");
        if entry.symlink_metadata().is_ok() {
            let passes_by = entry.is_dir() && !may_be_repository(&entry);
            found.push(Repository { folders: folders_of(&entry), entry });
            if !passes_by {
                break;
            }
        }
        if may_be_repository(folder) {
            found.push(Repository { folders: bare(folder), entry: folder.to_owned() });
            break;
        }
    }
    found
}

/// Whether Git could take a folder for a repository: the rest may be in the folder that `commondir` names.
fn may_be_repository(folder: &Path) -> bool {
    let has = |name: &&str| folder.join(name).symlink_metadata().is_ok();
    has(&"HEAD") && ["commondir", "objects", "refs"].iter().any(has)
}

/// A repository without a work tree; in doubt where Git might see none in it and go on upwards.
fn bare(folder: &Path) -> Option<Vec<PathBuf>> {
    let folders = with_common(folder.to_owned())?;
    let common = folders.last()?;
    ["objects", "refs"].iter().all(|name| common.join(name).is_dir()).then_some(folders)
}

fn folders_of(entry: &Path) -> Option<Vec<PathBuf>> {
    let target = entry.canonicalize().ok()?;
    if target.is_dir() {
        return with_common(target);
    }
    with_common(linked(entry, b"gitdir:")?)
}

fn with_common(folder: PathBuf) -> Option<Vec<PathBuf>> {
    let commondir = folder.join("commondir");
    if commondir.symlink_metadata().is_err() {
        return Some(vec![folder]);
    }
    let common = linked(&commondir, b"")?;
    Some(if common == folder { vec![folder] } else { vec![folder, common] })
}

/// The folder that a small file names.
fn linked(file: &Path, prefix: &[u8]) -> Option<PathBuf> {
    let text = read(file)?;
    let target = text.trim_ascii_end().strip_prefix(prefix)?.trim_ascii_start();
    file.parent()?.join(OsStr::from_bytes(target)).canonicalize().ok().filter(|path| path.is_dir())
}

/// Reads a regular file that is not too long.
fn read(file: &Path) -> Option<Vec<u8>> {
    let metadata = fs::metadata(file).ok()?;
    (metadata.is_file() && metadata.len() <= LONGEST_CONFIG).then(|| fs::read(file).ok())?
}

impl Repository {
    /// Says what about the repository could have been written from inside the sandbox and would be obeyed.
    pub(super) fn doubt(&self, trust: &Trust) -> Option<String> {
        let Some(folders) = &self.folders else {
            return Some(format!("the repository at {} cannot be understood", self.entry.display()));
        };
        let is_link_or_file = self.entry.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir());
        if is_link_or_file && trust.may_be_written(&self.entry) {
            return Some(writable(&self.entry));
        }
        for folder in folders {
            if let Some(place) =
                OBEYED.iter().map(|name| folder.join(name)).find(|place| trust.may_be_written(place))
            {
                return Some(writable(&place));
            }
            if let Some(link) = entries::link_in(folder) {
                return Some(link);
            }
            let holds_something =
                |place: &PathBuf| fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_some());
            if let Some(place) = OLD_REMOTES.iter().map(|name| folder.join(name)).find(holds_something) {
                return Some(format!("{} names remotes", place.display()));
            }
            let config = folder.join("config");
            if config.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
                return Some(format!("{} is a link", config.display()));
            }
            for config in [config, folder.join("config.worktree")] {
                if config.exists()
                    && let Some(line) = redirecting(&read(&config).unwrap_or_else(|| b"[include]".to_vec()))
                {
                    return Some(format!("{} leads to files in the workspace (`{line}`)", config.display()));
                }
            }
        }
        None
    }

    /// The variables that make Git use this repository and look for no other, so that none that is made after judging
    /// comes before it. Only for the usual kind: others would be understood differently with them.
    pub(super) fn pinned(&self) -> Option<[(&'static str, PathBuf); 2]> {
        let (work_tree, folder) = (self.work_tree()?, self.folders.as_ref()?.first()?);
        // Git then no longer asks whose repository it is.
        let own = rustix::process::geteuid().as_raw();
        let is_own = |path: &Path| path.symlink_metadata().is_ok_and(|metadata| metadata.uid() == own);
        let is_unusual = |line: &str| {
            let line: String = line.to_ascii_lowercase().split_whitespace().collect();
            ["worktree=", "bare", "bare=true", "bare=yes", "bare=on", "bare=1"].iter().any(|end| {
                line == *end
                    || line.ends_with(&format!("]{end}"))
                    || (end.ends_with("tree=") && line.contains(end))
            })
        };
        let is_usual = !self.configurations().iter().any(|text| text.lines().any(is_unusual));
        let is_pinned = is_usual && [work_tree, &self.entry, folder].into_iter().all(is_own);
        is_pinned.then(|| [("GIT_DIR", folder.clone()), ("GIT_WORK_TREE", work_tree.to_owned())])
    }

    /// Says which repository below the work tree may have been made a submodule from inside: Git starts itself in
    /// there.
    pub(super) fn doubt_below(&self, trust: &Trust) -> Option<String> {
        let below = match entries::repositories_below(self.work_tree()?) {
            Ok(below) => below,
            Err(why) => return Some(why),
        };
        below.into_iter().find_map(|entry| {
            let repository = Repository { folders: folders_of(&entry), entry };
            let why = repository.doubt(trust)?;
            Some(format!("{} may be a submodule, and {why}", repository.entry.display()))
        })
    }

    /// Whether the work tree says that it has submodules.
    pub(super) fn names_submodules(&self) -> Option<PathBuf> {
        let file = self.work_tree()?.join(".gitmodules");
        file.symlink_metadata().is_ok().then_some(file)
    }

    /// The folder that holds `.git`.
    pub(super) fn work_tree(&self) -> Option<&Path> {
        (self.entry.file_name() == Some(OsStr::new(".git"))).then(|| self.entry.parent())?
    }

    /// The texts of its configuration.
    pub(super) fn configurations(&self) -> Vec<String> {
        let files = self.folders.iter().flatten();
        let files = files.flat_map(|folder| [folder.join("config"), folder.join("config.worktree")]);
        files.filter_map(|file| Some(String::from_utf8_lossy(&read(&file)?).into_owned())).collect()
    }
}

fn writable(place: &Path) -> String {
    format!("{} can be written from inside the sandbox", place.display())
}

/// A line of a configuration that includes another file, or runs a program by a relative path.
fn redirecting(config: &[u8]) -> Option<String> {
    config.split(|byte| *byte == b'\n').find_map(|line| {
        let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
        let lower = text.to_ascii_lowercase();
        let includes = lower.starts_with("[include");
        let runs = lower.split_once('=').is_some_and(|(key, value)| {
            // A setting may follow its section's name on the same line.
            let key = key.rsplit(']').next().unwrap_or(key).trim();
            RUN.contains(&key) && value.split([' ', '"', '\'', ';', '=']).any(is_relative)
        });
        (includes || runs).then(|| crate::visible::visible(text.as_bytes()).chars().take(100).collect())
    })
}

fn is_relative(word: &str) -> bool {
    let word = word.trim_start_matches('!');
    word.contains('/') && !word.starts_with('/') && !word.starts_with("~/") && !word.contains("://")
}
