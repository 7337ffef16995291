//! What no rule, grant or answer gives, whoever wrote it: an administrator's bounds.

use std::path::{Path, PathBuf};

use super::given::Rights;
use super::granted::{Granted, Surroundings};
use super::host::HostPattern;
use super::place::Place;
use super::run::Run;

/// Bounds on all rights. Several files' bounds hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// The way to run with the most rights that may be given.
    pub max_run: Option<Run>,
    /// The only hosts that may be granted; `None`: any.
    pub grant_hosts: Option<Vec<HostPattern>>,
    /// The only places, with all below them, that may be granted to be read or written; `None`: any.
    pub grant_paths: Option<Vec<Place>>,
    /// Hosts that are never reached.
    pub deny_hosts: Vec<HostPattern>,
    /// Places that are never read, with all below them.
    pub deny_read: Vec<Place>,
    /// Places that are never written, with all below them.
    pub deny_write: Vec<Place>,
}

impl Caps {
    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Caps::default()
    }

    /// The most that a program may run with: what has all that the user has is held by no denial.
    pub(crate) fn most(&self) -> Run {
        let denies = !self.deny_hosts.is_empty() || !self.deny_read.is_empty() || !self.deny_write.is_empty();
        let most = if denies { Run::Outside } else { Run::Unconfined };
        self.max_run.map_or(most, |run| run.min(most))
    }

    /// The rights within the bounds that need no look at the machine.
    pub(crate) fn bound(&self, mut rights: Rights) -> Rights {
        if self.is_empty() {
            return rights;
        }
        if rights.run > self.most() {
            rights.run = self.most();
            rights.is_capped = true;
        }
        let hosts = taken(&mut rights.grants.hosts, |host| self.admits(host));
        rights.is_capped |= !hosts.is_empty();
        rights.withheld.extend(hosts.iter().map(|host| by_administrator(host)));
        rights
    }

    /// The rights within the bounds on places, which depend on the machine.
    pub(crate) fn bound_places(&self, mut rights: Rights, around: &Surroundings<'_>) -> Rights {
        if self.is_empty() {
            return rights;
        }
        let paths = |places: &[Place]| -> Vec<PathBuf> {
            places.iter().filter_map(|place| place.expand(around)).collect()
        };
        let known = self.grant_paths.as_deref().map(paths);
        let (denied_read, denied_write) = (paths(&self.deny_read), paths(&self.deny_write));
        let keeps = |place: &Place, denied: &[&[PathBuf]]| {
            place.expand(around).is_none_or(|path| {
                known.as_ref().is_none_or(|known| is_in(&path, known))
                    && !denied.iter().any(|denied| is_in(&path, denied))
            })
        };
        let grants = &mut rights.grants;
        let mut withheld = taken(&mut grants.read, |place| keeps(place, &[&denied_read]));
        withheld.extend(taken(&mut grants.write, |place| keeps(place, &[&denied_read, &denied_write])));
        withheld.extend(taken(&mut grants.sockets, |place| keeps(place, &[&denied_read])));
        // What lies in a place that is given, and is not.
        let (readable, writable) =
            (paths(&[grants.read.as_slice(), &grants.write].concat()), paths(&grants.write));
        let below =
            |place: &&Place, given: &[PathBuf]| place.expand(around).is_some_and(|path| is_in(&path, given));
        withheld
            .extend(self.deny_read.iter().filter(|place| below(place, &readable)).map(ToString::to_string));
        withheld
            .extend(self.deny_write.iter().filter(|place| below(place, &writable)).map(ToString::to_string));
        withheld.dedup();
        rights.withheld.extend(withheld.iter().map(|what| by_administrator(what)));
        rights.is_capped |= !rights.withheld.is_empty();
        rights
    }

    /// Whether a host may be granted.
    fn admits(&self, host: &HostPattern) -> bool {
        let is_granted =
            self.grant_hosts.as_ref().is_none_or(|known| known.iter().any(|known| known.holds(host)));
        is_granted && !self.deny_hosts.iter().any(|denied| denied.holds(host))
    }

    /// Why a host at a port is not reached, whatever rules, grants and answers say; `None`: it is not bounded.
    #[must_use]
    pub fn forbids_host(&self, host: &str, port: u16) -> Option<String> {
        if let Some(denied) = self.deny_hosts.iter().find(|denied| denied.fits(host, port)) {
            return Some(format!("deny_hosts of the administrator's requirements.toml names {denied}"));
        }
        let is_known =
            self.grant_hosts.as_ref().is_none_or(|known| known.iter().any(|known| known.fits(host, port)));
        let unknown = || "grant_hosts of the administrator's requirements.toml does not name it".to_owned();
        (!is_known).then(unknown)
    }

    /// Whether some hosts are never reached, so that no network can be given whole.
    #[must_use]
    pub fn bounds_hosts(&self) -> bool {
        !self.deny_hosts.is_empty() || self.grant_hosts.is_some()
    }

    /// Denies what is never given, and takes out of hosts what may not be given, and says so.
    pub(crate) fn enforce(&self, granted: &mut Granted, around: &Surroundings<'_>) {
        if self.is_empty() {
            return;
        }
        let paths = |places: &[Place]| -> Vec<PathBuf> {
            places.iter().filter_map(|place| place.expand(around)).collect()
        };
        // Those that tools are set up for; the others are bounded already.
        let hosts = taken(&mut granted.hosts, |host| self.admits(host));
        granted.left_out.extend(hosts.iter().map(|host| by_administrator(host)));
        granted.denied_read.extend(paths(&self.deny_read));
        granted.denied_write.extend(paths(&self.deny_write));
        granted.denied_hosts.extend(self.deny_hosts.iter().cloned());
    }
}

/// Takes out what is not kept, and tells what that was.
pub(crate) fn taken<T: ToString>(all: &mut Vec<T>, mut keeps: impl FnMut(&T) -> bool) -> Vec<String> {
    all.extract_if(.., |one| !keeps(one)).map(|one| one.to_string()).collect()
}

/// What is said of what an administrator's bounds take away.
fn by_administrator(what: &str) -> String {
    format!("{what}, which the administrator's requirements.toml does not let anybody give")
}

fn is_in(path: &Path, places: &[PathBuf]) -> bool {
    places.iter().any(|place| path.starts_with(place))
}
