//! Which namespaces a session gets: a list of attempts, best first, and the identity maps of users and groups.
//!
//! Runs in the guard, before init has done anything.

use super::sys::{self, Forked, SingleThreaded};
use crate::enforcement::Namespace;
use crate::plan::{Layers, Plan};
use rustix::process::{Pid, WaitOptions};
use rustix::thread::CapabilitySet;
use std::fs;
use std::io;

/// One set of namespaces to try; empty means none at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt(pub(super) Vec<Namespace>);

/// What a session should have, when the plan allows namespaces at all.
pub(super) fn wanted(plan: &Plan) -> Vec<Namespace> {
    if plan.layers == Layers::WithoutNamespaces {
        return Vec::new();
    }
    if !plan.mode.is_enforced() {
        return wanted_outside(plan);
    }
    let unwanted = plan.network.is_enabled().then_some(Namespace::Network);
    Namespace::ALL.into_iter().filter(|kind| Some(*kind) != unwanted).collect()
}

/// What a session has that enforces no mode. Root keeps its rights: in a namespace of users it would have few of them.
fn wanted_outside(plan: &Plan) -> Vec<Namespace> {
    let is_root = rustix::process::geteuid().is_root();
    match (plan.execution.needs_mounts(), is_root) {
        (false, _) => Vec::new(),
        (true, true) => vec![Namespace::Mount],
        (true, false) => vec![Namespace::User, Namespace::Mount],
    }
}

/// Finds out which kinds this process may make, each by itself: a limit of zero (`max_net_namespaces`) or a container
/// that forbids one kind then costs that kind alone.
pub(super) fn obtainable(proof: SingleThreaded, wanted: &[Namespace]) -> Vec<Namespace> {
    let can_make = |kinds: &[Namespace]| match sys::fork_into_namespaces(proof, flags(kinds)) {
        Ok(Forked::Child) => sys::exit_now(0),
        Ok(Forked::Parent(child)) => rustix::process::waitpid(Some(child), WaitOptions::empty()).is_ok(),
        Err(_) => false,
    };
    let own_users = can_make(&[Namespace::User]);
    let can_make_inside = |kind: Namespace| match own_users {
        true => can_make(&[Namespace::User, kind]),
        false => can_make(&[kind]),
    };
    wanted
        .iter()
        .copied()
        .filter(|kind| if *kind == Namespace::User { own_users } else { can_make_inside(*kind) })
        .collect()
}

/// Returns what to try after everything at once has failed, best first, from kinds that can be made.
///
/// Making a namespace is not all: what is set up in it can be forbidden, too. So the list goes on
///
/// - for root, without users: a user namespace may be what takes the rights away (AppArmor);
/// - without processes: a container may forbid the new `/proc` that they need;
/// - without a network: the loopback interface may be forbidden;
/// - without mounts, and without processes, whose `/proc` would then be that of others;
/// - without any, where the plan allows Landlock alone.
pub(super) fn attempts(plan: &Plan, obtainable: &[Namespace]) -> Vec<Attempt> {
    if !plan.mode.is_enforced() {
        // Root of a container may have no other way to mounts.
        return vec![Attempt(vec![Namespace::User, Namespace::Mount])];
    }
    let is_root = rustix::process::geteuid().is_root();
    let needs_mounts = match plan.layers {
        _ if plan.execution.needs_mounts() => true,
        Layers::Best | Layers::WithoutNamespaces => false,
        Layers::RequireNamespaces | Layers::WithoutLandlock => true,
    };
    let mut attempts: Vec<Attempt> = Vec::new();
    for left_out in LEFT_OUT {
        for without_users in [false, true] {
            if without_users && !is_root {
                continue;
            }
            let keep =
                |kind: &Namespace| !(left_out.contains(kind) || without_users && *kind == Namespace::User);
            let mut kinds: Vec<Namespace> = obtainable.iter().copied().filter(keep).collect();
            if !kinds.contains(&Namespace::Mount) {
                kinds.retain(|kind| *kind != Namespace::Pid);
            }
            // By itself it protects nothing.
            if kinds == [Namespace::User] || !is_root && !kinds.contains(&Namespace::User) {
                kinds.clear();
            }
            let attempt = Attempt(kinds);
            if (attempt.has(Namespace::Mount) || !needs_mounts) && !attempts.contains(&attempt) {
                attempts.push(attempt);
            }
        }
    }
    attempts
}

