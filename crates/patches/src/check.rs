//! Checks a whole patch against the files that there are. Nothing is written.
//!
//! Sections are applied one after the other in memory, so that a patch may come back to a file; what is to be done on disk
//! is what remains in the end.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::failure::Failure;
use crate::fit::fit;
use crate::patch::{Act, Format, Hunk, Patch, Section};
use crate::place::Places;
use crate::report::{Change, ChangeKind};
use crate::text::is_binary;

/// Bytes of all files together that one patch may hold in memory.
const MAX_BYTES: u64 = 512 << 20;

/// A patch that can be applied to the files as they were seen.
#[derive(Debug)]
pub struct Checked {
    pub(crate) steps: Vec<Step>,
    /// What it comes to, as the patch names the files.
    pub changes: Vec<Change>,
}

/// What becomes of one file on disk.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) place: PathBuf,
    /// As the patch names it.
    pub(crate) shown: PathBuf,
    pub(crate) before: Option<Seen>,
    pub(crate) after: Option<Content>,
}

/// A file as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) stamp: Stamp,
    pub(crate) content: Content,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) links: u64,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) bytes: Arc<Vec<u8>>,
    /// Its permissions.
    pub(crate) mode: u32,
}

/// By which a file is known to be as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    mode: u32,
}

impl Stamp {
    pub(crate) fn of(found: &Metadata) -> Stamp {
        Stamp {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            mode: found.mode(),
        }
    }
}

/// Permissions of new files, before the umask.
const NEW: u32 = 0o666;
const NEW_EXECUTABLE: u32 = 0o777;

impl Patch {
    /// Checks the patch in a folder, which relative paths are seen from.
    ///
    /// # Errors
    ///
    /// All that stands in its way, at most one for each section.
    pub fn check(&self, folder: &Path) -> Result<Checked, Vec<Failure>> {
        let places = Places::new(folder).map_err(|error| {
            let path = folder.to_string_lossy().into_owned();
            vec![Failure { path, reason: format!("cannot be entered: {error}"), ..Failure::default() }]
        })?;
        let mut checking =
            Checking { places, files: BTreeMap::new(), changes: Vec::new(), read: 0, format: self.format };
        let mut failures = Vec::new();
        for section in &self.sections {
            if let Err(failure) = checking.section(section) {
                failures.push(*failure);
                if failures.len() >= MOST_FAILURES {
                    break;
                }
            }
        }
        if failures.is_empty() { checking.finish(&mut failures) } else { Err(failures) }
    }
}

/// Failures that are told.
const MOST_FAILURES: usize = 20;

/// A file of the patch while it is checked.
struct Known {
    shown: PathBuf,
    before: Option<Seen>,
    now: Option<Content>,
    line: usize,
}

impl Known {
    fn is_changed(&self) -> bool {
        self.before.as_ref().map(|seen| &seen.content) != self.now.as_ref()
    }
}

struct Checking {
    places: Places,
    files: BTreeMap<PathBuf, Known>,
    changes: Vec<Change>,
    read: u64,
    format: Format,
}

