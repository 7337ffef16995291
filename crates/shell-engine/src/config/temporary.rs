//! Remembers where `$TMPDIR` led when a server last used it: a command of another project may have pointed it elsewhere
//! since, to have the next session write there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::private::{make_private, state_folder};

/// Below the folder of what the server keeps, which no command reads or writes.
const FILE: &str = "temporary.json";

/// Folders that are remembered; some clients make a new one each time.
const MOST: usize = 256;

type Known = BTreeMap<PathBuf, PathBuf>;

/// Returns where the folder led when it was first used, which is from now on where it leads now if it never was.
pub(super) fn first_led_to(codex_home: &Path, folder: &Path) -> Option<PathBuf> {
    let file = state_folder(codex_home).join(FILE);
    let mut known: Known =
        fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    if let Some(before) = known.get(folder) {
        return Some(before.clone());
    }
    let real = folder.canonicalize().ok()?;
    // Those that are gone make room first.
    if known.len() >= MOST {
        known.retain(|folder, _| folder.exists());
    }
    while known.len() >= MOST {
        known.pop_first();
    }
    known.insert(folder.to_owned(), real.clone());
    // One that cannot be remembered is compared as long as the server lives.
    if let Err(error) = write(&file, &known) {
        tracing::warn!(%error, "where TMPDIR leads is not remembered");
    }
    Some(real)
}

fn write(file: &Path, known: &Known) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        make_private(folder).map_err(std::io::Error::other)?;
    }
    let new = file.with_extension(format!("{}.new", std::process::id()));
    fs::write(&new, serde_json::to_vec(known)?)?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_folder_led_first_is_remembered() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        for name in ["one", "two"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let link = root.join("link");
        std::os::unix::fs::symlink("one", &link).unwrap();
        assert_eq!(first_led_to(&root, &link), Some(root.join("one")));
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("two", &link).unwrap();
        assert_eq!(first_led_to(&root, &link), Some(root.join("one")));
        assert_eq!(first_led_to(&root, &root.join("two")), Some(root.join("two")));
    }
}
