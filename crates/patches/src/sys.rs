//! What differs between systems: how a folder is opened to change names in it.

use rustix::fs::OFlags;

/// Without following a link, and where it can be without the right to list it.
#[cfg(target_os = "linux")]
pub(crate) const FOLDER: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Without following a link.
#[cfg(not(target_os = "linux"))]
pub(crate) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
