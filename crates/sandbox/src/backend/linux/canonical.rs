//! Opens a path of a plan exactly as the plan means it: canonical, so no component may be a link.
//!
//! A plan's paths had no links when they were resolved. One that has a link now was changed meanwhile, perhaps by a
//! command of an earlier session to whom a parent folder was writable, to have something else made writable. Not
//! openat2(2): a sandbox in a sandbox of ours has none.

use rustix::fs::{FileType, Mode, OFlags, fstat, open as open_path, openat};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

/// Opens an absolute path for naming only (`O_PATH`); any link on the way is an error (ELOOP).
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut found = open_path("/", flags, Mode::empty())?;
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(name) => found = openat(&found, name, flags, Mode::empty())?,
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL.into()),
        }
        if FileType::from_raw_mode(fstat(&found)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP.into());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_anywhere_on_the_way_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("real/inner")).unwrap();
        std::os::unix::fs::symlink(base.join("real"), base.join("link")).unwrap();
        assert!(open(&base.join("real/inner")).is_ok());
        for path in ["link", "link/inner"] {
            assert_eq!(open(&base.join(path)).unwrap_err().raw_os_error(), Some(libc::ELOOP), "{path}");
        }
    }
}
