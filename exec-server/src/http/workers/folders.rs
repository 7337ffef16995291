//! Where the things of principals are that have users of their own. Whose a folder is says which user a principal has: there is
//! no other record of it.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::uids::UidRange;
use crate::http::principal::Identity;

/// The folder for what no command reads, beside the workspaces.
const HOMES: &str = ".principals";

/// Others may go through, and list nothing.
const PASSABLE: u32 = 0o711;

/// Folders for principals, below one that is the administrator's alone.
#[derive(Debug)]
pub(super) struct Folders {
    workspaces: PathBuf,
    homes: PathBuf,
    /// For sessions, if servers share one.
    sessions: Option<PathBuf>,
    /// What nobody knows of the names of workspaces.
    secret: String,
    uids: UidRange,
}

/// One principal's.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) uid: u32,
    pub(super) home: PathBuf,
    pub(super) own: PathBuf,
    pub(super) sessions: PathBuf,
}

/// Why there is no place for somebody.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A folder cannot be used.
    #[error("cannot use {}", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Somebody else than the administrator could exchange what is in it.
    #[error(
        "{} must be a folder of root's that nobody else may write (chown root: and chmod go-w): principals' folders in it are told apart by their owners", .0.display()
    )]
    NotOurs(PathBuf),
    /// The users of principals could not come to what is theirs.
    #[error("principals' users cannot go through {} to their folders in it: chmod a+x it, or give another folder", .0.display())]
    NotPassable(PathBuf),
    /// It was made for somebody else, or before there were users.
    #[error(
        "{} belongs to user {uid}, not to {wanted}: chown -R {wanted}:{wanted} it, if it is that principal's", path.display()
    )]
    OthersFolder {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Whose it should be.
        wanted: u32,
    },
    /// It was made before there were users, or for one of another range.
    #[error(
        "{} belongs to user {uid}, who is none of --tenant-uids: give it with all that is in it to one of them who has no folder yet (chown -R), and the workspace of that name, too", path.display()
    )]
    OfNoTenant {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// There are more principals than numbers.
    #[error("every user of --tenant-uids is somebody's already")]
    NoneFree,
}

impl Folders {
    /// Below these, which are made if they are not there, and must be the administrator's alone.
    pub(super) fn new(
        workspaces: PathBuf,
        sessions: Option<PathBuf>,
        secret: String,
        uids: UidRange,
    ) -> Result<Folders, PlaceError> {
        shared(&workspaces)?;
        let failed = |source| PlaceError::Folder { path: workspaces.clone(), source };
        let workspaces = workspaces.canonicalize().map_err(failed)?;
        let homes = workspaces.join(HOMES);
        for folder in std::iter::once(&homes).chain(&sessions) {
            shared(folder)?;
        }
        Ok(Folders { workspaces, homes, sessions, secret, uids })
    }

    /// Somebody's. Whoever has none yet gets the first user that has no folder.
    pub(super) fn of(&self, identity: &Identity) -> Result<Place, PlaceError> {
        let name = identity.folder_name(&self.secret);
        let (home, own) = (self.homes.join(&name), self.workspaces.join(&name));
        let uid = self.owned_home(&home)?;
        owned(&own, uid)?;
        let sessions = match &self.sessions {
            Some(shared) => {
                // Servers that share it have secrets of their own.
                let sessions = shared.join(identity.folder_name(""));
                owned(&sessions, uid)?;
                sessions
            }
            None => home.join("sessions"),
        };
        Ok(Place { uid, home, own, sessions })
    }

    /// Makes sure that somebody's home is there, and tells whose it is. Servers that share the folder take turns.
    fn owned_home(&self, home: &Path) -> Result<u32, PlaceError> {
        let failed = |source| PlaceError::Folder { path: self.homes.clone(), source };
        let lock = File::open(&self.homes).map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        match home.symlink_metadata() {
            Ok(there) if there.is_dir() && self.uids.contains(there.uid()) => return Ok(there.uid()),
            Ok(there) => return Err(PlaceError::OfNoTenant { path: home.to_owned(), uid: there.uid() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(PlaceError::Folder { path: home.to_owned(), source }),
        }
        let mut taken = BTreeSet::new();
        // A workspace whose home is gone still has an owner.
        for folder in [&self.homes, &self.workspaces] {
            let owners = fs::read_dir(folder).map_err(failed)?;
            let owners = owners.map(|entry| entry?.path().symlink_metadata().map(|found| found.uid()));
            taken.extend(owners.collect::<io::Result<Vec<u32>>>().map_err(failed)?);
        }
        let uid = self.uids.free(&taken).ok_or(PlaceError::NoneFree)?;
        owned(home, uid)?;
        Ok(uid)
    }
}

/// A temporary folder of some user's, in one that he can go through. It is removed when it is dropped.
pub(super) fn temporary(folders: &Folders, uid: u32) -> Result<tempfile::TempDir, PlaceError> {
    let failed = |source| PlaceError::Folder { path: folders.workspaces.clone(), source };
    let made = tempfile::Builder::new().prefix(".trial-").tempdir_in(&folders.workspaces).map_err(failed)?;
    lchown(made.path(), Some(uid), Some(uid)).map_err(failed)?;
    Ok(made)
}

/// Makes sure that a folder is there in which others have theirs.
fn shared(path: &Path) -> Result<(), PlaceError> {
    let failed = |source| PlaceError::Folder { path: path.to_owned(), source };
    if !path.exists() {
        DirBuilder::new().recursive(true).mode(PASSABLE).create(path).map_err(failed)?;
        // Whatever the mask.
        fs::set_permissions(path, Permissions::from_mode(PASSABLE)).map_err(failed)?;
    }
    let found = path.symlink_metadata().map_err(failed)?;
    if !found.is_dir() || found.uid() != 0 || found.mode() & 0o022 != 0 {
        return Err(PlaceError::NotOurs(path.to_owned()));
    }
    for folder in path.ancestors() {
        let found = folder.metadata().map_err(failed)?;
        // In a sticky folder nobody renames what is not his.
        if found.uid() != 0 || found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0 {
            return Err(PlaceError::NotOurs(folder.to_owned()));
        }
        if found.mode() & 0o001 == 0 {
            return Err(PlaceError::NotPassable(folder.to_owned()));
        }
    }
    Ok(())
}

/// Makes sure that a folder is there, this user's, and closed to others.
fn owned(path: &Path, uid: u32) -> Result<(), PlaceError> {
    let failed = |source| PlaceError::Folder { path: path.to_owned(), source };
    if path.symlink_metadata().is_err() {
        // It has its name when it is his.
        let new = path.with_extension("new");
        let _ = fs::remove_dir(&new);
        DirBuilder::new().mode(0o700).create(&new).map_err(failed)?;
        lchown(&new, Some(uid), Some(uid)).map_err(failed)?;
        fs::rename(&new, path).map_err(failed)?;
    }
    let found = path.symlink_metadata().map_err(failed)?;
    if found.uid() == uid && found.is_dir() {
        return Ok(());
    }
    Err(PlaceError::OthersFolder { path: path.to_owned(), uid: found.uid(), wanted: uid })
}
