//! Holds reserved names (`.git/hooks`, `.mcp.json`, …) while a session lives, so that there is something to mount over.
//!
//! The kernel can only protect a name that exists. The guard makes what is missing, outside and with the user's own
//! rights, and takes it away when the session ends, however the server ended. Sessions that share a workspace share the
//! placeholders: each holds a lock on them, and the last one removes them. Only what is still exactly a placeholder is
//! removed.

use crate::placeholder::{MARK_SECONDS, is_placeholder};
use crate::plan::{Placeholder, Reserved};
use rustix::fs::{FlockOperation, Mode, OFlags, Timespec, Timestamps};
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

/// How often, and how far apart, a name is made again when another session removes it at the same moment.
const ATTEMPTS: usize = 10;
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// What is held, and is removed when this is dropped.
pub(super) struct Placeholders(Vec<Held>);

struct Held {
    reserved: Reserved,
    /// Locked, shared with other sessions.
    lock: OwnedFd,
}

/// Says which name could not be held.
#[derive(Debug, thiserror::Error)]
#[error("could not hold the protected name {path}: {source}")]
pub(super) struct PlaceholderError {
    path: PathBuf,
    source: io::Error,
}

impl Placeholders {
    /// Makes or adopts a placeholder for every name that is free. A folder that we may not write needs none: commands,
    /// running as the same user, could not make the name either.
    pub(super) fn make(reserved: &[Reserved]) -> Result<Self, PlaceholderError> {
        let mut held = Placeholders(Vec::new());
        for name in reserved {
            held.hold(name)?;
        }
        Ok(held)
    }

    /// Makes those again that someone outside has removed meanwhile.
    pub(super) fn restore(&mut self, reserved: &[Reserved]) {
        for name in reserved.iter().filter(|name| name.path.symlink_metadata().is_err()) {
            self.0.retain(|held| held.reserved.path != name.path);
            // Its folder may be gone as well; then there is nothing to protect.
            let _ = self.hold(name);
        }
    }

    fn hold(&mut self, name: &Reserved) -> Result<(), PlaceholderError> {
        let wrong = |source| PlaceholderError { path: name.path.clone(), source };
        for _ in 0..ATTEMPTS {
            match make(name) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !is_placeholder(&name.path, &name.placeholder) {
                        return Ok(());
                    }
                }
                Err(error) if is_refusal(&error) => return Ok(()),
                Err(error) => return Err(wrong(error)),
            }
            if let Some(lock) = lock(name) {
                self.0.push(Held { reserved: name.clone(), lock });
                return Ok(());
            }
            let _ = rustix::event::poll(&mut [], Some(&PAUSE));
        }
        // A command of another session may hold the lock, to keep us waiting. It is there, so it can be protected; who
        // removes it is then another's business.
        if is_placeholder(&name.path, &name.placeholder) {
            Ok(())
        } else {
            Err(wrong(io::ErrorKind::ResourceBusy.into()))
        }
    }
}

impl Drop for Placeholders {
    fn drop(&mut self) {
        // Children before their parents.
        for held in self.0.iter().rev() {
            let is_last = rustix::fs::flock(&held.lock, FlockOperation::NonBlockingLockExclusive).is_ok();
            let Reserved { path, placeholder } = &held.reserved;
            if !is_last || !is_placeholder(path, placeholder) {
                continue;
            }
            // Filled by someone outside in this very moment, a folder is not removed.
            let _ = match placeholder {
                Placeholder::Folder | Placeholder::SocketFolder(_) => fs::remove_dir(path),
                Placeholder::FileHolding(_) => fs::remove_file(path),
            };
        }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | NotFound | NotADirectory)
}

