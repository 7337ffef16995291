//! The folders that a command has been in: where relative names in its output may be seen from.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Folders that are remembered.
const MOST: usize = 8;

/// Where the programs of one call were executed. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whereabouts(Arc<Mutex<VecDeque<PathBuf>>>);

impl Whereabouts {
    /// A program is about to be executed in a folder.
    pub(crate) fn note(&self, folder: &Path) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.front().is_some_and(|newest| newest == folder) {
            return;
        }
        known.retain(|other| other != folder);
        known.push_front(folder.to_owned());
        known.truncate(MOST);
    }

    /// Where relative names of a command that began in `workdir` may be seen from, the likeliest first: where its
    /// programs ran last, where it says that it goes, where it began.
    pub(crate) fn folders(&self, command: &str, workdir: &Path) -> Vec<PathBuf> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut folders: Vec<PathBuf> = Vec::new();
        let all = known.iter().cloned().chain(gone_to(command, workdir)).chain([workdir.to_owned()]);
        for folder in all.filter(|folder| folder.is_absolute()) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }
}

/// The folders of plain `cd FOLDER` in a command, the last first. A builtin that fails in one of them is no program
/// that was executed there.
fn gone_to(command: &str, workdir: &Path) -> Vec<PathBuf> {
    let home = home_folder::find().unwrap_or_default();
    let mut here = workdir.to_owned();
    let mut folders = VecDeque::new();
    for part in command.split(['&', ';', '|', '\n', '(', ')', '{', '}']) {
        let words = shlex::split(part).unwrap_or_default();
        let target = match &words[..] {
            [cd] if cd == "cd" => home.clone(),
            [cd, target] if cd == "cd" => match target.strip_prefix("~") {
                Some("") => home.clone(),
                Some(below) if below.starts_with('/') => home.join(below.trim_start_matches('/')),
                _ => PathBuf::from(target),
            },
            _ => continue,
        };
        here = here.join(target);
        folders.push_front(here.clone());
        folders.truncate(MOST);
    }
    folders.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_comes_first_and_the_first_last() {
        let known = Whereabouts::default();
        for folder in ["/a", "/b", "/a", "/c", "/c"] {
            known.note(Path::new(folder));
        }
        let folders = known.folders("cd sub && cd ../x; echo hi > z", Path::new("/w"));
        assert_eq!(folders, ["/c", "/a", "/b", "/w/sub/../x", "/w/sub", "/w"].map(PathBuf::from));
        for number in 0..20 {
            known.note(Path::new(&format!("/{number}")));
        }
        assert_eq!(known.folders("true", Path::new("/w")).len(), MOST + 1);
    }

    #[test]
    fn only_plain_changes_of_folder_are_followed() {
        let gone = |command: &str| gone_to(command, Path::new("/w"));
        assert_eq!(gone("(cd a; touch b)"), [PathBuf::from("/w/a")]);
        assert_eq!(gone("cd 'a b' && touch c"), [PathBuf::from("/w/a b")]);
        let home = home_folder::find().unwrap();
        assert_eq!(gone("cd && cd ~/x"), [home.join("x"), home]);
        for other in ["echo cd x", "cd \"$X\" y", "cdx y", "'"] {
            assert_eq!(gone(other), Vec::<PathBuf>::new(), "{other}");
        }
    }
}
