//! A path, link by link, as the kernel follows it.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Where a path leads, and over what.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The file, free of links.
    pub(crate) canonical: PathBuf,
    /// What stood for the file on the way: the last link of the path, its target, and so on to the file itself.
    pub(crate) spellings: Vec<PathBuf>,
    /// The folders in which a name was looked up; whoever changes one of them changes where the path leads.
    pub(crate) folders: Vec<PathBuf>,
    /// The links on the way, each where it lies.
    pub(crate) links: Vec<PathBuf>,
}

/// Follows an absolute path.
///
/// # Errors
///
/// When it leads nowhere.
pub(crate) fn walk(path: &Path) -> io::Result<Walk> {
    if !path.is_absolute() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut walk =
        Walk { canonical: PathBuf::from("/"), spellings: Vec::new(), folders: Vec::new(), links: Vec::new() };
    let mut ahead = components(path);
    while let Some(name) = ahead.pop() {
        if name == ".." {
            walk.canonical.pop();
            continue;
        }
        if walk.folders.last() != Some(&walk.canonical) {
            walk.folders.push(walk.canonical.clone());
        }
        let next = walk.canonical.join(&name);
        let is_link = next.symlink_metadata()?.is_symlink();
        if ahead.is_empty() {
            walk.spellings.push(next.clone());
        }
        if !is_link {
            walk.canonical = next;
            continue;
        }
        let target = next.read_link()?;
        walk.links.push(next);
        if walk.links.len() > MOST_LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        if target.is_absolute() {
            walk.canonical = PathBuf::from("/");
        }
        ahead.append(&mut components(&target));
    }
    Ok(walk)
}

/// The names of a path, the last one first.
fn components(path: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::walk;

    #[test]
    fn every_link_on_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/bin")).unwrap();
        std::fs::write(root.join("real/bin/file"), "").unwrap();
        symlink("real", root.join("folder")).unwrap();
        symlink("../bin/file", root.join("real/bin/second")).unwrap();
        symlink(root.join("folder/bin/second"), root.join("first")).unwrap();

        let found = walk(&root.join("./real/../first")).unwrap();
        assert_eq!(found.canonical, root.join("real/bin/file"));
        assert_eq!(found.canonical, root.join("first").canonicalize().unwrap());
        assert_eq!(
            found.spellings,
            [root.join("first"), root.join("real/bin/second"), root.join("real/bin/file")]
        );
        assert_eq!(found.links, [root.join("first"), root.join("folder"), root.join("real/bin/second")]);
        assert!(found.folders.contains(&root) && found.folders.contains(&root.join("real/bin")));
    }

    #[test]
    fn a_circle_and_a_gap_are_errors() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        assert_eq!(walk(&root.path().join("a")).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert!(walk(&root.path().join("gone")).is_err());
        assert!(walk(std::path::Path::new("relative")).is_err());
    }
}