impl Checking {
    fn section(&mut self, section: &Section) -> Result<(), Box<Failure>> {
        let failed = |path: &Path, reason: String| {
            let path = path.to_string_lossy().into_owned();
            Box::new(Failure { path, line: section.line, reason, ..Failure::default() })
        };
        let path = self.meant(section);
        let misfit = |misfit: crate::fit::Misfit| {
            Box::new(Failure {
                path: path.to_string_lossy().into_owned(),
                hunk: Some(misfit.hunk),
                line: misfit.line,
                reason: misfit.reason,
                nearest: misfit.nearest,
            })
        };
        let place = self.look(path, section.line).map_err(|reason| failed(path, reason))?;
        let there = self.files.get(&place).and_then(|known| known.now.clone());
        let is_made = there.is_none();
        match &section.act {
            Act::Add { content, executable } => {
                if there.is_some() {
                    let reason = "it exists already, and a patch does not overwrite what it does not show; update it, or delete \
                                  it in the same patch first";
                    return Err(failed(path, reason.into()));
                }
                let mode = if *executable { NEW_EXECUTABLE } else { NEW } & !umask();
                self.set(&place, Some(Content { bytes: Arc::new(content.clone()), mode }));
                self.tell(ChangeKind::Add, path, None);
            }
            Act::Delete { hunks } => {
                let content = there.ok_or_else(|| failed(path, "it does not exist".into()))?;
                if !hunks.is_empty() {
                    let rest = fit(&content.bytes, hunks, self.format).map_err(misfit)?;
                    if !rest.is_empty() {
                        return Err(failed(path, "it has more lines than the patch removes".into()));
                    }
                }
                self.set(&place, None);
                self.tell(ChangeKind::Delete, path, None);
            }
            Act::Update { hunks, to, is_copied, executable } => {
                let content = match there {
                    // Without an old line, before the first: what patch(1) takes for a new file.
                    None if self.format == Format::Unified && is_from_nothing(hunks) => {
                        self.tell(ChangeKind::Add, path, None);
                        Content { bytes: Arc::default(), mode: NEW & !umask() }
                    }
                    there => there.ok_or_else(|| failed(path, "it does not exist".into()))?,
                };
                let bytes = match hunks.is_empty() {
                    true => content.bytes,
                    false if is_binary(&content.bytes) => {
                        return Err(failed(path, "it is a binary file, which cannot be patched".into()));
                    }
                    false => Arc::new(fit(&content.bytes, hunks, self.format).map_err(misfit)?),
                };
                let mode = match executable {
                    Some(true) => content.mode | (content.mode & 0o444) >> 2,
                    Some(false) => content.mode & !0o111,
                    None => content.mode,
                };
                let new = Content { bytes, mode };
                let Some(to) = to else {
                    self.set(&place, Some(new));
                    if !is_made {
                        self.tell(ChangeKind::Update, path, None);
                    }
                    return Ok(());
                };
                let target = self.look(to, section.line).map_err(|reason| failed(to, reason))?;
                if target != place && self.files.get(&target).is_some_and(|known| known.now.is_some()) {
                    return Err(failed(
                        to,
                        "it exists already, and a patch does not move a file over another".into(),
                    ));
                }
                if !is_copied {
                    self.set(&place, None);
                }
                self.set(&target, Some(new));
                let kind = if *is_copied { ChangeKind::Add } else { ChangeKind::Move };
                if *is_copied { self.tell(kind, to, None) } else { self.tell(kind, path, Some(to)) }
            }
        }
        Ok(())
    }

