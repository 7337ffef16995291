//! The programs on the search path by file, so that one of them is recognised under another name.
//!
//! Read when it is first needed, or before by who has the time, and again when one of the folders has changed.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::identity::{FileIdentity, FileState};
use super::opening;
use crate::sys::path_of;

/// Programs that are remembered; no machine has as many, and the agent may be able to fill a folder of the path.
const MOST_PROGRAMS: usize = 20_000;

/// A file with more link names than this does a different thing by each (busybox, systemctl, vim), and which one is
/// said by `argv[0]`; with fewer they are taken for names of the same thing (`python3`, `sh`, `awk`).
const MOST_LINK_NAMES: usize = 4;

/// Files of equal size that are compared with one that might be a copy, and the longest that is.
const MOST_COMPARED: usize = 8;
const LONGEST_COMPARED: u64 = 256 << 20;

/// Comparisons whose result is remembered.
const MOST_REMEMBERED: usize = 256;

/// Where dynamic loaders are: they run the file that they are given, and are on nobody's search path.
const LOADER_FOLDERS: &[&str] = &[
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/lib/i386-linux-gnu",
];

/// One program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The file, free of links.
    pub(crate) path: PathBuf,
    /// Links to it.
    pub(crate) links: Vec<PathBuf>,
}

impl Known {
    /// All names that mean this program, whatever `argv[0]` says.
    pub(crate) fn names(&self) -> impl Iterator<Item = &PathBuf> {
        let links = if self.links.len() <= MOST_LINK_NAMES { self.links.as_slice() } else { &[] };
        std::iter::once(&self.path).chain(links)
    }
}

/// When a folder was last changed.
type Stamp = Option<(u64, i64, i64)>;

/// What was found.
#[derive(Debug, Default)]
struct Found {
    stamps: Vec<Stamp>,
    programs: Vec<Arc<Known>>,
    by_path: HashMap<PathBuf, usize>,
    by_identity: HashMap<FileIdentity, Vec<usize>>,
    by_size: HashMap<u64, Vec<usize>>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    search: Vec<PathBuf>,
    /// How long what was found is believed.
    believed: Duration,
    found: Mutex<Option<(Instant, Arc<Found>)>>,
    /// Which programs a file was found to be a copy of.
    copies: Mutex<HashMap<FileState, Vec<Arc<Known>>>>,
}

impl Index {
    pub(super) fn new(search: Vec<PathBuf>) -> Index {
        Index { search, believed: Duration::ZERO, found: Mutex::default(), copies: Mutex::default() }
    }

    /// The same, which looks at the folders no more often than this.
    pub(super) fn looking_every(self, believed: Duration) -> Index {
        Index { believed, ..self }
    }

    /// The programs that a file is: the one at its path, else those with the same inode or content.
    pub(super) fn recognise(
        &self,
        canonical: Option<&Path>,
        state: &FileState,
        file: Option<&File>,
    ) -> Vec<Arc<Known>> {
        let found = self.found();
        let get = |index: &usize| found.programs.get(*index).cloned();
        // A file that is on the search path under its own name is that program, and not also what its hard links are.
        if let Some(known) = canonical.and_then(|path| found.by_path.get(path)).and_then(get) {
            return vec![known];
        }
        let same_file = found.by_identity.get(&state.identity()).into_iter().flatten().filter_map(get);
        let mut known: Vec<Arc<Known>> = same_file.collect();
        if known.is_empty()
            && let Some(file) = file
        {
            known = self.copied(&found, state, file);
        }
        known
    }

    /// Whether a file would have to be compared with others.
    pub(super) fn may_be_a_copy(&self, state: &FileState) -> bool {
        let found = self.found();
        state.is_regular()
            && !found.by_identity.contains_key(&state.identity())
            && found.by_size.contains_key(&state.size())
    }

    fn copied(&self, found: &Found, state: &FileState, file: &File) -> Vec<Arc<Known>> {
        let Some(candidates) = found.by_size.get(&state.size()) else { return Vec::new() };
        if !(1..=LONGEST_COMPARED).contains(&state.size()) {
            return Vec::new();
        }
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = copies.get(state) {
            return known.clone();
        }
        drop(copies);
        let candidates = candidates.iter().take(MOST_COMPARED).filter_map(|index| found.programs.get(*index));
        let is_copy = |known: &&Arc<Known>| {
            opening::open(&known.path).is_some_and(|original| have_the_same_content(&original, file))
        };
        let known: Vec<Arc<Known>> = candidates.filter(is_copy).cloned().collect();
        copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        if copies.len() >= MOST_REMEMBERED {
            copies.clear();
        }
        copies.insert(state.clone(), known.clone());
        known
    }