/// What the attempts do without, in their order.
const LEFT_OUT: &[&[Namespace]] = &[
    &[],
    &[Namespace::Pid],
    &[Namespace::Network],
    &[Namespace::Network, Namespace::Pid],
    &[Namespace::Mount],
    &[Namespace::Mount, Namespace::Network],
    &Namespace::ALL,
];

impl Attempt {
    pub(super) fn has(&self, kind: Namespace) -> bool {
        self.0.contains(&kind)
    }

    /// Returns the flags for clone(2).
    pub(super) fn flags(&self) -> libc::c_int {
        flags(&self.0)
    }
}

pub(super) fn flags(kinds: &[Namespace]) -> libc::c_int {
    kinds.iter().fold(0, |flags, kind| flags | flag(*kind))
}

fn flag(kind: Namespace) -> libc::c_int {
    match kind {
        Namespace::User => libc::CLONE_NEWUSER,
        Namespace::Mount => libc::CLONE_NEWNS,
        Namespace::Pid => libc::CLONE_NEWPID,
        Namespace::Ipc => libc::CLONE_NEWIPC,
        Namespace::Network => libc::CLONE_NEWNET,
        Namespace::Uts => libc::CLONE_NEWUTS,
    }
}

/// Gives a new user namespace the users and groups of ours, each mapped to itself, so that files keep their owners.
///
/// Root maps everything that it has; others, and root without the capabilities to (a container's), may map only
/// themselves, and must give up `setgroups` for it (user_namespaces(7)).
pub(super) fn map_identities(init: Pid) -> io::Result<()> {
    let folder = format!("/proc/{}", init.as_raw_nonzero());
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    if rustix::thread::capabilities(None)?.effective.contains(needed) {
        let users = identity(&fs::read_to_string("/proc/self/uid_map")?);
        let groups = identity(&fs::read_to_string("/proc/self/gid_map")?);
        fs::write(format!("{folder}/uid_map"), users)?;
        fs::write(format!("{folder}/gid_map"), groups)
    } else {
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        fs::write(format!("{folder}/setgroups"), "deny")?;
        fs::write(format!("{folder}/uid_map"), format!("{user} {user} 1"))?;
        fs::write(format!("{folder}/gid_map"), format!("{group} {group} 1"))
    }
}

/// Turns a map of our own namespace into one of a child that shows the same numbers.
fn identity(map: &str) -> String {
    map.lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (inside, count) = (fields.next()?, fields.nth(1)?);
            Some(format!("{inside} {inside} {count}\n"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, Network};

    #[test]
    fn a_kind_that_cannot_be_made_costs_only_itself() {
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted);
        let without = |missing: Namespace| -> Vec<Namespace> {
            Namespace::ALL.into_iter().filter(|kind| *kind != missing).collect()
        };
        for missing in [Namespace::Network, Namespace::Pid, Namespace::Ipc, Namespace::Uts] {
            assert_eq!(attempts(&plan, &without(missing))[0], Attempt(without(missing)), "{missing:?}");
        }
        let no_mounts = attempts(&plan, &without(Namespace::Mount));
        assert!(no_mounts[0].has(Namespace::Network) && !no_mounts[0].has(Namespace::Pid));
        assert_eq!(no_mounts.last(), Some(&Attempt(Vec::new())));
        plan.layers = Layers::RequireNamespaces;
        assert_eq!(attempts(&plan, &without(Namespace::Mount)), []);
    }

    #[test]
    fn maps_become_identities() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }
}
