//! A file that takes its name as a copy of what was written beside it: whoever has written that keeps no descriptor of what Git reads,
//! and what was looked at is what it says.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, futimens, openat, renameat, unlinkat};

use super::made::{Written, open_plain};
use super::work::Free;

/// A name that nobody inside may use, beside the one that the file gets.
pub(super) struct Unfinished(pub(super) &'static str);

/// Reads a file; none where there is none.
///
/// # Errors
///
/// Also where it has more bytes than `most`.
pub(super) fn read(free: &Free, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    if free.kind().is_none() {
        return Ok(None);
    }
    let mut text = Vec::new();
    open_plain(&free.own, &free.name)?.take(most.saturating_add(1)).read_to_end(&mut text)?;
    match u64::try_from(text.len()).is_ok_and(|length| length <= most) {
        true => Ok(Some(text)),
        false => Err(std::io::ErrorKind::FileTooLarge.into()),
    }
}

/// Gives a name the content of a file, if it may have it, and removes that. Times and mode stay: by them Git knows what has changed
/// since.
pub(super) fn copy(
    (from, most): (&Free, u64),
    (to, Unfinished(unfinished)): (&Free, Unfinished),
    may: impl FnOnce(&[u8]) -> std::io::Result<bool>,
) -> std::io::Result<Option<Written>> {
    let Some(text) = read(from, most)? else { return Err(std::io::ErrorKind::NotFound.into()) };
    if !may(&text)? {
        return Ok(None);
    }
    let before = open_plain(&from.own, &from.name)?.metadata()?;
    let _ = unlinkat(&to.own, unfinished, AtFlags::empty());
    let mut file = new_file(to, OsStr::new(unfinished), before.permissions().mode() & 0o777)?;
    file.write_all(&text)?;
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    futimens(
        &file,
        &Timestamps {
            last_access: time(before.atime(), before.atime_nsec()),
            last_modification: time(before.mtime(), before.mtime_nsec()),
        },
    )?;
    let written = Written::of(&file)?;
    renameat(&to.own, unfinished, &to.own, &to.name)?;
    unlinkat(&from.own, &from.name, AtFlags::empty())?;
    Ok(Some(written))
}

/// Makes a file that is not there yet, in the folder of a name.
pub(super) fn new_file(free: &Free, name: &OsStr, mode: u32) -> std::io::Result<File> {
    let make = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(&free.own, name, make, Mode::from_raw_mode(mode))?))
}
