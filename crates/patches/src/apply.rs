//! Applies what was checked, all or nothing.
//!
//! First every new content is written beside its file under another name; most of what can fail fails here. Then names are
//! exchanged, one after the other, while no signal ends the process. What comes out is compared with what was read: where
//! somebody else was faster, their file is put back. What was there stays under another name until all is done, so that it
//! can be put back. A file that has other names, or whose owner cannot be kept, is written in place.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::signal::{SigSet, Signal};
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, fchmod, fchown, linkat, mkdirat, openat, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use crate::check::{Checked, Content, Seen, Stamp, Step};
use crate::failure::Failure;
use crate::sys::FOLDER;

/// What the names begin with under which new contents and old files lie meanwhile.
pub const TEMPORARY: &str = ".apply_patch-";

/// Permissions of new folders, before the umask.
const NEW_FOLDER: Mode = Mode::from_raw_mode(0o777);

impl Checked {
    /// Applies it.
    ///
    /// # Errors
    ///
    /// What stood in the way; then everything is as it was, or the failure says what is not.
    pub fn apply(&self) -> Result<(), Failure> {
        let mut applying = Applying::default();
        let done = applying.stage(&self.steps).and_then(|()| {
            let held = SignalsHeld::new();
            let done = applying.commit();
            if done.is_ok() {
                applying.tidy();
            }
            drop(held);
            done
        });
        done.map_err(|Broken { shown, reason }| {
            let left = applying.undo();
            let reason = match left.is_empty() {
                true => reason,
                false => format!("{reason}; these could not be put back: {}", left.join(", ")),
            };
            Failure { path: shown.to_string_lossy().into_owned(), reason, ..Failure::default() }
        })
    }
}

/// What broke, at which file.
struct Broken {
    shown: PathBuf,
    reason: String,
}

/// Signals that end a process wait while names are exchanged.
struct SignalsHeld {
    before: Option<SigSet>,
}

impl SignalsHeld {
    fn new() -> SignalsHeld {
        let ending = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
        let set: SigSet = ending.into_iter().collect();
        SignalsHeld { before: set.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK).ok() }
    }
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = before.thread_set_mask();
        }
    }
}

/// A folder in which something changes.
#[derive(Clone)]
struct Folder {
    path: PathBuf,
    own: Arc<OwnedFd>,
}

/// A step on its way.
struct Staged<'a> {
    step: &'a Step,
    how: How,
    is_done: bool,
}

/// How a step is done.
enum How {
    /// The new file lies here under this name.
    Exchange { new: Option<OsString>, backup: OsString },
    /// The file is written itself.
    InPlace(File),
}

#[derive(Default)]
struct Applying<'a> {
    staged: Vec<Staged<'a>>,
    /// Folders that were made, outermost first.
    made: Vec<PathBuf>,
    /// The folder that was opened last: files of a patch mostly lie together.
    last: Option<Folder>,
    /// The folder that was last seen to let names be removed.
    tried: Option<PathBuf>,
    count: usize,
    /// What only the names of this patch have in common.
    mark: RandomState,
}

impl<'a> Applying<'a> {
    /// A name that nobody has, in any of the folders.
    fn unused_name(&mut self) -> OsString {
        self.count += 1;
        format!("{TEMPORARY}{:016x}", self.mark.hash_one(self.count)).into()
    }

