//! The folders in which commands' caches are kept between sessions: who uses one, and what becomes of those that nobody
//! uses.
//!
//! Below the store each workspace has a folder: `lock`; `own`, which commands write as it is; and numbered ones, each
//! the upper layers of one session at a time (two mounts over one upper layer are undefined behaviour, says
//! filesystems/overlayfs in the kernel's documentation).

use crate::plan::Caches;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Sessions of one workspace at the same time whose caches are kept.
const MAX_SESSIONS: usize = 64;
/// A workspace's caches are thrown away when nobody uses them and they are larger.
const MAX_SIZE: u64 = 8 << 30;
/// A workspace's caches are thrown away when nobody has used them for so long.
const MAX_AGE: Duration = Duration::from_secs(60 * 60 * 24 * 60);

/// A layer over one place.
#[derive(Debug)]
pub(crate) struct Layer {
    /// What is shown with it, and where.
    pub(crate) place: PathBuf,
    /// What takes what is written.
    pub(crate) upper: PathBuf,
    /// The kernel's own, beside it.
    pub(crate) work: PathBuf,
}

/// One session's part of a workspace's folder. While it lives, nobody else takes it or throws it away.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The folder that commands write as it is.
    pub(crate) own: PathBuf,
    /// One per place.
    pub(crate) layers: Vec<Layer>,
    _locks: [OwnedFd; 2],
}

impl Claim {
    /// Takes the first part that nobody has, and makes what is missing.
    pub(crate) fn take(caches: &Caches) -> io::Result<Claim> {
        let workspace = lock(&caches.store, FlockOperation::NonBlockingLockShared)?;
        let own = caches.own();
        make(&own)?;
        let mut taken = (0..MAX_SESSIONS).map(|number| {
            let folder = caches.store.join(number.to_string());
            lock(&folder, FlockOperation::NonBlockingLockExclusive).map(|lock| (folder, lock))
        });
        let (folder, session) = taken
            .find(|taken| !matches!(taken, Err(error) if error.kind() == io::ErrorKind::WouldBlock))
            .unwrap_or_else(|| Err(io::Error::other("too many sessions")))?;
        let mut layers = Vec::new();
        let mut places: Vec<&PathBuf> = caches.places().collect();
        places.sort();
        places.dedup();
        for place in places {
            // A name that is too long is the file system's to refuse; that place has no layer.
            let Some(name) = place.to_str().map(|place| place.replace('%', "%%").replace('/', "%")) else {
                continue;
            };
            let folder = folder.join(name);
            let layer =
                Layer { place: place.clone(), upper: folder.join("upper"), work: folder.join("work") };
            if make(&layer.upper).and_then(|()| make(&layer.work)).is_ok() {
                layers.push(layer);
            }
        }
        Ok(Claim { own, layers, _locks: [workspace, session] })
    }
}

/// The name of a folder that belongs to others: how the first is called, for people, in letters that no program takes for
/// something else; and what tells it from all.
pub(crate) fn name_of(folders: &[PathBuf]) -> String {
    let called = folders.first().and_then(|folder| folder.file_name()).unwrap_or_default().to_string_lossy();
    let plain: String = called.chars().filter(|letter| letter.is_ascii_alphanumeric()).take(40).collect();
    let mut hash = DefaultHasher::new();
    folders.hash(&mut hash);
    format!("{plain}-{:016x}", hash.finish())
}

/// Makes a folder that is the user's alone, and those above it.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Locks a folder, which is made if it is missing. The descriptor is the lock.
fn lock(folder: &Path, operation: FlockOperation) -> io::Result<OwnedFd> {
    loop {
        make(folder)?;
        let name = folder.join("lock");
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(&name, flags, Mode::RUSR | Mode::WUSR)?;
        rustix::fs::flock(&file, operation)?;
        // Somebody may have thrown it away meanwhile.
        let held = rustix::fs::fstat(&file)?;
        if name.symlink_metadata().is_ok_and(|named| (named.dev(), named.ino()) == (held.st_dev, held.st_ino))
        {
            rustix::fs::futimens(&file, &NOW)?;
            return Ok(file);
        }
    }
}

const NOW: rustix::fs::Timestamps = rustix::fs::Timestamps {
    last_access: rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
    last_modification: rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
};

/// What is kept for one workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its folder, named after the workspace's.
    pub folder: PathBuf,
    /// What it takes on the disk, in bytes.
    pub size: u64,
    /// Whether a session uses it.
    pub in_use: bool,
}

/// Lists what is kept in a store, by name. One that is not there holds nothing.
///
/// # Errors
/// The store cannot be read.
pub fn list(store: &Path) -> io::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for folder in workspaces(store)? {
        let in_use = whole(&folder).is_err();
        kept.push(Kept { size: size(&folder), folder, in_use });
    }
    Ok(kept)
}

/// Throws away what no session uses. Returns what was there.
///
/// # Errors
/// The store cannot be read, or something in it cannot be removed.
pub fn clear(store: &Path) -> io::Result<Vec<Kept>> {
    let mut all = Vec::new();
    for folder in workspaces(store)? {
        let kept = Kept { size: size(&folder), in_use: false, folder };
        let removed = remove_unused(&kept.folder)?;
        all.push(Kept { in_use: !removed, ..kept });
    }
    Ok(all)
}

