//! Follows a path as the process does that named it, up to the file, and holds that.
//!
//! By hand where a link leads to the process's own root, which the kernel would take for ours. What only the
//! process itself can follow, other links of `/proc` than those of its own descriptors, is refused.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use rustix::fs::{
    CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstat, fstatfs, openat, openat2, readlinkat,
};

/// A file is only looked at.
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// As many as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;
/// Tries when something on the way is renamed meanwhile (openat2(2), `EAGAIN`).
const TRIES: usize = 8;

/// Finds the file that a path of a thread's means.
///
/// # Errors
///
/// As the thread would be told, mostly.
pub(super) fn follow(thread: i32, path: &[u8]) -> Result<OwnedFd, Errno> {
    let of_thread = |name: &str| opened(openat(CWD, format!("/proc/{thread}/{name}"), LOOK, Mode::empty()));
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if let Some((own, rest)) = own_of_process(path) {
        let base = of_thread(&own)?;
        return if rest.is_empty() { Ok(base) } else { walk(&of_thread("root")?, base, rest) };
    }
    let root = of_thread("root")?;
    if path.starts_with(b"/") {
        return below_root(&root, path);
    }
    walk(&root, of_thread("cwd")?, path)
}

/// Takes `/proc/self/fd/N` and the like off a path: what the process has there, and what follows it.
fn own_of_process(path: &[u8]) -> Option<(String, &[u8])> {
    let own = path.strip_prefix(b"/proc/self/").or_else(|| path.strip_prefix(b"/proc/thread-self/"));
    let (kind, rest) = match (own, path.strip_prefix(b"/dev/fd/")) {
        (Some(own), _) => split(own),
        (None, Some(rest)) => (b"fd".as_slice(), rest),
        (None, None) => return None,
    };
    match kind {
        b"cwd" | b"root" => Some((String::from_utf8_lossy(kind).into_owned(), rest)),
        b"fd" => {
            let (number, rest) = split(rest);
            let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
            is_number.then(|| (format!("fd/{}", String::from_utf8_lossy(number)), rest))
        }
        _ => None,
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (path, &[]),
    }
}

fn below_root(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    match look(root, path, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS) {
        // A link of `/proc` is not followed, which `openat2` tells as it tells a circle.
        Err(Errno::ELOOP) if path.starts_with(b"/proc/") => Err(Errno::EACCES),
        found => found,
    }
}

fn walk(root: &OwnedFd, base: OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    match look(&base, path, ResolveFlags::NO_SYMLINKS) {
        Err(Errno::ELOOP) => {}
        other => return other,
    }
    let components = |path: &[u8]| path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let mut rest: VecDeque<Vec<u8>> = components(path).into();
    let (mut here, mut links) = (base, 0);
    while let Some(name) = rest.pop_front() {
        if name.is_empty() || name == b"." {
            continue;
        }
        let next = opened(openat(&here, OsStr::from_bytes(&name), LOOK | OFlags::NOFOLLOW, Mode::empty()))?;
        if !is_link(&next)? {
            here = next;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::ELOOP);
        }
        let target = readlinkat(&next, "", Vec::new()).map_err(errno)?.into_bytes();
        for component in components(&target).into_iter().rev() {
            rest.push_front(component);
        }
        if target.starts_with(b"/") {
            let from_root = rest.make_contiguous().join(&b'/');
            return below_root(root, &[b"/", from_root.as_slice()].concat());
        }
    }
    Ok(here)
}

/// Whether it is a symbolic link; one of `/proc` is an error.
fn is_link(file: &OwnedFd) -> Result<bool, Errno> {
    let stat = fstat(file).map_err(errno)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        return Ok(false);
    }
    let is_of_proc = fstatfs(file).map_err(errno)?.f_type == PROC_SUPER_MAGIC;
    if is_of_proc { Err(Errno::EACCES) } else { Ok(true) }
}

fn look(from: impl AsFd, path: &[u8], how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let mut found = Err(Errno::EAGAIN);
    for _ in 0..TRIES {
        found = opened(openat2(&from, OsStr::from_bytes(path), LOOK, Mode::empty(), how));
        if !matches!(found, Err(Errno::EAGAIN)) {
            break;
        }
    }
    found
}

fn opened(opened: rustix::io::Result<OwnedFd>) -> Result<OwnedFd, Errno> {
    opened.map_err(errno)
}

fn errno(errno: rustix::io::Errno) -> Errno {
    Errno::from_raw(errno.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_process_calls_its_own_is_taken_off() {
        let taken = |path: &'static str| own_of_process(path.as_bytes());
        assert_eq!(taken("/proc/self/fd/7/a/b"), Some(("fd/7".into(), b"a/b".as_slice())));
        assert_eq!(taken("/dev/fd/7"), Some(("fd/7".into(), b"".as_slice())));
        assert_eq!(taken("/proc/thread-self/cwd/x"), Some(("cwd".into(), b"x".as_slice())));
        for other in
            ["/proc/self/fd/x/a", "/proc/self/fd/", "/proc/self/exe", "/proc/1/cwd/x", "/proc/selfish"]
        {
            assert_eq!(taken(other), None, "{other}");
        }
    }

    #[test]
    fn links_are_followed_and_those_of_proc_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        fs::write(path("a/file"), "").unwrap();
        for (target, name) in [
            ("../file", "a/b/up"),
            ("a/b/up", "twice"),
            (path("a/file").to_str().unwrap(), "absolute"),
            ("round", "round"),
            ("/proc/self/cwd", "own"),
        ] {
            symlink(target, path(name)).unwrap();
        }
        let thread = nix::unistd::gettid().as_raw();
        let opened = fs::File::open(folder.path()).unwrap();
        let base = format!("/proc/self/fd/{}", opened.as_raw_fd());
        let followed = |name: &str| {
            let file = follow(thread, format!("{base}/{name}").as_bytes())?;
            fstat(&file).map(|stat| stat.st_ino).map_err(errno)
        };
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(path("a/file")).unwrap());
        for name in ["a/file", "a/b/up", "a/b/../file", "twice", "absolute"] {
            assert_eq!(followed(name), Ok(inode), "{name}");
        }
        assert_eq!(followed("round"), Err(Errno::ELOOP));
        assert_eq!(followed("missing/file"), Err(Errno::ENOENT));
        assert!(followed("own/x").is_err());
        assert_eq!(follow(thread, b"").map(drop), Err(Errno::ENOENT));
    }
}
