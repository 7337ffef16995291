//! What will be enforced: absolute, canonical, complete. `resolve` makes it, a session enforces it.
//!
//! A plan travels from the server to a session's guard as JSON. It contains decisions only; nothing looks at the file
//! system or the environment again to decide anything.

use crate::policy::{Mode, Network};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that a session enforces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Plan {
    /// The mode asked for.
    pub mode: Mode,
    /// Whether the host's network is reachable.
    pub network: Network,
    /// Folders (or files) that can be written; canonical, none inside another unless both were asked for.
    pub writable: Vec<PathBuf>,
    /// Existing places inside writable ones that stay read-only.
    pub read_only: Vec<PathBuf>,
    /// Names inside writable folders that must not come into being.
    pub reserved: Vec<Reserved>,
    /// Existing files, folders and sockets that cannot be read or reached.
    pub hidden: Vec<PathBuf>,
    /// When present, nothing else can be read.
    pub only_readable: Option<Vec<PathBuf>>,
    /// What one session may use up.
    pub limits: Limits,
    /// Which kinds of enforcement may be used.
    pub layers: Layers,
    /// What was decided on the way and a user may want to know, one sentence each.
    pub notes: Vec<String>,
}

/// A name that does not exist and must not be made from inside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reserved {
    /// The absolute path.
    pub path: PathBuf,
    /// Whether a folder stands in for it while the session lives, or an empty file.
    pub stand_in: StandIn,
}

/// What holds a reserved name while a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StandIn {
    /// An empty folder: invisible to Git, so that `git add -A` does not take it.
    Folder,
    /// An empty file, for files that programs read at their start.
    File,
}

/// What one session may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads of all calls of the session together.
    pub processes: u32,
    /// Open files of one process.
    pub open_files: u64,
}

impl Default for Limits {
    /// Enough for `make -j` on a large machine and for Node, Go and Java programs with many threads; a fork bomb stops
    /// at it within a second and leaves the machine usable.
    fn default() -> Self {
        Limits { processes: 4096, open_files: 16_384 }
    }
}

/// Which kinds of enforcement may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Layers {
    /// Namespaces and Landlock where the kernel has them; at least one.
    #[default]
    Best,
    /// Namespaces or nothing.
    RequireNamespaces,
    /// As if namespaces were forbidden: for tests, and for programs that cannot live in them.
    WithoutNamespaces,
    /// As if the kernel had no Landlock: for tests.
    WithoutLandlock,
}

impl Plan {
    /// Returns a plan of a mode that enforces nothing.
    #[must_use]
    pub fn unenforced(mode: Mode, network: Network) -> Self {
        Plan {
            mode,
            network,
            writable: vec![PathBuf::from("/")],
            read_only: Vec::new(),
            reserved: Vec::new(),
            hidden: Vec::new(),
            only_readable: None,
            limits: Limits::default(),
            layers: Layers::Best,
            notes: Vec::new(),
        }
    }
}