fn make(name: &Reserved) -> io::Result<()> {
    match &name.placeholder {
        Placeholder::Folder => fs::DirBuilder::new().mode(0o755).create(&name.path)?,
        Placeholder::SocketFolder(mode) => {
            fs::DirBuilder::new().mode(0o700).create(&name.path)?;
            // Past the umask.
            fs::set_permissions(&name.path, fs::Permissions::from_mode(*mode))?;
        }
        Placeholder::FileHolding(text) => {
            let mut file =
                fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&name.path)?;
            file.write_all(text.as_bytes())?;
        }
    }
    let mark = Timespec { tv_sec: MARK_SECONDS, tv_nsec: 0 };
    let times = Timestamps { last_access: mark, last_modification: mark };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::utimensat(rustix::fs::CWD, &name.path, &times, flags)?)
}

/// Takes a shared lock without waiting; none when it cannot be had, or when what was at the path is gone or another by
/// then.
fn lock(name: &Reserved) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&name.path, flags, Mode::empty()).ok()?;
    rustix::fs::flock(&opened, FlockOperation::NonBlockingLockShared).ok()?;
    let (ours, there) = (rustix::fs::fstat(&opened).ok()?, rustix::fs::lstat(&name.path).ok()?);
    (ours.st_ino == there.st_ino && ours.st_dev == there.st_dev).then_some(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(folder: &std::path::Path, name: &str, placeholder: Placeholder) -> Reserved {
        Reserved { path: folder.join(name), placeholder }
    }

    #[test]
    fn what_was_made_goes_and_what_others_made_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("theirs")).unwrap();
        let names = [
            reserved(folder.path(), "theirs", Placeholder::Folder),
            reserved(folder.path(), "ours", Placeholder::Folder),
            reserved(folder.path(), "filled", Placeholder::Folder),
            reserved(folder.path(), "dot", Placeholder::FileHolding(".\n".to_owned())),
            reserved(folder.path(), "written", Placeholder::FileHolding(String::new())),
            reserved(folder.path(), "no/such/folder", Placeholder::Folder),
        ];
        let made = Placeholders::make(&names).unwrap();
        assert!(at("ours").is_dir() && fs::read_to_string(at("dot")).unwrap() == ".\n");
        fs::write(at("written"), "text").unwrap();
        fs::write(at("filled/file"), "text").unwrap();
        drop(made);
        assert!(at("theirs").is_dir() && at("written").is_file() && at("filled/file").is_file());
        assert!(!at("ours").exists() && !at("dot").exists());
    }

    #[test]
    fn the_last_of_two_sessions_removes() {
        let folder = tempfile::tempdir().unwrap();
        let names = [reserved(folder.path(), "name", Placeholder::Folder)];
        let path = folder.path().join("name");
        let first = Placeholders::make(&names).unwrap();
        let second = Placeholders::make(&names).unwrap();
        drop(first);
        assert!(path.exists(), "the second still holds it");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_that_a_command_holds_delays_but_does_not_stop() {
        let folder = tempfile::tempdir().unwrap();
        let names = [reserved(folder.path(), "name", Placeholder::Folder)];
        make(&names[0]).unwrap();
        let hostile = fs::File::open(folder.path().join("name")).unwrap();
        rustix::fs::flock(&hostile, FlockOperation::LockExclusive).unwrap();
        assert!(Placeholders::make(&names).is_ok());
    }

    #[test]
    fn what_a_crash_left_is_adopted_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let names = [reserved(folder.path(), "name", Placeholder::FileHolding("text".to_owned()))];
        make(&names[0]).unwrap();
        drop(Placeholders::make(&names).unwrap());
        assert!(!folder.path().join("name").exists());
    }

    #[test]
    fn what_was_removed_outside_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let names = [reserved(folder.path(), "name", Placeholder::Folder)];
        let mut made = Placeholders::make(&names).unwrap();
        fs::remove_dir(folder.path().join("name")).unwrap();
        made.restore(&names);
        assert!(folder.path().join("name").is_dir());
        drop(made);
        assert!(!folder.path().join("name").exists());
    }
}