    fn folder(&mut self, path: &Path) -> io::Result<Folder> {
        if let Some(last) = self.last.as_ref().filter(|last| last.path == path) {
            return Ok(last.clone());
        }
        let mut own = openat(CWD, "/", FOLDER, Mode::empty())?;
        let mut so_far = PathBuf::from("/");
        for name in path.components().skip(1) {
            let name = name.as_os_str();
            so_far.push(name);
            own = match openat(&own, name, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) => {
                    mkdirat(&own, name, NEW_FOLDER)?;
                    self.made.push(so_far.clone());
                    openat(&own, name, FOLDER, Mode::empty())?
                }
                other => other?,
            };
        }
        let folder = Folder { path: path.to_owned(), own: Arc::new(own) };
        self.last = Some(folder.clone());
        Ok(folder)
    }

    /// The folder and the name of a place.
    fn within<'p>(&mut self, place: &'p Path) -> io::Result<(Folder, &'p OsStr)> {
        let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok((self.folder(parent)?, name))
    }

    /// Writes every new content, and changes nothing that there is.
    fn stage(&mut self, steps: &'a [Step]) -> Result<(), Broken> {
        for step in steps {
            let how = self.prepare(step).map_err(|error| Broken {
                shown: step.shown.clone(),
                reason: in_words(&error, &step.place),
            })?;
            self.staged.push(Staged { step, how, is_done: false });
        }
        Ok(())
    }

    fn prepare(&mut self, step: &Step) -> io::Result<How> {
        let (folder, name) = self.within(&step.place)?;
        let backup = self.unused_name();
        let Some(content) = &step.after else {
            let new = None;
            if self.tried.as_ref() != Some(&folder.path) {
                // Whether anything can be removed here is seen by making something.
                let trial = self.unused_name();
                drop(create(&folder, &trial, 0o600)?);
                unlinkat(&*folder.own, &trial, AtFlags::empty())?;
                self.tried = Some(folder.path);
            }
            return Ok(How::Exchange { new, backup });
        };
        let is_alone = step.before.as_ref().is_none_or(|seen| seen.links < 2);
        if is_alone {
            let new = self.unused_name();
            let mut file = create(&folder, &new, content.mode)?;
            let written =
                file.write_all(&content.bytes).and_then(|()| finish(&file, content, step.before.as_ref()));
            match written {
                Ok(true) => return Ok(How::Exchange { new: Some(new), backup }),
                Ok(false) => unlinkat(&*folder.own, &new, AtFlags::empty())?,
                Err(error) => {
                    let _ = unlinkat(&*folder.own, &new, AtFlags::empty());
                    return Err(error);
                }
            }
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(How::InPlace(File::from(openat(&*folder.own, name, flags, Mode::empty())?)))
    }

    /// Lets the new files take the places of the old ones.
    fn commit(&mut self) -> Result<(), Broken> {
        let mut staged = std::mem::take(&mut self.staged);
        let mut broken = None;
        for one in &mut staged {
            match self.exchange(one) {
                Ok(()) => one.is_done = true,
                Err(reason) => {
                    broken = Some(Broken { shown: one.step.shown.clone(), reason });
                    break;
                }
            }
        }
        self.staged = staged;
        broken.map_or(Ok(()), Err)
    }

    fn exchange(&mut self, staged: &mut Staged<'_>) -> Result<(), String> {
        let Step { place, before, after, .. } = staged.step;
        let words = |error: io::Error| in_words(&error, place);
        let (folder, name) = self.within(place).map_err(words)?;
        if !is_as_seen(&folder, name, before.as_ref()) {
            return Err(CHANGED.into());
        }
        match &mut staged.how {
            How::InPlace(file) => {
                let Some(after) = after else { return Ok(()) };
                overwrite(file, after).inspect_err(|_| staged.is_done = true).map_err(words)
            }
            How::Exchange { new: None, backup } => {
                rename(&folder, name, backup).map_err(words)?;
                if is_as_seen(&folder, backup, before.as_ref()) {
                    return Ok(());
                }
                let back = renameat_with(&*folder.own, &*backup, &*folder.own, name, RenameFlags::NOREPLACE);
                Err(if back.is_ok() {
                    CHANGED.into()
                } else {
                    format!("{CHANGED}; theirs is now {}", backup.display())
                })
            }
            How::Exchange { new: Some(new), backup } if before.is_some() => {
                match swap(&folder, new, name) {
                    Ok(()) if is_as_seen(&folder, new, before.as_ref()) => {
                        backup.clone_from(new);
                        staged.how = How::Exchange { new: None, backup: std::mem::take(backup) };
                        return Ok(());
                    }
                    Ok(()) => return Err(give_back(&folder, new, name)),
                    // There are file systems that cannot.
                    Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
                    Err(errno) => return Err(words(errno.into())),
                }
                // The old file has two names for a moment, so that it is never missing.
                let link = linkat(&*folder.own, name, &*folder.own, &*backup, AtFlags::empty());
                if link.is_err() {
                    rename(&folder, name, backup).map_err(words)?;
                }
                let put_back = |_: &io::Error| {
                    let _ = match link {
                        Ok(()) => unlinkat(&*folder.own, &*backup, AtFlags::empty()).map_err(io::Error::from),
                        Err(_) => rename(&folder, backup, name),
                    };
                };
                rename(&folder, new, name).inspect_err(put_back).map_err(words)
            }
            How::Exchange { new: Some(new), .. } => {
                let own = &*folder.own;
                let named = renameat_with(own, &*new, own, name, RenameFlags::NOREPLACE);
                // There are file systems that cannot, and such without links.
                let named = named.or_else(|errno| match errno {
                    Errno::EXIST => Err(errno),
                    _ => linkat(own, &*new, own, name, AtFlags::empty())
                        .and_then(|()| unlinkat(own, &*new, AtFlags::empty())),
                });
                match named {
                    Ok(()) => Ok(()),
                    Err(Errno::EXIST) => Err("it was made by somebody else meanwhile".into()),
                    Err(_) => rename(&folder, new, name).map_err(words),
                }
            }
        }
    }

    /// Removes what is no longer needed.
    fn tidy(&mut self) {
        for one in std::mem::take(&mut self.staged) {
            if let (How::Exchange { backup, .. }, true) = (&one.how, one.step.before.is_some())
                && let Ok((folder, _)) = self.within(&one.step.place)
            {
                let _ = unlinkat(&*folder.own, backup, AtFlags::empty());
            }
        }
    }

    /// Puts everything back. Returns what could not be.
    fn undo(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        for mut one in std::mem::take(&mut self.staged).into_iter().rev() {
            let Ok((folder, name)) = self.within(&one.step.place) else { continue };
            let done = match (&mut one.how, one.is_done) {
                (How::Exchange { new: Some(new), .. }, false) => {
                    let _ = unlinkat(&*folder.own, &*new, AtFlags::empty());
                    Ok(())
                }
                (How::Exchange { new: None, .. } | How::InPlace(_), false) => Ok(()),
                (How::Exchange { backup, .. }, true) if one.step.before.is_some() => {
                    rename(&folder, backup, name)
                }
                (How::Exchange { .. }, true) => {
                    unlinkat(&*folder.own, name, AtFlags::empty()).map_err(io::Error::from)
                }
                (How::InPlace(file), true) => {
                    one.step.before.as_ref().map_or(Ok(()), |seen| overwrite(file, &seen.content))
                }
            };
            if done.is_err() {
                left.push(one.step.place.display().to_string());
            }
        }
        for made in std::mem::take(&mut self.made).into_iter().rev() {
            // One that somebody else has put something into stays.
            let _ = self.within(&made).map(|(folder, name)| unlinkat(&*folder.own, name, AtFlags::REMOVEDIR));
        }
        left
    }
}

