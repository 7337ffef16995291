//! Which files a program and all that it starts may execute, where that is not whatever they can read.

use crate::raw_paths;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Limits of what is executed. The default limits nothing. All paths are canonical.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Execution {
    /// Places in which nothing is executed or mapped as code, whoever has made it, and where set-user-id bits and device
    /// nodes mean nothing. A session that cannot have mounts of its own does not start with one.
    #[serde(with = "raw_paths")]
    pub never_in: Vec<PathBuf>,
    /// When present, nothing is executed but these files, and files in these folders. A session without Landlock does not
    /// start with it.
    #[serde(with = "raw_paths::option")]
    pub only: Option<Vec<PathBuf>>,
    /// What is found in place of the system's shell.
    pub shell: Option<StandIn>,
}

/// A program that is found in place of another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StandIn {
    /// Where it is found.
    #[serde(with = "raw_paths::one")]
    pub place: PathBuf,
    /// What it is.
    #[serde(with = "raw_paths::one")]
    pub program: PathBuf,
}

impl Execution {
    /// Tells whether nothing is executed at a path.
    #[must_use]
    pub fn is_never_in(&self, path: &Path) -> bool {
        self.never_in.iter().any(|place| path.starts_with(place))
    }

    /// Tells whether anything is limited.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.needs_mounts() || self.only.is_some()
    }

    /// Tells whether a session that limits it needs mounts of its own.
    #[must_use]
    pub fn needs_mounts(&self) -> bool {
        !self.never_in.is_empty() || self.shell.is_some()
    }
}
