//! Grants on one machine, for one program: paths instead of what stands for them.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::caps::taken;
use super::given::Rights;
use super::grants::Grants;
use super::host::HostPattern;
use super::place::Place;
use super::tool::Tool;

/// What the names in grants stand for.
pub struct Surroundings<'a> {
    /// A variable of the server's own environment, never the command's.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The user's home (`~`).
    pub home: Option<&'a Path>,
    /// The Git directory that the working directory belongs to (`$REPO`), found without obeying its configuration.
    pub repository: Option<&'a Path>,
    /// The hosts that the configuration of a tool names, as the user has it outside, never the project's own files.
    pub configured: &'a dyn Fn(Tool) -> Vec<HostPattern>,
}

/// Grants whose places are paths, to be enforced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Granted {
    /// What may be read, with all below it.
    pub read: Vec<PathBuf>,
    /// What may be read and written, with all below it; made when missing.
    pub write: Vec<PathBuf>,
    /// What may be reached over the network.
    pub hosts: Vec<HostPattern>,
    /// Sockets that it may connect to.
    pub sockets: Vec<PathBuf>,
    /// Devices that it may use, as `/dev/NAME`, where `*` stands for any text in a name.
    pub devices: Vec<String>,
    /// Variables that it gets as the command has set them; `*` at the end stands for any text.
    pub env: Vec<String>,
    /// Protected names that it may write, as `.git/config`.
    pub protected: Vec<String>,
    /// Programs that a confined one may execute, by name or full path.
    pub may_run: Vec<String>,
    /// Whether it gets the command's terminal.
    pub tty: bool,
    /// Whether it gets the command's standard input.
    pub stdin: bool,
    /// What is never read, with all below it, whatever is granted or the user may do.
    pub denied_read: Vec<PathBuf>,
    /// The same for writing.
    pub denied_write: Vec<PathBuf>,
    /// Hosts that are never reached.
    pub denied_hosts: Vec<HostPattern>,
    /// What was granted and is not given here, with the reason, each a phrase for people.
    pub left_out: Vec<String>,
}

impl Rights {
    /// The grants where this is around: what begins with a variable that is not set gives nothing, and is told.
    #[must_use]
    pub fn granted(&self, around: &Surroundings<'_>) -> Granted {
        let bounded = self.bounded(around);
        let mut granted = bounded.grants.expand(around);
        granted.left_out.extend(bounded.withheld);
        self.caps.enforce(&mut granted, around);
        granted
    }

    /// The rights without what an administrator's bounds take away on this machine, which is told.
    pub fn bounded(&self, around: &Surroundings<'_>) -> Rights {
        self.caps.bound_places(self.clone(), around)
    }

    /// The same without places to be read or written that `leads_elsewhere` says of, which is told.
    pub fn without(
        mut self,
        around: &Surroundings<'_>,
        leads_elsewhere: impl Fn(&Path) -> bool,
        why: &str,
    ) -> Rights {
        // Where the repository is has been found out by a look at it.
        let keeps = |place: &Place| {
            place.as_str().starts_with(Place::REPOSITORY)
                || place.expand(around).is_none_or(|path| !leads_elsewhere(&path))
        };
        let mut taken_out = taken(&mut self.grants.read, keeps);
        taken_out.extend(taken(&mut self.grants.write, keeps));
        self.withheld.extend(taken_out.iter().map(|place| format!("{place}, {why}")));
        self
    }
}

impl Grants {
    fn expand(&self, around: &Surroundings<'_>) -> Granted {
        let mut left_out = Vec::new();
        let mut paths = |places: &[Place]| {
            let mut expanded = Vec::new();
            for place in places {
                match place.expand(around) {
                    Some(path) if !expanded.contains(&path) => expanded.push(path),
                    Some(_) => {}
                    None => left_out.push(format!("{place}, which stands for no path here")),
                }
            }
            expanded
        };
        let (read, write, sockets) = (paths(&self.read), paths(&self.write), paths(&self.sockets));
        let may_run = self.may_run.iter().filter_map(|program| match Place::parse(program) {
            Ok(place) => paths(&[place]).pop().map(|path| path.to_string_lossy().into_owned()),
            Err(_) => Some(program.clone()),
        });
        let may_run = may_run.collect();
        let mut hosts = self.hosts.clone();
        hosts.extend(self.configured_hosts.iter().flat_map(|tool| (around.configured)(*tool)));
        let mut seen = HashSet::new();
        hosts.retain(|host| seen.insert(host.clone()));
        Granted {
            read,
            write,
            sockets,
            hosts,
            devices: self.devices.clone(),
            env: self.env.clone(),
            protected: self.protected.clone(),
            may_run,
            tty: self.tty,
            stdin: self.stdin,
            denied_read: Vec::new(),
            denied_write: Vec::new(),
            denied_hosts: Vec::new(),
            left_out,
        }
    }
}
