//! What will be enforced: absolute, canonical, complete. `resolve` makes it, a session enforces it.
//!
//! A plan travels from the server to a session's guard as JSON. It contains decisions only; nothing looks at the file
//! system or the environment again to decide anything.

use crate::execution::Execution;
use crate::gateway::ByName;
use crate::policy::{Mode, Network};
use crate::raw_paths;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything that a session enforces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Plan {
    /// The mode asked for.
    pub mode: Mode,
    /// Whether the host's network is reachable.
    pub network: Network,
    /// Whether and how hosts are reached by name, through whoever has the session's gateway ([`crate::Session::take_gateway`]).
    pub by_name: Option<ByName>,
    /// Folders (or files) that can be written; canonical, none inside another unless both were asked for.
    #[serde(with = "raw_paths")]
    pub writable: Vec<PathBuf>,
    /// Existing places inside writable ones that stay read-only.
    #[serde(with = "raw_paths")]
    pub read_only: Vec<PathBuf>,
    /// Protected names inside writable folders that the user lets commands write.
    #[serde(with = "raw_paths")]
    pub opened: Vec<PathBuf>,
    /// Names inside writable folders that must not come into being.
    pub reserved: Vec<Reserved>,
    /// Folders in which programs outside look for each other's sockets by name: held where they are missing.
    pub socket_folders: Vec<Reserved>,
    /// Git directories inside writable folders, and those that would be ones if they were made.
    #[serde(with = "raw_paths")]
    pub repositories: Vec<PathBuf>,
    /// Existing files, folders and sockets that cannot be read or reached.
    #[serde(with = "raw_paths")]
    pub hidden: Vec<PathBuf>,
    /// Existing sockets outside that may be reached: listened on, usually hidden, and taken out.
    #[serde(with = "raw_paths")]
    pub sockets: Vec<PathBuf>,
    /// Existing devices (or folders of them) that may be used, beside those that every command has.
    #[serde(with = "raw_paths")]
    pub devices: Vec<PathBuf>,
    /// Existing files that look empty: tools that read them at every start would fail if they were hidden.
    #[serde(with = "raw_paths")]
    pub emptied: Vec<PathBuf>,
    /// When present, nothing else can be read.
    #[serde(with = "raw_paths::option")]
    pub only_readable: Option<Vec<PathBuf>>,
    /// Where there are mounts, what cannot be read is not there either: nobody looks at its names, or watches it.
    pub bare: bool,
    /// Whoever starts programs here answers for the names that they make ([`crate::Session::names`]), so that nothing has to
    /// stand for a protected name that is missing; where that cannot be, placeholders do.
    pub brokered: bool,
    /// Which files are executed.
    pub execution: Execution,
    /// Where build tools may keep what they fetch, if anywhere.
    pub caches: Option<Caches>,
    /// What one session may use up.
    pub limits: Limits,
    /// Which kinds of enforcement may be used.
    pub layers: Layers,
    /// Processes of the session may trace each other, as debuggers do.
    pub debug: bool,
    /// What was decided on the way and a user may want to know, one sentence each.
    pub notes: Vec<String>,
}

/// A name that does not exist and must not be made from inside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reserved {
    /// The absolute path.
    #[serde(with = "raw_paths::one")]
    pub path: PathBuf,
    /// Whether a folder stands in for it while the session lives, or an empty file.
    pub placeholder: Placeholder,
}

/// Caches of build tools that commands may fill, while nothing of it comes into the user's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Caches {
    /// The folder for this workspace: layers over the user's caches, of which commands see nothing, and [`Caches::own`].
    #[serde(with = "raw_paths::one")]
    pub store: PathBuf,
    /// What each tool needs.
    pub tools: Vec<ToolCache>,
}

/// The caches of one tool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ToolCache {
    /// The user's existing ones: shown with a layer on top that takes what is written.
    #[serde(with = "raw_paths")]
    pub places: Vec<PathBuf>,
    /// Variables that lead the tool elsewhere, where none of them is shown so.
    pub variables: Vec<(String, String)>,
}

impl Caches {
    /// The folder that commands may write as it is.
    #[must_use]
    pub fn own(&self) -> PathBuf {
        self.store.join("own")
    }

    /// Every place that gets a layer.
    pub fn places(&self) -> impl Iterator<Item = &PathBuf> {
        self.tools.iter().flat_map(|tool| &tool.places)
    }
}