/// Throws away what no session uses, and nobody has used for long or is too large. Takes as long as looking at every file.
pub fn trim(store: &Path) {
    for folder in workspaces(store).unwrap_or_default() {
        let used = folder.join("lock").metadata().and_then(|lock| lock.modified());
        let is_old =
            used.is_ok_and(|used| SystemTime::now().duration_since(used).is_ok_and(|age| age > MAX_AGE));
        if is_old || size(&folder) > MAX_SIZE {
            // The next start tries again.
            let _ = remove_unused(&folder);
        }
    }
}

fn workspaces(store: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

fn whole(folder: &Path) -> io::Result<OwnedFd> {
    lock(folder, FlockOperation::NonBlockingLockExclusive)
}

/// Removes a workspace's folder; false when a session uses it.
fn remove_unused(folder: &Path) -> io::Result<bool> {
    match whole(folder) {
        Ok(_lock) => {
            open_up(folder);
            fs::remove_dir_all(folder).map(|()| true)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lets us into every folder below: the kernel closes its own, and tools close theirs (Go's modules).
fn open_up(folder: &Path) {
    let Ok(opened) = rustix::fs::open(
        folder,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    ) else {
        return;
    };
    let itself = format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd());
    // What stays closed is told by the removal.
    let _ = rustix::fs::chmod(&itself, Mode::RWXU);
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        open_up(&entry.path());
    }
}

/// What a folder takes on the disk, in bytes; what cannot be looked into is left out.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of = |entry: fs::DirEntry| {
        let below = if entry.file_type().is_ok_and(|kind| kind.is_dir()) { size(&entry.path()) } else { 0 };
        entry.metadata().map_or(0, |metadata| metadata.blocks() * 512) + below
    };
    entries.flatten().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ToolCache;

    fn caches(store: &Path) -> Caches {
        let places = vec!["/home/me/.cache".into(), "/home/me/.npm".into(), "/home/me/.cache".into()];
        Caches { store: store.join("%ws"), tools: vec![ToolCache { places, variables: Vec::new() }] }
    }

    #[test]
    fn every_session_has_layers_of_its_own_and_they_are_kept() {
        let store = tempfile::tempdir().unwrap();
        let caches = caches(store.path());
        let first = Claim::take(&caches).unwrap();
        let second = Claim::take(&caches).unwrap();
        assert_eq!((first.layers.len(), &first.own), (2, &second.own));
        assert_ne!(first.layers[0].upper, second.layers[0].upper);
        let upper = first.layers[0].upper.clone();
        drop(first);
        assert_eq!(Claim::take(&caches).unwrap().layers[0].upper, upper);
    }

    #[test]
    fn what_is_used_is_not_thrown_away() {
        let store = tempfile::tempdir().unwrap();
        let claim = Claim::take(&caches(store.path())).unwrap();
        // As Go's modules and the kernel's own folders are.
        let closed = claim.layers[0].upper.join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("file"), vec![1; 5000]).unwrap();
        rustix::fs::chmod(&closed, Mode::empty()).unwrap();
        assert!(list(store.path()).unwrap()[0].in_use);
        assert!(clear(store.path()).unwrap()[0].in_use && closed.exists());
        drop(claim);
        assert!(!list(store.path()).unwrap()[0].in_use);
        assert!(!clear(store.path()).unwrap()[0].in_use);
        assert_eq!(list(store.path()).unwrap(), []);
    }

    #[test]
    fn what_nobody_has_used_for_long_goes() {
        let store = tempfile::tempdir().unwrap();
        drop(Claim::take(&caches(store.path())).unwrap());
        trim(store.path());
        assert_eq!(list(store.path()).unwrap().len(), 1);
        let lock = fs::File::open(store.path().join("%ws/lock")).unwrap();
        lock.set_modified(SystemTime::now() - MAX_AGE - Duration::from_secs(1)).unwrap();
        trim(store.path());
        assert_eq!(list(store.path()).unwrap(), []);
    }

    #[test]
    fn a_link_in_a_cache_leads_nobody_out() {
        let store = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "").unwrap();
        rustix::fs::chmod(outside.path(), Mode::RUSR | Mode::XUSR).unwrap();
        let claim = Claim::take(&caches(store.path())).unwrap();
        std::os::unix::fs::symlink(outside.path(), claim.own.join("link")).unwrap();
        drop(claim);
        clear(store.path()).unwrap();
        let mode = outside.path().metadata().unwrap().mode() & 0o777;
        assert_eq!((outside.path().join("kept").exists(), mode), (true, 0o500));
    }

    #[test]
    fn every_workspace_has_a_folder_of_its_own() {
        let names = [&["/a/b"][..], &["/c/b"], &["/a/b", "/c"], &["/a/b c:,"], &["/"]]
            .map(|paths| name_of(&paths.iter().map(PathBuf::from).collect::<Vec<_>>()));
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name) && !name.contains(['/', ':', ',', '\\', ' ']), "{name}");
        }
        assert!(names[0].starts_with("b-") && name_of(&[PathBuf::from("/x".repeat(4000))]).len() < 100);
    }
}
