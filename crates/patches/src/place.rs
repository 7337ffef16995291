//! Where a patch's paths lead: absolute paths without links, which nobody can turn elsewhere unseen.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The longest path, in bytes (`PATH_MAX` with its end).
const MAX_PATH: usize = 4095;

/// The longest name in it, in bytes (`NAME_MAX`).
const MAX_NAME: usize = 255;

/// Finds the places of paths, from one folder.
pub(crate) struct Places {
    base: PathBuf,
    known: HashMap<PathBuf, Result<Folder, String>>,
}

/// A folder without links on the way; part of it may have to be made.
#[derive(Clone)]
struct Folder {
    path: PathBuf,
    /// Names at its end that do not exist.
    missing: usize,
}

impl Places {
    /// From this folder, which must exist.
    pub(crate) fn new(folder: &Path) -> io::Result<Places> {
        Ok(Places { base: folder.canonicalize()?, known: HashMap::new() })
    }

    /// The place of a path. The last name is not followed.
    ///
    /// # Errors
    ///
    /// In words, when nothing may or can be written there.
    pub(crate) fn find(&mut self, path: &Path) -> Result<PathBuf, String> {
        check(path)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        let Some(name) = path.file_name() else { return Err("the path does not end with a name".into()) };
        let known = match self.known.get(parent) {
            Some(known) => known.clone(),
            None => {
                let found = self.folder(parent);
                self.known.insert(parent.to_owned(), found.clone());
                found
            }
        };
        let place = known?.path.join(name);
        if place.as_os_str().len() > MAX_PATH {
            return Err("the path is too long".into());
        }
        Ok(place)
    }

    /// How many folders would have to be made for a path.
    pub(crate) fn missing(&mut self, path: &Path) -> usize {
        let _ = self.find(path);
        let parent = path.parent().unwrap_or(Path::new(""));
        self.known
            .get(parent)
            .and_then(|known| known.as_ref().ok())
            .map_or(usize::MAX, |folder| folder.missing)
    }

    fn folder(&self, path: &Path) -> Result<Folder, String> {
        // Whoever says where something is from here does not mean a link's other end.
        let stays = path.is_relative() && !path.components().any(|part| part == Component::ParentDir);
        let mut folder = Folder { path: self.base.clone(), missing: 0 };
        for part in path.components() {
            match part {
                Component::RootDir | Component::Prefix(_) => folder = Folder { path: "/".into(), missing: 0 },
                Component::CurDir => {}
                Component::ParentDir => {
                    folder.path.pop();
                    folder.missing = folder.missing.saturating_sub(1);
                }
                Component::Normal(name) => folder = folder.enter(name)?,
            }
            if stays && !folder.path.starts_with(&self.base) {
                return Err(format!(
                    "it leads out of {} through a symbolic link, to {}",
                    self.base.display(),
                    folder.path.display()
                ));
            }
        }
        Ok(folder)
    }
}

impl Folder {
    fn enter(self, name: &OsStr) -> Result<Folder, String> {
        let path = self.path.join(name);
        if self.missing > 0 {
            return Ok(Folder { path, missing: self.missing + 1 });
        }
        let found = match path.symlink_metadata() {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Folder { path, missing: 1 }),
            Err(error) => return Err(format!("{} cannot be looked at: {error}", path.display())),
        };
        if found.is_symlink() {
            let real = path.canonicalize().map_err(|error| {
                format!("{} is a symbolic link that leads nowhere: {error}", path.display())
            })?;
            if !real.is_dir() {
                return Err(format!("{} is not a folder", path.display()));
            }
            return Ok(Folder { path: real, missing: 0 });
        }
        if !found.is_dir() {
            return Err(format!("{} is not a folder", path.display()));
        }
        Ok(Folder { path, missing: 0 })
    }
}

/// Refuses what no honest patch names.
fn check(path: &Path) -> Result<(), String> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Err("the path is empty".into());
    }
    if let Some(byte) = bytes.iter().find(|byte| byte.is_ascii_control()) {
        return Err(format!("the path has the control character {byte:#04x}"));
    }
    if bytes.len() > MAX_PATH || bytes.split(|byte| *byte == b'/').any(|name| name.len() > MAX_NAME) {
        return Err("the path, or a name in it, is too long".into());
    }
    let last = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if last.is_empty() || last == b"." || last == b".." {
        return Err("the path names a folder, not a file".into());
    }
    Ok(())
}

/// The places of all files that a patch names or may mean, each once, in its order: for whoever decides about it before it is
/// checked.
///
/// # Errors
///
/// When the folder cannot be entered, or a path leads nowhere; in words.
pub fn places(patch: &crate::Patch, folder: &Path) -> Result<Vec<PathBuf>, crate::Failure> {
    let failure = |section: Option<&crate::Section>, path: &Path, reason: String| crate::Failure {
        path: path.to_string_lossy().into_owned(),
        line: section.map_or(1, |section| section.line),
        reason,
        ..crate::Failure::default()
    };
    let mut finding =
        Places::new(folder).map_err(|error| failure(None, folder, format!("cannot be entered: {error}")))?;
    let (mut seen, mut found) = (std::collections::HashSet::new(), Vec::new());
    for section in &patch.sections {
        let to = match &section.act {
            crate::Act::Update { to, .. } => to.as_ref(),
            crate::Act::Add { .. } | crate::Act::Delete { .. } => None,
        };
        for path in std::iter::once(&section.path).chain(to).chain(&section.or) {
            let place = match finding.find(path) {
                // Of two names for one file, one may lead nowhere here.
                Err(_) if section.or.as_ref().is_some_and(|or| or != path && finding.find(or).is_ok()) => {
                    continue;
                }
                Err(_) if section.or.as_ref() == Some(path) => continue,
                other => other.map_err(|reason| failure(Some(section), path, reason))?,
            };
            if seen.insert(place.clone()) {
                found.push(place);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_lead_where_they_say_or_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("ws/sub")).unwrap();
        std::fs::create_dir(root.join("out")).unwrap();
        std::fs::write(root.join("ws/file"), "").unwrap();
        symlink("sub", root.join("ws/in")).unwrap();
        symlink("../out", root.join("ws/away")).unwrap();
        symlink("gone", root.join("ws/dangling")).unwrap();
        let mut places = Places::new(&root.join("ws")).unwrap();
        for (path, place) in [
            ("a", "ws/a"),
            ("./sub/../a", "ws/a"),
            ("in/x", "ws/sub/x"),
            ("new/../sub/x", "ws/sub/x"),
            ("new/deep/x", "ws/new/deep/x"),
            ("../out/x", "out/x"),
        ] {
            assert_eq!(places.find(Path::new(path)), Ok(root.join(place)), "{path}");
        }
        assert_eq!(places.find(&root.join("ws/in/x")), Ok(root.join("ws/sub/x")));
        let long = "x".repeat(256);
        for (path, words) in [
            ("", "empty"),
            ("away/x", "leads out of"),
            ("dangling/x", "leads nowhere"),
            ("file/x", "is not a folder"),
            ("a\nb", "control character"),
            ("a\0b", "control character"),
            ("sub/", "names a folder"),
            ("sub/..", "names a folder"),
            (".", "names a folder"),
            (&long, "too long"),
        ] {
            let problem = places.find(Path::new(path)).unwrap_err();
            assert!(problem.contains(words), "{path}: {problem}");
        }
    }
}