    /// The name that a section means, where it has two: one that exists, for a new file one that does not; of these the one with
    /// the fewest folders, the shortest last name, and the fewest letters; for a new file before that the one with the fewest
    /// folders to be made (patch(1), "--posix" and what stands before; POSIX has the old name first).
    fn meant<'s>(&mut self, section: &'s Section) -> &'s Path {
        let Some(or) = &section.or else { return &section.path };
        let exists = |checking: &mut Checking, path: &Path| {
            let place = checking.look(path, section.line).ok()?;
            Some(checking.files.get(&place)?.now.is_some())
        };
        let is_new = matches!(section.act, Act::Add { .. });
        let names = [&*section.path, or];
        let fit = names.map(|name| exists(self, name) == Some(!is_new));
        let is_any = fit.contains(&true);
        let order = |checking: &mut Checking, name: &Path| {
            let missing = if is_new || !is_any { checking.places.missing(name) } else { 0 };
            let last = name.file_name().map_or(0, |last| last.len());
            (missing, name.components().count(), last, name.as_os_str().len())
        };
        let [one, other] = names.map(|name| order(self, name));
        match fit {
            [true, false] => &section.path,
            [false, true] => or,
            [true, true] | [false, false] if other < one => or,
            [true, true] | [false, false] => &section.path,
        }
    }

    /// The place of a path, whose file is then known.
    fn look(&mut self, path: &Path, line: usize) -> Result<PathBuf, String> {
        let place = self.places.find(path)?;
        if !self.files.contains_key(&place) {
            let before = see(&place, MAX_BYTES - self.read)?;
            self.read += before.as_ref().map_or(0, |seen| seen.stamp.size);
            let now = before.as_ref().map(|seen| seen.content.clone());
            self.files.insert(place.clone(), Known { shown: path.to_owned(), before, now, line });
        }
        Ok(place)
    }

    fn set(&mut self, place: &Path, now: Option<Content>) {
        if let Some(known) = self.files.get_mut(place) {
            known.now = now;
        }
    }

    fn tell(&mut self, kind: ChangeKind, path: &Path, to: Option<&Path>) {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let change = Change { kind, path: text(path), to: to.map(text) };
        if self.changes.last() != Some(&change) {
            self.changes.push(change);
        }
    }

    /// What is to be done on disk.
    fn finish(self, failures: &mut Vec<Failure>) -> Result<Checked, Vec<Failure>> {
        let mut failed = |known: &Known, reason: String| {
            let path = known.shown.to_string_lossy().into_owned();
            failures.push(Failure { path, line: known.line, reason, ..Failure::default() });
        };
        let mut inodes = BTreeMap::new();
        for (place, known) in &self.files {
            // One file under two names (hard links, or names that differ in the case of letters) cannot be changed twice.
            if let Some(seen) = known.before.as_ref().filter(|_| known.is_changed())
                && let Some(other) = inodes.insert((seen.stamp.device, seen.stamp.inode), place)
            {
                failed(known, format!("it is the same file as {}", other.display()));
            }
            let is_file = |folder: &Path| self.files.get(folder).is_some_and(|known| known.now.is_some());
            if known.now.is_some()
                && let Some(folder) = place.ancestors().skip(1).find(|folder| is_file(folder))
            {
                failed(
                    known,
                    format!("{} is a file in the same patch, and cannot be a folder, too", folder.display()),
                );
            }
        }
        if !failures.is_empty() {
            failures.truncate(MOST_FAILURES);
            return Err(std::mem::take(failures));
        }
        let changed = self.files.into_iter().filter(|(_, known)| known.is_changed());
        let steps = changed.map(|(place, Known { shown, before, now: after, .. })| Step {
            place,
            shown,
            before,
            after,
        });
        Ok(Checked { steps: steps.collect(), changes: self.changes })
    }
}

/// Whether hunks make a text from nothing.
fn is_from_nothing(hunks: &[Hunk]) -> bool {
    matches!(hunks, [hunk] if hunk.expected == Some(0) && hunk.old().next().is_none())
}

/// What new files do not get.
fn umask() -> u32 {
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(umask);
    umask.as_raw_mode()
}

/// Looks at a file: regular, or none. Nothing happens by that, whatever it is.
fn see(place: &Path, most: u64) -> Result<Option<Seen>, String> {
    let found = match place.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if found.is_symlink() {
        let target = std::fs::read_link(place).unwrap_or_default();
        return Err(format!("it is a symbolic link to {}; a patch does not follow it", target.display()));
    }
    if found.is_dir() {
        return Err("it is a folder".into());
    }
    if !found.is_file() {
        return Err("it is not a regular file".into());
    }
    if found.size() > most {
        return Err(format!("the files of the patch are larger than {} MiB together", MAX_BYTES >> 20));
    }
    let flags = libc_flags();
    let file =
        File::options().read(true).custom_flags(flags).open(place).map_err(|error| error.to_string())?;
    let opened = file.metadata().map_err(|error| error.to_string())?;
    if Stamp::of(&opened) != Stamp::of(&found) {
        return Err("it is being changed".into());
    }
    let mut bytes = Vec::new();
    file.take(found.size() + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).ok() != Some(found.size()) {
        return Err("it is being changed".into());
    }
    Ok(Some(Seen {
        stamp: Stamp::of(&found),
        content: Content { bytes: Arc::new(bytes), mode: found.mode() & 0o7777 },
        user: found.uid(),
        group: found.gid(),
        links: found.nlink(),
    }))
}

fn libc_flags() -> i32 {
    (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed()
}