/// What holds a reserved name while a session lives. It must mean the same as nothing to whoever reads it outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Placeholder {
    /// An empty folder: invisible to Git, so that `git add -A` does not take it.
    Folder,
    /// An empty folder with this mode, in which somebody outside may put a socket.
    SocketFolder(u32),
    /// A file holding this text, often none.
    FileHolding(String),
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
            by_name: None,
            writable: vec![PathBuf::from("/")],
            read_only: Vec::new(),
            opened: Vec::new(),
            reserved: Vec::new(),
            socket_folders: Vec::new(),
            repositories: Vec::new(),
            hidden: Vec::new(),
            sockets: Vec::new(),
            devices: Vec::new(),
            emptied: Vec::new(),
            only_readable: None,
            bare: false,
            brokered: false,
            execution: Execution::default(),
            caches: None,
            limits: Limits::default(),
            layers: Layers::Best,
            debug: false,
            notes: Vec::new(),
        }
    }

    /// Returns the plan as it is in force where nothing protects places inside writable roots.
    #[must_use]
    pub fn without_protected_places(self) -> Self {
        Plan {
            read_only: Vec::new(),
            reserved: Vec::new(),
            socket_folders: Vec::new(),
            repositories: Vec::new(),
            ..self
        }
    }

    /// Tells whether a path lies inside a protected place of a writable root.
    #[must_use]
    pub fn is_protected(&self, path: &Path) -> bool {
        self.read_only
            .iter()
            .chain(self.reserved.iter().chain(&self.socket_folders).map(|reserved| &reserved.path))
            .any(|place| path.starts_with(place))
    }

    /// Tells whether the plan lets commands write at a path: the innermost of its writable and protected places decides.
    #[must_use]
    pub fn may_write(&self, path: &Path) -> bool {
        let depth_of = |place: &PathBuf| path.starts_with(place).then(|| place.components().count());
        let own = self.caches.as_ref().map(Caches::own);
        let cached = self.caches.iter().flat_map(Caches::places).chain(&own);
        let writable = self.writable.iter().chain(cached).filter_map(depth_of).max();
        let reserved = self.reserved.iter().chain(&self.socket_folders).map(|reserved| &reserved.path);
        // With a broker, a Git directory that is missing can be made.
        let is_made = |path: &&PathBuf| self.brokered && self.repositories.contains(path);
        let reserved = reserved.filter(|path| !is_made(path));
        let protected = self.read_only.iter().chain(reserved).filter_map(depth_of).max();
        match (writable, protected) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(writable), Some(protected)) => writable > protected,
        }
    }

    /// Returns the plan that allows only what both allow: what a client's state may do where it is not trusted to widen.
    #[must_use]
    pub fn narrowed_by(&self, other: &Plan) -> Plan {
        if !other.mode.is_enforced() {
            return self.clone();
        }
        if !self.mode.is_enforced() {
            return Plan {
                by_name: self.by_name.clone(),
                brokered: self.brokered,
                execution: self.execution.clone(),
                limits: self.limits,
                layers: self.layers,
                debug: self.debug,
                ..other.clone()
            };
        }
        let mut writable: Vec<PathBuf> = Vec::new();
        for (one, another) in
            self.writable.iter().flat_map(|one| other.writable.iter().map(move |another| (one, another)))
        {
            let inner = if one.starts_with(another) { one } else { another };
            if (one.starts_with(another) || another.starts_with(one)) && !writable.contains(inner) {
                writable.push(inner.clone());
            }
        }
        let only_readable = match (&self.only_readable, &other.only_readable) {
            (Some(one), Some(another)) => Some(common(one, another)),
            (Some(only), None) | (None, Some(only)) => Some(only.clone()),
            (None, None) => None,
        };
        Plan {
            mode: if writable.is_empty() { Mode::ReadOnly } else { Mode::WorkspaceWrite },
            network: (self.network.is_enabled() && other.network.is_enabled()).into(),
            by_name: self.by_name.clone(),
            writable,
            read_only: union(&self.read_only, &other.read_only),
            opened: self.opened.iter().filter(|path| other.opened.contains(path)).cloned().collect(),
            reserved: union(&self.reserved, &other.reserved),
            socket_folders: union(&self.socket_folders, &other.socket_folders),
            hidden: union(&self.hidden, &other.hidden),
            sockets: self.sockets.iter().filter(|path| other.sockets.contains(path)).cloned().collect(),
            repositories: union(&self.repositories, &other.repositories),
            devices: self.devices.iter().filter(|path| other.devices.contains(path)).cloned().collect(),
            emptied: union(&self.emptied, &other.emptied),
            only_readable,
            bare: self.bare || other.bare,
            brokered: self.brokered,
            execution: self.execution.clone(),
            caches: self.caches.clone().filter(|_| other.caches.is_some()),
            limits: self.limits,
            layers: self.layers,
            debug: self.debug,
            notes: union(&self.notes, &other.notes),
        }
    }
}

