//! Opens a path of a plan exactly as the plan means it: canonical, so no component may be a link.
//!
//! A plan's paths had no links when they were resolved. One that has a link now was changed meanwhile, perhaps by a
//! command of an earlier session to whom a parent folder was writable, to have something else made writable. openat2(2)
//! since 5.6.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Opens a path for naming only (`O_PATH`); any link on the way is an error (ELOOP).
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(rustix::fs::openat2(
        CWD,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )?)
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
