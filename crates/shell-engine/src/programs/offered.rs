//! The programs that commands find besides the user's: links by which this program is called.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use patches::program::NAMES;

/// The folder's name, in a folder of the server's that commands can read and not write.
const FOLDER: &str = "programs";

/// Makes sure that the folder is there, and that all its links lead to `program`; returns it.
///
/// # Errors
///
/// When it cannot be made.
pub(crate) fn offer(within: &Path, program: &Path) -> io::Result<PathBuf> {
    let folder = within.join(FOLDER);
    let program = program.canonicalize()?;
    fs::create_dir_all(&folder)?;
    for name in NAMES {
        let link = folder.join(name);
        if fs::read_link(&link).is_ok_and(|target| target == program) {
            continue;
        }
        // Other servers, of other versions, may do the same at the same time.
        let new = folder.join(format!(".{name}-{}", std::process::id()));
        let _ = fs::remove_file(&new);
        symlink(&program, &new)?;
        fs::rename(&new, &link)?;
    }
    folder.canonicalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_links_lead_to_whoever_came_last() {
        let root = tempfile::tempdir().expect("a folder");
        for name in ["one", "two"] {
            let program = root.path().join(name);
            fs::write(&program, "").expect("written");
            for _ in 0..2 {
                let folder = offer(&root.path().join("home/shell-tool"), &program).expect("made");
                for link in NAMES {
                    assert_eq!(folder.join(link).canonicalize().ok(), program.canonicalize().ok());
                }
                assert_eq!(fs::read_dir(folder).expect("a folder").count(), NAMES.len());
            }
        }
    }
}
