//! A Git index that gets its name: only one whose paths lie in its work tree ([`super::git_index`]), by the rename with which Git
//! replaces it, and as a copy.

use std::ffi::OsStr;
use std::io::Read;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, fstat, openat};
use rustix::io::Errno;
use sandbox::GitName;

use super::copied::{Unfinished, copy};
use super::git_config::object_name_length;
use super::git_index::is_of_a_work_tree;
use super::made::open_plain;
use super::place::LOOK;
use super::work::{Free, Outcome, Worker};

/// The longest index that is looked at, in bytes: one of two million files.
const MAX_INDEX: u64 = 256 << 20;

/// The longest configuration that is looked at, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// Where an index is written before it has its name.
const UNFINISHED: Unfinished = Unfinished("index.unfinished");

impl Worker<'_> {
    /// The rename by which something becomes an index. None where it becomes none.
    pub(super) fn index(&self, from: &Free, to: &Free, flags: RenameFlags) -> Option<Outcome> {
        let exchanges = flags.contains(RenameFlags::EXCHANGE);
        let becomes_one = self.rules.is_index(&to.path) || exchanges && self.rules.is_index(&from.path);
        if !becomes_one {
            return None;
        }
        if from.path == to.path {
            return Some(Outcome::Done);
        }
        if flags.contains(RenameFlags::NOREPLACE) && to.kind().is_some() {
            return Some(Outcome::Fails(Errno::EXIST));
        }
        let replaced = match exchanges {
            true => Ok(false),
            false => self.replace_index(from, to),
        };
        Some(match replaced {
            Ok(true) => Outcome::Done,
            Ok(false) => {
                self.is_refused(&to.path);
                Outcome::Fails(Errno::ROFS)
            }
            Err(error) => Outcome::Fails(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        })
    }

    /// Tells whether it may be one.
    fn replace_index(&self, from: &Free, to: &Free) -> std::io::Result<bool> {
        if from.kind() != Some(rustix::fs::FileType::RegularFile) {
            return Ok(false);
        }
        // Two names of one file stay both.
        let state = |free: &Free| {
            openat(&free.own, &free.name, LOOK | OFlags::NOFOLLOW, Mode::empty()).and_then(fstat)
        };
        if let (Ok(from), Ok(to)) = (state(from), state(to))
            && (from.st_dev, from.st_ino) == (to.st_dev, to.st_ino)
        {
            return Ok(true);
        }
        let Some(length) = self.object_name_length(to) else { return Ok(false) };
        let may = |index: &[u8]| Ok(is_of_a_work_tree(index, length));
        Ok(copy((from, MAX_INDEX), (to, UNFINISHED), may)?.is_some())
    }

    /// How long names of objects are in the repository of an index, as its configuration says.
    fn object_name_length(&self, index: &Free) -> Option<usize> {
        let config = OsStr::new("config");
        let folder = index.path.parent()?;
        let file = match self.rules.git_name(folder) {
            Some((repository, GitName::WorkTree(_))) => {
                open_plain(&openat(CWD, repository, LOOK | OFlags::NOFOLLOW, Mode::empty()).ok()?, config)
            }
            Some(_) | None => open_plain(&index.own, config),
        };
        let mut text = Vec::new();
        match file {
            Ok(file) => file.take(MAX_CONFIG).read_to_end(&mut text).ok()?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(_) => return None,
        };
        object_name_length(&text)
    }
}
