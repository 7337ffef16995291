//! Which branch and commit a folder's repository is on, read from its files (gitrepository-layout(5)) without running Git:
//! nothing that the repository configures is obeyed. All of it may have been written by a command.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::programs::open;

/// The longest small file that is read, in bytes.
const MAX_SMALL: u64 = 8 << 10;

/// The longest list of packed references that is read, in bytes.
const MAX_PACKED: u64 = 64 << 20;

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The top of the work tree.
    pub(super) top: PathBuf,
    /// The checked-out branch; none when a commit is checked out as such.
    pub(super) branch: Option<String>,
    /// The commit, in hexadecimal; none when the branch has none yet, or it cannot be told.
    pub(super) commit: Option<String>,
}

/// Reads the head of the repository that a folder belongs to.
pub(super) fn head(folder: &Path) -> Option<Head> {
    let top = folder.ancestors().find(|folder| folder.join(".git").symlink_metadata().is_ok())?;
    let place = top.join(".git");
    let own = match place.is_dir() {
        true => place,
        false => top.join(small(&place)?.trim_end().strip_prefix("gitdir:")?.trim_start()),
    };
    let common = small(&own.join("commondir")).map_or_else(|| own.clone(), |text| own.join(text.trim_end()));
    let text = small(&own.join("HEAD"))?;
    let text = text.trim_end();
    let top = top.to_owned();
    let Some(name) = text.strip_prefix("ref:").map(str::trim_start) else {
        return is_commit(text).then(|| Head { top, branch: None, commit: Some(text.to_owned()) });
    };
    // Where references are kept in tables, this file says nothing.
    let is_told = name.starts_with("refs/") && is_plain(name) && name != "refs/heads/.invalid";
    if !is_told {
        return Some(Head { top, branch: None, commit: None });
    }
    let loose = [&own, &common].into_iter().find_map(|folder| small(&folder.join(name)));
    let loose = loose.map(|text| text.trim_end().to_owned()).filter(|text| is_commit(text));
    let commit = loose.or_else(|| packed(&common.join("packed-refs"), name));
    let branch = name.strip_prefix("refs/heads/").unwrap_or(name).to_owned();
    Some(Head { top, branch: Some(branch), commit })
}

fn small(path: &Path) -> Option<String> {
    let mut text = String::new();
    open(path)?.take(MAX_SMALL).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Looks a reference up among those that are packed.
fn packed(path: &Path, name: &str) -> Option<String> {
    let file: File = open(path)?;
    BufReader::new(file.take(MAX_PACKED)).lines().map_while(Result::ok).find_map(|line| {
        let (commit, of) = line.split_once(' ')?;
        (of == name && is_commit(commit)).then(|| commit.to_owned())
    })
}

/// Whether this is the name of an object (SHA-1 or SHA-256).
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a reference's name is one that Git allows, as far as it could lead elsewhere or deceive (git-check-ref-format(1)).
fn is_plain(name: &str) -> bool {
    name.len() <= 512
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
        && !name.contains("..")
        && !name.chars().any(|character| character.is_control() || " ~^:?*[\\".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn loose_packed_and_detached_heads_are_read_also_of_linked_work_trees() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("a/.git/HEAD", "ref: refs/heads/topic/x\n");
        write("a/.git/refs/heads/topic/x", &format!("{ONE}\n"));
        write(
            "a/.git/packed-refs",
            &format!("# pack-refs\n{TWO} refs/heads/main\n{TWO} refs/heads/topic/x\n"),
        );
        write("a/sub/file", "");
        write("tree/.git", "gitdir: ../a/.git/worktrees/tree\n");
        write("a/.git/worktrees/tree/HEAD", "ref: refs/heads/main\n");
        write("a/.git/worktrees/tree/commondir", "../..\n");
        write("detached/.git/HEAD", &format!("{TWO}\n"));
        write("new/.git/HEAD", "ref: refs/heads/main\n");
        write("hostile/.git/HEAD", "ref: refs/heads/../../../../etc/passwd\n");
        let of = |name: &str| head(&root.path().join(name)).map(|head| (head.branch, head.commit));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("a/sub"), Some((some("topic/x"), some(ONE))));
        assert_eq!(of("tree"), Some((some("main"), some(TWO))));
        assert_eq!(of("detached"), Some((None, some(TWO))));
        assert_eq!(of("new"), Some((some("main"), None)));
        assert_eq!(of("hostile"), Some((None, None)));
        fs::remove_file(root.path().join("new/.git/HEAD")).expect("removed");
        std::os::unix::fs::symlink("/dev/zero", root.path().join("new/.git/HEAD")).expect("linked");
        assert_eq!(of("new"), None);
    }
}
