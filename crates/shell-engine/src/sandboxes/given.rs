//! The sandbox of a program that a rule gives other rights than commands have: which plan holds it.
//!
//! What commands may write counts for all of these: they write there, too, but nothing that lies there is executed by a
//! program that has more rights than commands.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use execpolicy::Run;
use execpolicy::rights::{Granted, HostPattern};
use sandbox::resolve::ResolveError;
use sandbox::{Execution, Mode, Network, Plan, StandIn};

use crate::config::{Sandboxing, Wanted};

/// Memory that programs share, in which anybody can put files.
const SHARED_MEMORY: &str = "/dev/shm";

/// What the system's shell is found as.
const SHELL: &str = "/bin/sh";

/// Rights that a program has in a sandbox of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Given {
    /// How it runs: not with everything that the user has.
    pub(crate) run: Run,
    /// What it is granted.
    pub(crate) granted: Granted,
    /// All that is executed where it is confined: files, and folders of them.
    pub(crate) executes: Vec<PathBuf>,
    /// What it finds in place of the system's shell then.
    pub(crate) shell: Option<PathBuf>,
}

impl Given {
    /// What is enforced. `commands` are the plans of all commands that there are.
    pub(super) fn plan(
        &self,
        sandboxing: &Sandboxing,
        wanted: &Wanted,
        commands: &[Arc<Plan>],
    ) -> Result<Plan, ResolveError> {
        // One host cannot be kept from a network that is given whole.
        let may_be_whole = self.granted.denied_hosts.is_empty();
        let is_whole = may_be_whole && self.granted.hosts.iter().any(HostPattern::is_whole_network);
        match self.run {
            Run::Inside => {
                let plan = sandboxing.plan_with(wanted, &self.granted)?;
                Ok(if is_whole { Plan { network: Network::Enabled, by_name: None, ..plan } } else { plan })
            }
            Run::Confined => {
                let plan = sandboxing.plan_with(wanted, &self.granted)?;
                let mut never_in = written_by(commands);
                never_in.extend(plan.writable.iter().cloned());
                let shell = self.shell.clone().and_then(|program| {
                    let place = Path::new(SHELL).canonicalize().ok()?;
                    Some(StandIn { place, program })
                });
                let execution = Execution {
                    never_in: in_order(never_in),
                    only: Some(in_order(self.executes.clone())),
                    shell,
                };
                let by_name = plan.by_name.or_else(|| Some(wanted.reachable(&self.granted.hosts)));
                let by_name = by_name.filter(|_| !is_whole && !self.granted.hosts.is_empty());
                Ok(Plan { network: is_whole.into(), by_name, execution, caches: None, debug: false, ..plan })
            }
            Run::Outside | Run::Unconfined => {
                let mut never_in = written_by(commands);
                never_in.push(SHARED_MEMORY.into());
                never_in.retain(|place| place.exists());
                let execution = Execution { never_in: in_order(never_in), ..Execution::default() };
                // What is not its own to read: a program that shows files is told by a command which.
                let Plan { mut hidden, emptied, .. } = sandboxing.plan_with(wanted, &self.granted)?;
                let is_at_home = |place: &Path| sandboxing.home().is_some_and(|home| place.starts_with(home));
                let denied = real(&self.granted.denied_read);
                let is_denied = |place: &Path| denied.iter().any(|denied| place.starts_with(denied));
                hidden.retain(|place| is_denied(place) || is_secret(place, is_at_home(place)));
                // Nor is it for any program to change what decides about commands.
                let (deciding, reserved) = sandboxing.deciding();
                let read_only = in_order([real(&self.granted.denied_write), real(&deciding)].concat());
                Ok(Plan {
                    execution,
                    hidden,
                    emptied,
                    read_only,
                    reserved,
                    ..Plan::unenforced(Mode::DangerFullAccess, may_be_whole.into())
                })
            }
        }
    }
}

/// Whether a place that is hidden from commands holds secrets; others are ways to programs outside, which what runs there
/// may go.
fn is_secret(place: &Path, is_at_home: bool) -> bool {
    const SECRETS: [&str; 2] = ["/run/secrets", "/run/credentials"];
    const OTHERS: [&str; 5] = ["/run", "/tmp", "/proc", "/sys", "/mnt"];
    let is_socket = place.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
    let is_in = |places: &[&str]| places.iter().any(|other| place.starts_with(other));
    !is_socket && (is_at_home || is_in(&SECRETS) || !is_in(&OTHERS))
}

/// Those that exist, as mounts know them.
fn real(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().filter_map(|path| path.canonicalize().ok()).collect()
}

/// Where any of these commands can write.
pub(super) fn written_by(commands: &[Arc<Plan>]) -> Vec<PathBuf> {
    let enforced = || commands.iter().filter(|plan| plan.mode.is_enforced());
    let places = enforced().flat_map(|plan| plan.writable.iter().cloned());
    let caches = enforced().filter_map(|plan| plan.caches.as_ref()).map(|caches| caches.store.clone());
    in_order(places.chain(caches).filter(|place| place != Path::new("/")).collect())
}

fn in_order(mut places: Vec<PathBuf>) -> Vec<PathBuf> {
    places.sort();
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_command_can_write_is_one_list() {
        let plan = |writable: &[&str]| {
            let mut plan = Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted);
            plan.writable = writable.iter().map(PathBuf::from).collect();
            Arc::new(plan)
        };
        let free = Arc::new(Plan::unenforced(Mode::DangerFullAccess, Network::Enabled));
        let found = written_by(&[plan(&["/tmp", "/ws"]), plan(&["/other", "/tmp"]), free]);
        assert_eq!(found, ["/other", "/tmp", "/ws"].map(PathBuf::from));
    }
}
