//! What is really in force, as a value that callers check and show.
//!
//! Made inside the sandbox after every layer was applied, told to the server once per session.

use crate::policy::Mode;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// From this ABI of Landlock on, signals and abstract sockets are restricted.
pub(crate) const LANDLOCK_SCOPE: u32 = 6;
/// From this one on, so is connecting to Unix sockets by path.
pub(crate) const LANDLOCK_UNIX_SOCKETS: u32 = 9;

/// The layers in force in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// The mode asked for.
    pub mode: Mode,
    /// The namespaces that the session has of its own.
    pub namespaces: Vec<Namespace>,
    /// Those that the policy wants and that could not be had.
    pub missing: Vec<Namespace>,
    /// The Landlock ABI whose rights are all handled.
    pub landlock: Option<u32>,
    /// System calls are filtered.
    pub seccomp: bool,
    /// Names are made, replaced and removed by whoever answers the kernel's reports ([`crate::Session::names`]).
    pub brokered: bool,
    /// Hosts are reached by name, through the session's gateway.
    pub by_name: bool,
    /// Hosts are reached by asking a proxy at this port of the machine's loopback, because the session has no network of its
    /// own: programs have TCP sockets, of which whoever answers the kernel's reports connects each, and to that alone.
    pub by_proxy: Option<u16>,
    /// Why they are not, although the plan says so.
    pub no_gateway: Option<String>,
    /// Everything that the plan asks for, by macOS's own sandbox.
    pub seatbelt: bool,
    /// How the number of processes is limited.
    pub process_limit: Option<ProcessLimit>,
    /// The caches that have a layer which takes what commands write; none where commands have no caches of their own.
    pub caches: Option<Vec<PathBuf>>,
    /// What the policy wants and nothing here enforces, one sentence each.
    pub gaps: Vec<String>,
    /// Why better forms of enforcement were not possible, best first.
    pub fallbacks: Vec<String>,
}

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// Users and capabilities.
    User,
    /// Mounts: what the file system looks like.
    Mount,
    /// Processes.
    Pid,
    /// System V IPC and message queues.
    Ipc,
    /// Network interfaces and abstract sockets.
    Network,
    /// The host's name.
    Uts,
}

impl Namespace {
    /// Every kind.
    pub const ALL: [Namespace; 6] = [
        Namespace::User,
        Namespace::Mount,
        Namespace::Pid,
        Namespace::Ipc,
        Namespace::Network,
        Namespace::Uts,
    ];

    /// Returns the name that the kernel gives it in `/proc/PID/ns`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Namespace::User => "user",
            Namespace::Mount => "mnt",
            Namespace::Pid => "pid",
            Namespace::Ipc => "ipc",
            Namespace::Network => "net",
            Namespace::Uts => "uts",
        }
    }
}

/// A mechanism that limits processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessLimit {
    /// `pid_max` of the PID namespace (Linux 6.14).
    PidMax,
    /// `RLIMIT_NPROC`, counted within the user namespace.
    UserLimit,
}

impl Enforcement {
    /// Returns the value for a session that enforces nothing.
    #[must_use]
    pub fn none(mode: Mode) -> Self {
        Enforcement {
            mode,
            namespaces: Vec::new(),
            missing: Vec::new(),
            landlock: None,
            seccomp: false,
            brokered: false,
            by_name: false,
            by_proxy: None,
            no_gateway: None,
            seatbelt: false,
            process_limit: None,
            caches: None,
            gaps: Vec::new(),
            fallbacks: Vec::new(),
        }
    }

    /// Tells whether the session has a namespace of its own of this kind.
    #[must_use]
    pub fn has(&self, kind: Namespace) -> bool {
        self.namespaces.contains(&kind)
    }

    /// Tells whether names inside writable folders can be protected, which Landlock cannot do.
    #[must_use]
    pub fn protects_names(&self) -> bool {
        self.seatbelt || self.has(Namespace::Mount)
    }

    /// Tells whether Unix sockets of the host are out of reach, so that programs may have some of their own: mounts cover those
    /// that have a path, and those without are of another network or out of Landlock's scope; or Landlock judges each.
    #[must_use]
    pub fn keeps_unix_sockets_away(&self) -> bool {
        let abi = self.landlock.unwrap_or(0);
        let covered = self.has(Namespace::Mount) && (self.has(Namespace::Network) || abi >= LANDLOCK_SCOPE);
        covered || abi >= LANDLOCK_UNIX_SOCKETS
    }

    /// Tells whether the sandbox has all that it is made for.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.protects_names() && self.missing.is_empty()
    }
}

/// Writes the level in one word, such as `namespaces+landlock-7+seccomp`, or `none`. Where not all namespaces that the policy
/// wants could be had, those that are there are named: `namespaces(user,mnt,ipc,uts)+landlock-7+seccomp`.
impl fmt::Display for Enforcement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.namespaces.is_empty() {
            let names: Vec<&str> = self.namespaces.iter().map(|kind| kind.name()).collect();
            let whole = self.missing.is_empty();
            parts.push(if whole {
                "namespaces".to_owned()
            } else {
                format!("namespaces({})", names.join(","))
            });
        }
        parts.extend(self.landlock.map(|abi| format!("landlock-{abi}")));
        if self.seatbelt {
            parts.push("seatbelt".to_owned());
        }
        if self.seccomp {
            parts.push("seccomp".to_owned());
        }
        if parts.is_empty() {
            parts.push("none".to_owned());
        }
        formatter.write_str(&parts.join("+"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_one_word() {
        let mut enforcement = Enforcement::none(Mode::ReadOnly);
        assert_eq!(enforcement.to_string(), "none");
        let seatbelt = Enforcement { seatbelt: true, ..enforcement.clone() };
        assert!(seatbelt.is_whole() && seatbelt.to_string() == "seatbelt");
        enforcement.landlock = Some(7);
        enforcement.seccomp = true;
        assert_eq!(enforcement.to_string(), "landlock-7+seccomp");
        enforcement.namespaces.push(Namespace::Mount);
        assert_eq!(enforcement.to_string(), "namespaces+landlock-7+seccomp");
        enforcement.namespaces.insert(0, Namespace::User);
        enforcement.missing.push(Namespace::Pid);
        assert_eq!(enforcement.to_string(), "namespaces(user,mnt)+landlock-7+seccomp");
    }
}