fn create(folder: &Folder, name: &OsStr, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(&*folder.own, name, flags, permissions(mode))?))
}

/// What a file may be given by whoever writes it: no rights of another's.
fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o777)
}

/// Gives a new file what the old one had. `false`: its owner cannot be kept.
fn finish(file: &File, content: &Content, before: Option<&Seen>) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let found = file.metadata()?;
    if let Some(seen) = before
        && (seen.user, seen.group) != (found.uid(), found.gid())
        && fchown(file, Some(Uid::from_raw(seen.user)), Some(Gid::from_raw(seen.group))).is_err()
    {
        return Ok(false);
    }
    if file.metadata()?.mode() & 0o7777 != content.mode & 0o777 {
        fchmod(file, permissions(content.mode))?;
    }
    Ok(true)
}

fn overwrite(file: &mut File, content: &Content) -> io::Result<()> {
    file.rewind()?;
    file.write_all(&content.bytes)?;
    file.set_len(u64::try_from(content.bytes.len()).unwrap_or(u64::MAX))?;
    use std::os::unix::fs::MetadataExt;
    if file.metadata()?.mode() & 0o777 != content.mode & 0o777 {
        fchmod(&*file, permissions(content.mode))?;
    }
    Ok(())
}

/// What is said when a file is not the one that was read.
const CHANGED: &str = "it was changed by somebody else meanwhile";

/// Lets two files have each other's names, at once.
fn swap(folder: &Folder, one: &OsStr, other: &OsStr) -> rustix::io::Result<()> {
    renameat_with(&*folder.own, one, &*folder.own, other, RenameFlags::EXCHANGE)
}

/// Puts a file back that has come out in place of the one that was read; what is in its place is then `new` again, or what
/// somebody has put there since, which is newer and stays.
fn give_back(folder: &Folder, new: &OsStr, name: &OsStr) -> String {
    let inode =
        |name: &OsStr| statat(&*folder.own, name, AtFlags::SYMLINK_NOFOLLOW).map(|found| found.st_ino);
    let ours = inode(name);
    if swap(folder, new, name).is_ok() && inode(new) != ours {
        let _ = swap(folder, new, name);
    }
    CHANGED.into()
}

fn rename(folder: &Folder, from: &OsStr, to: &OsStr) -> io::Result<()> {
    Ok(renameat(&*folder.own, from, &*folder.own, to)?)
}

/// Whether a file is the one that was seen, or still none.
fn is_as_seen(folder: &Folder, name: &OsStr, seen: Option<&Seen>) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let found = openat(&*folder.own, name, flags, Mode::empty());
    match (found, seen) {
        (Err(Errno::NOENT), None) => true,
        (Ok(file), Some(seen)) => {
            let mut file = File::from(file);
            let is_same = file.metadata().is_ok_and(|found| Stamp::of(&found) == seen.stamp);
            is_same && has(&mut file, &seen.content.bytes)
        }
        (Ok(_) | Err(_), _) => false,
    }
}

/// Whether a small file holds this: clocks of file systems are coarse. Of a large one the stamp has to do.
fn has(file: &mut File, bytes: &[u8]) -> bool {
    const SMALL: usize = 64 << 10;
    if bytes.len() > SMALL {
        return true;
    }
    let mut found = Vec::with_capacity(bytes.len() + 1);
    file.take(SMALL as u64 + 1).read_to_end(&mut found).is_ok() && found == bytes
}

/// Why a place cannot be written, with what stands behind the kernel's word where that is known.
fn in_words(error: &io::Error, place: &Path) -> String {
    let place = place.display();
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ROFS) => format!(
            "{place} cannot be written: it is protected (the tool apply_patch asks the user about such a file), or outside of the \
             folders that may be written"
        ),
        Some(Errno::ACCESS | Errno::PERM) => format!("{place} cannot be written: permission denied"),
        Some(Errno::LOOP | Errno::NOTDIR) => {
            format!("a folder on the way to {place} was replaced by something else meanwhile")
        }
        Some(_) | None => format!("{place} cannot be written: {error}"),
    }
}
