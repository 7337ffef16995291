//! Holds reserved names (`.git/hooks`, `.mcp.json`, …) while a session lives, so that there is something to mount over.
//!
//! The kernel can only protect a name that exists. The guard makes what is missing, outside and with the user's own
//! rights, remembers exactly what it made, and takes it away when the session ends, however the server ended. Only what is
//! still empty and still the same file is removed.

use crate::plan::{Reserved, StandIn};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What was made, and is removed when this is dropped.
pub(super) struct StandIns(Vec<Made>);

struct Made {
    path: PathBuf,
    device: u64,
    inode: u64,
    stand_in: StandIn,
}

/// Says which name could not be held.
#[derive(Debug, thiserror::Error)]
#[error("could not hold the protected name {path}: {source}")]
pub(super) struct StandInError {
    path: PathBuf,
    source: io::Error,
}

impl StandIns {
    /// Makes a stand-in for every name that does not exist. A folder that we may not write needs none: commands, running as
    /// the same user, could not make the name either; those names are left out of what is protected.
    pub(super) fn make(reserved: &[Reserved]) -> Result<Self, StandInError> {
        let mut made = StandIns(Vec::new());
        for name in reserved {
            let wrong = |source| StandInError { path: name.path.clone(), source };
            match make(name) {
                Ok(()) => made.0.push(identify(name).map_err(wrong)?),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                    ) => {}
                Err(error) => return Err(wrong(error)),
            }
        }
        Ok(made)
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        // Children before their parents.
        for made in self.0.iter().rev() {
            if !is_unchanged(made) {
                continue;
            }
            // One that was filled meanwhile by someone outside belongs to them: `remove_dir` refuses it, and a file was
            // looked at above.
            let _ = match made.stand_in {
                StandIn::Folder => fs::remove_dir(&made.path),
                StandIn::File | StandIn::FileHoldingDot => fs::remove_file(&made.path),
            };
        }
    }
}

fn make(name: &Reserved) -> io::Result<()> {
    match name.stand_in {
        StandIn::Folder => fs::DirBuilder::new().mode(0o755).create(&name.path),
        StandIn::File | StandIn::FileHoldingDot => {
            let mut file =
                fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&name.path)?;
            file.write_all(text_of(name.stand_in))
        }
    }
}

fn text_of(stand_in: StandIn) -> &'static [u8] {
    match stand_in {
        StandIn::Folder | StandIn::File => b"",
        StandIn::FileHoldingDot => b".\n",
    }
}

fn identify(name: &Reserved) -> io::Result<Made> {
    let metadata = fs::symlink_metadata(&name.path)?;
    Ok(Made {
        path: name.path.clone(),
        device: metadata.dev(),
        inode: metadata.ino(),
        stand_in: name.stand_in,
    })
}

fn is_unchanged(made: &Made) -> bool {
    fs::symlink_metadata(Path::new(&made.path)).is_ok_and(|metadata| {
        let same = metadata.dev() == made.device && metadata.ino() == made.inode;
        let text = text_of(made.stand_in);
        let as_long = usize::try_from(metadata.len()).is_ok_and(|length| length == text.len());
        same && (metadata.is_dir() || (as_long && fs::read(&made.path).is_ok_and(|found| found == text)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_goes_and_what_others_made_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("theirs")).unwrap();
        let reserved = [
            Reserved { path: at("theirs"), stand_in: StandIn::Folder },
            Reserved { path: at("ours"), stand_in: StandIn::Folder },
            Reserved { path: at("ours/below"), stand_in: StandIn::File },
            Reserved { path: at("filled"), stand_in: StandIn::File },
        ];
        let made = StandIns::make(&reserved).unwrap();
        assert!(at("ours/below").is_file());
        fs::write(at("filled"), "text").unwrap();
        drop(made);
        assert!(at("theirs").is_dir() && at("filled").is_file() && !at("ours").exists());
    }
}
