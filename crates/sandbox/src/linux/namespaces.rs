//! Which namespaces a session gets: a list of attempts, best first, and the identity maps of users and groups.
//!
//! Runs in the guard, before init has done anything.

use crate::enforcement::Namespace;
use crate::plan::{Layers, Plan};
use rustix::process::Pid;
use std::fs;
use std::io;

/// One set of namespaces to try; empty means none at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt(pub(super) Vec<Namespace>);

/// Returns what to try, best first.
///
/// - Everything.
/// - For root where user namespaces are forbidden: everything else.
/// - Where a container forbids a new `/proc`: without a PID namespace.
/// - Nothing, where the plan allows Landlock alone.
pub(super) fn attempts(plan: &Plan) -> Vec<Attempt> {
    if plan.layers == Layers::WithoutNamespaces {
        return vec![Attempt(Vec::new())];
    }
    let all = [
        Namespace::User,
        Namespace::Mount,
        Namespace::Pid,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::Network,
    ];
    let without = |left_out: &[Namespace]| {
        let keep = |kind: &Namespace| {
            !left_out.contains(kind) && (*kind != Namespace::Network || !plan.network.is_enabled())
        };
        Attempt(all.into_iter().filter(keep).collect())
    };
    let is_root = rustix::process::geteuid().is_root();
    let mut attempts = vec![without(&[])];
    if is_root {
        attempts.push(without(&[Namespace::User]));
    }
    attempts.push(without(&[Namespace::Pid]));
    if is_root {
        attempts.push(without(&[Namespace::User, Namespace::Pid]));
    }
    match plan.layers {
        Layers::Best => attempts.push(Attempt(Vec::new())),
        Layers::RequireNamespaces | Layers::WithoutLandlock | Layers::WithoutNamespaces => {}
    }
    attempts
}

impl Attempt {
    pub(super) fn has(&self, kind: Namespace) -> bool {
        self.0.contains(&kind)
    }

    /// Returns the flags for clone(2).
    pub(super) fn flags(&self) -> libc::c_int {
        self.0.iter().fold(0, |flags, kind| flags | flag(*kind))
    }
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
/// Root maps everything that it has; others may map only themselves, and must give up `setgroups` for it
/// (user_namespaces(7)).
pub(super) fn map_identities(init: Pid) -> io::Result<()> {
    let folder = format!("/proc/{}", init.as_raw_nonzero());
    if rustix::process::geteuid().is_root() {
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

    #[test]
    fn maps_become_identities() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }
}