fn union<T: Clone + PartialEq>(one: &[T], another: &[T]) -> Vec<T> {
    let mut all = one.to_vec();
    all.extend(another.iter().filter(|item| !one.contains(item)).cloned());
    all
}

/// Returns what lies in both lists of hierarchies.
fn common(one: &[PathBuf], another: &[PathBuf]) -> Vec<PathBuf> {
    let inside = |path: &&PathBuf, of: &[PathBuf]| of.iter().any(|root| path.starts_with(root));
    let first: Vec<PathBuf> = one.iter().filter(|path| inside(path, another)).cloned().collect();
    let second: Vec<PathBuf> = another.iter().filter(|path| inside(path, one)).cloned().collect();
    union(&first, &second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(mode: Mode, network: bool, writable: &[&str]) -> Plan {
        let mut plan = Plan::unenforced(mode, network.into());
        plan.writable = writable.iter().map(PathBuf::from).collect();
        plan
    }

    #[test]
    fn narrowing_keeps_what_both_allow() {
        let own = plan(Mode::WorkspaceWrite, true, &["/ws", "/tmp"]);
        let wider = plan(Mode::WorkspaceWrite, true, &["/", "/ws"]);
        assert_eq!(own.narrowed_by(&wider).writable, own.writable);
        let inner = plan(Mode::WorkspaceWrite, false, &["/ws/part", "/other"]);
        let narrowed = own.narrowed_by(&inner);
        assert_eq!((narrowed.writable, narrowed.network.is_enabled()), (vec!["/ws/part".into()], false));
        assert_eq!(own.narrowed_by(&plan(Mode::ReadOnly, false, &[])).mode, Mode::ReadOnly);
        assert_eq!(own.narrowed_by(&plan(Mode::DangerFullAccess, true, &["/"])), own);
        let free = plan(Mode::DangerFullAccess, true, &["/"]);
        assert_eq!(free.narrowed_by(&own).writable, own.writable);
    }

    #[test]
    fn the_innermost_place_decides_about_writing() {
        let mut plan = plan(Mode::WorkspaceWrite, false, &["/ws", "/ws/.git/hooks/mine"]);
        plan.read_only = vec!["/ws/.git/hooks".into()];
        for (path, may) in [
            ("/ws/a", true),
            ("/ws/.git/hooks/a", false),
            ("/ws/.git/hooks/mine/a", true),
            ("/etc/a", false),
            ("/wsx", false),
        ] {
            assert_eq!(plan.may_write(Path::new(path)), may, "{path}");
        }
    }

    #[test]
    fn where_nothing_protects_places_they_count_as_writable() {
        let mut plan = plan(Mode::WorkspaceWrite, false, &["/ws"]);
        plan.read_only = vec!["/ws/.git/config".into()];
        assert!(!plan.may_write(Path::new("/ws/.git/config")));
        let in_force = plan.without_protected_places();
        assert!(in_force.may_write(Path::new("/ws/.git/config")) && !in_force.may_write(Path::new("/etc/x")));
    }

    #[test]
    fn a_plan_survives_the_way_to_the_guard() {
        use std::os::unix::ffi::OsStringExt;
        let mut plan = plan(Mode::WorkspaceWrite, false, &["/ws"]);
        let odd = PathBuf::from(std::ffi::OsString::from_vec(vec![b'/', 0xff]));
        plan.only_readable = Some(vec![odd.clone()]);
        plan.reserved =
            vec![Reserved { path: odd.clone(), placeholder: Placeholder::FileHolding(String::new()) }];
        plan.hidden = vec![odd];
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
