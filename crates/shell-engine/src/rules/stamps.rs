//! What rule files look like, so that a change is seen without reading them.
//!
//! Asks for metadata only, which takes microseconds; nothing watches and nothing runs in the background.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::sources::{RuleSource, rule_files};

/// What all files looked like at one moment; two are equal when nothing was changed between them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamps(Vec<Stamp>);

/// What tells one state of a file from another.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    file: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
    /// Device, inode and time of the last change of the inode: an editor that keeps length and time of a file
    /// still changes these.
    identity: (u64, u64, i64, i64),
}

impl Stamps {
    /// Looks at the files of all sources.
    pub(super) fn of(sources: &[RuleSource]) -> Stamps {
        let mut stamps = Vec::new();
        for source in sources {
            match source.folder() {
                Some(folder) => stamp_folder(folder, &mut stamps),
                None => stamps.push(stamp(source.path())),
            }
        }
        Stamps(stamps)
    }
}

/// The folder itself too, so that one that appears, goes or turns into a file is a change.
fn stamp_folder(folder: &Path, stamps: &mut Vec<Stamp>) {
    let readable = rule_files(folder);
    let length = u64::from(readable.is_ok());
    stamps.push(Stamp { file: folder.to_owned(), length, modified: None, identity: (0, 0, 0, 0) });
    stamps.extend(readable.unwrap_or_default().iter().map(|file| stamp(file)));
}

fn stamp(file: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(file).ok();
    let metadata = metadata.as_ref();
    Stamp {
        file: file.to_owned(),
        length: metadata.map_or(u64::MAX, fs::Metadata::len),
        modified: metadata.and_then(|metadata| metadata.modified().ok()),
        identity: metadata.map_or((0, 0, 0, 0), |metadata| {
            (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
        }),
    }
}
