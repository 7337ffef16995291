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
        let before = rights.grants.hosts.len();
        rights.grants.hosts.retain(|host| self.admits(host));
        rights.is_capped |= rights.grants.hosts.len() < before;
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

    /// Takes out of grants what may not be given here, and says so.
    pub(crate) fn enforce(&self, granted: &mut Granted, around: &Surroundings<'_>) {
        if self.is_empty() {
            return;
        }
        let paths = |places: &[Place]| places.iter().filter_map(|place| place.expand(around)).collect();
        let known: Option<Vec<PathBuf>> = self.grant_paths.as_deref().map(paths);
        let denied_read: Vec<PathBuf> = paths(&self.deny_read);
        let denied_write: Vec<PathBuf> = paths(&self.deny_write);
        let is_known = |path: &Path| known.as_ref().is_none_or(|known| is_in(path, known));
        let mut keep = |paths: &mut Vec<PathBuf>, denied: &[&[PathBuf]]| {
            paths.retain(|path| {
                let keeps = is_known(path) && !denied.iter().any(|denied| is_in(path, denied));
                if !keeps {
                    granted.left_out.push(format!("{}, {BY_ADMINISTRATOR}", path.display()));
                }
                keeps
            });
        };
        keep(&mut granted.read, &[&denied_read]);
        keep(&mut granted.write, &[&denied_read, &denied_write]);
        keep(&mut granted.sockets, &[&denied_read]);
        granted.hosts.retain(|host| {
            let keeps = self.admits(host);
            if !keeps {
                granted.left_out.push(format!("{host}, {BY_ADMINISTRATOR}"));
            }
            keeps
        });
        granted.denied_read.extend(denied_read);
        granted.denied_write.extend(denied_write);
        granted.denied_hosts.extend(self.deny_hosts.iter().cloned());
    }
}

/// What is said of what an administrator's bounds take away.
const BY_ADMINISTRATOR: &str = "which the administrator's requirements.toml does not let anybody give";

fn is_in(path: &Path, places: &[PathBuf]) -> bool {
    places.iter().any(|place| path.starts_with(place))
}