    /// Whether the folders were read before.
    pub(super) fn is_read(&self) -> bool {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Reads the folders.
    pub(super) fn read(&self) {
        self.found();
    }

    fn found(&self) -> Arc<Found> {
        let mut kept = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((looked, found)) = kept.as_ref()
            && now.saturating_duration_since(*looked) < self.believed
        {
            return Arc::clone(found);
        }
        let stamps: Vec<Stamp> = self.folders().map(|folder| stamp(&folder)).collect();
        if let Some((looked, found)) = kept.as_mut().filter(|(_, found)| found.stamps == stamps) {
            *looked = now;
            return Arc::clone(found);
        }
        let mut found = Found { stamps, ..Found::default() };
        for folder in &self.search {
            found.read(folder, |_| true);
        }
        for folder in LOADER_FOLDERS {
            found.read(Path::new(folder), |name| name.starts_with("ld-") && name.contains(".so"));
        }
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let found = Arc::new(found);
        *kept = Some((now, Arc::clone(&found)));
        found
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        self.search.iter().cloned().chain(LOADER_FOLDERS.iter().map(PathBuf::from))
    }
}

fn stamp(folder: &Path) -> Stamp {
    let metadata = folder.metadata().ok()?;
    Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

impl Found {
    fn read(&mut self, folder: &Path, wanted: impl Fn(&str) -> bool) {
        let Ok(folder) = folder.canonicalize() else { return };
        let Ok(entries) = folder.read_dir() else { return };
        for entry in entries.flatten() {
            if self.programs.len() >= MOST_PROGRAMS {
                return;
            }
            if entry.file_name().to_str().is_none_or(&wanted) {
                self.add(&entry.path(), entry.file_type().is_ok_and(|kind| kind.is_symlink()));
            }
        }
    }

    fn add(&mut self, path: &Path, is_link: bool) {
        let Some((metadata, real)) = (if is_link { behind(path) } else { at(path) }) else { return };
        if !metadata.is_file() || metadata.mode() & 0o111 == 0 {
            return;
        }
        let index = match self.by_path.get(&real) {
            Some(index) => *index,
            None => {
                let index = self.programs.len();
                self.programs.push(Arc::new(Known { path: real.clone(), links: Vec::new() }));
                self.by_path.insert(real, index);
                let identity = FileIdentity::from(&metadata);
                self.by_identity.entry(identity).or_default().push(index);
                self.by_size.entry(metadata.size()).or_default().push(index);
                index
            }
        };
        if is_link
            && let Some(known) = self.programs.get_mut(index).and_then(Arc::get_mut)
            && !known.links.iter().any(|link| link == path)
        {
            known.links.push(path.to_owned());
        }
    }
}

fn at(path: &Path) -> Option<(Metadata, PathBuf)> {
    Some((path.metadata().ok()?, path.to_owned()))
}

/// What a link leads to, and its path without links, which the kernel knows: to follow one by one takes twice as long.
fn behind(link: &Path) -> Option<(Metadata, PathBuf)> {
    let file = opening::look(link)?;
    let real = path_of(&file).or_else(|| link.canonicalize().ok())?;
    Some((File::from(file).metadata().ok()?, real))
}

/// Compares two files to their ends.
fn have_the_same_content(one: &File, other: &File) -> bool {
    const PIECE: usize = 64 << 10;
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = 0;
    loop {
        let Ok(length) = one.read_at(&mut left, at) else { return false };
        if length == 0 {
            return other.read_at(&mut right, at).is_ok_and(|more| more == 0);
        }
        let (Some(left), Some(right)) = (left.get(..length), right.get_mut(..length)) else { return false };
        if other.read_exact_at(right, at).is_err() || left != right {
            return false;
        }
        at += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn program(path: &Path, content: &str) {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn recognised(index: &Index, path: &Path) -> Vec<PathBuf> {
        let file = File::open(path).unwrap();
        let state = FileState::of(&file).unwrap();
        let canonical = path.canonicalize().unwrap();
        let known = index.recognise(Some(&canonical), &state, Some(&file));
        let mut names: Vec<PathBuf> = known.iter().flat_map(|known| known.names().cloned()).collect();
        names.sort();
        names
    }

    #[test]
    fn hard_links_and_copies_are_recognised_and_other_files_are_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let bin = root.join("bin");
        std::fs::create_dir(&bin).unwrap();
        program(&bin.join("id"), "the program");
        symlink("id", bin.join("whoami")).unwrap();
        program(&bin.join("other"), "same length");
        std::fs::hard_link(bin.join("id"), root.join("linked")).unwrap();
        program(&root.join("copied"), "the program");
        program(&root.join("unrelated"), "th3 program");

        let index = Index::new(vec![bin.clone()]);
        let id = [bin.join("id"), bin.join("whoami")];
        assert_eq!(recognised(&index, &bin.join("id")), id);
        assert_eq!(recognised(&index, &root.join("linked")), id);
        assert_eq!(recognised(&index, &root.join("copied")), id);
        assert_eq!(recognised(&index, &root.join("unrelated")), Vec::<PathBuf>::new());

        program(&bin.join("new"), "th3 program");
        assert_eq!(
            recognised(&index, &root.join("unrelated")),
            [bin.join("new")],
            "a changed folder is read again"
        );
    }

    #[test]
    fn a_file_that_is_many_programs_is_not_called_by_all_their_names() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        program(&root.join("many"), "x");
        for name in ["a", "b", "c", "d", "e"] {
            symlink("many", root.join(name)).unwrap();
        }
        assert_eq!(recognised(&Index::new(vec![root.clone()]), &root.join("many")), [root.join("many")]);
    }
}
