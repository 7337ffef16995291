//! What this machine can enforce, and what stands in the way: the sandbox's part of `doctor`.
//!
//! Tries instead of guessing: each form of the sandbox is really started, once, and what refused it is told. Facts about
//! the machine only explain refusals; they decide nothing.

use crate::container;
use crate::enforcement::{Enforcement, Namespace};
use crate::machine::{Machine, setting};
use crate::plan::{Layers, Plan};
use crate::policy::{Mode, Network};
use crate::session::{Launcher, Session};
use crate::session_error::SessionError;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The machine.
    pub machine: Machine,
    /// Which kinds of namespaces this process can have, each tried by itself.
    pub namespaces: Vec<Kind>,
    /// How each form of the sandbox turned out.
    pub forms: Vec<Form>,
    /// What explains a refusal, and what to do about it.
    pub hints: Vec<Hint>,
}

/// One kind of namespace, tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// The kind, named as in `/proc/PID/ns`.
    pub name: &'static str,
    /// Why it could not be had.
    pub refusal: Option<String>,
}

/// One form of the sandbox, tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Form {
    /// `best`, `namespaces` or `landlock`.
    pub name: &'static str,
    /// What was in force.
    pub enforcement: Option<Enforcement>,
    /// Why it could not be.
    pub refusal: Option<String>,
}

/// Something about this machine that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hint {
    /// What was found.
    pub found: &'static str,
    /// What it does.
    pub effect: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

impl Probe {
    /// Tells whether commands can be sandboxed here.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.best().is_some()
    }

    /// Returns what is in force in the best form.
    #[must_use]
    pub fn best(&self) -> Option<&Enforcement> {
        self.forms.first().and_then(|form| form.enforcement.as_ref())
    }
}

/// Tries every form. Takes some tens of milliseconds.
#[must_use]
pub fn probe(launcher: &Launcher) -> Probe {
    let forms = [
        ("best", Layers::Best),
        ("namespaces", Layers::RequireNamespaces),
        ("landlock", Layers::WithoutNamespaces),
    ];
    let forms: Vec<Form> = forms.into_iter().map(|(name, layers)| attempt(launcher, name, layers)).collect();
    let machine = Machine::look();
    let found = |name| forms.iter().find(|form: &&Form| form.name == name)?.enforcement.as_ref();
    let mounts = found("namespaces").map(|enforcement| enforcement.missing.as_slice());
    let hints = hints(mounts, machine.landlock_abi);
    Probe { machine, namespaces: kinds(), forms, hints }
}

/// Explains why no session starts, from facts alone: nothing is tried.
#[must_use]
pub fn explain_refusal() -> Vec<Hint> {
    hints(None, crate::linux::landlock_abi())
}

fn kinds() -> Vec<Kind> {
    let tried = crate::linux::try_each_namespace().into_iter();
    tried
        .map(|(kind, tried)| Kind { name: kind.name(), refusal: tried.err().map(|e| e.to_string()) })
        .collect()
}

fn attempt(launcher: &Launcher, name: &'static str, layers: Layers) -> Form {
    let mut plan = Plan::unenforced(Mode::ReadOnly, Network::Restricted);
    plan.writable.clear();
    plan.layers = layers;
    // As every session does: hide a folder, hide a file, empty a file.
    plan.hidden =
        ["/sys", "/etc/passwd"].map(PathBuf::from).into_iter().filter(|path| path.exists()).collect();
    plan.emptied = launcher.program.canonicalize().into_iter().collect();
    match Session::start(launcher, &plan) {
        Ok(session) => Form { name, enforcement: Some(session.enforcement().clone()), refusal: None },
        Err(SessionError::NotEnforceable(reason)) => Form { name, enforcement: None, refusal: Some(reason) },
        Err(error) => Form { name, enforcement: None, refusal: Some(error.to_string()) },
    }
}

/// Explains what is missing. `missing` are kinds that a session with mounts of its own lacks; none where there is no such session.
fn hints(missing: Option<&[Namespace]>, landlock_abi: Option<u32>) -> Vec<Hint> {
    let mut hints = Vec::new();
    if missing.is_none_or(|missing| !missing.is_empty()) {
        hints.extend(OBSTACLES.iter().filter(|(there, _)| there()).map(|(_, hint)| hint.clone()));
    }
    hints.extend(container::hints(missing));
    match (missing, landlock_abi.unwrap_or(0)) {
        // gVisor's hint has said all there is to say.
        _ if container::is_gvisor() => {}
        (Some(_), 0) => hints.push(NO_LANDLOCK),
        (None, abi) if abi < crate::linux::LANDLOCK_LEAST_ALONE => hints.push(LANDLOCK_TOO_OLD_ALONE),
        (Some(_) | None, _) => {}
    }
    hints
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}): {}", self.found, self.effect, self.remedy)
    }
}

/// Compares a setting, named as in sysctl(8).
fn is(name: &str, expected: &str) -> bool {
    setting(name).is_some_and(|value| value == expected)
}

/// Tells whether an obstacle is there.
type Recognise = fn() -> bool;

/// What forbids namespaces, and how each is recognised; what containers forbid is in [`container`].
const OBSTACLES: &[(Recognise, Hint)] = &[
    (
        || is("kernel.apparmor_restrict_unprivileged_userns", "1") && !Machine::look().has_profile(),
        Hint {
            found: "AppArmor restricts unprivileged user namespaces (Ubuntu 23.10 and later)",
            effect: "no mount, PID and network namespaces; .git/hooks and hidden sockets are then not protected",
            remedy: "the subcommand `setup apparmor` prints a profile that allows them to this program, and how to install it",
        },
    ),
    (
        || is("kernel.unprivileged_userns_clone", "0"),
        Hint {
            found: "kernel.unprivileged_userns_clone is 0 (Debian)",
            effect: "no namespaces for ordinary users",
            remedy: "as root: sysctl kernel.unprivileged_userns_clone=1 (for good: the subcommand `setup sysctl`)",
        },
    ),
    (
        || is("user.max_user_namespaces", "0"),
        Hint {
            found: "user.max_user_namespaces is 0",
            effect: "no namespaces for ordinary users",
            remedy: "as root: sysctl user.max_user_namespaces=10000 (for good: the subcommand `setup sysctl`)",
        },
    ),
    (
        || {
            ["mnt", "pid", "ipc", "uts", "net"]
                .iter()
                .any(|kind| is(&format!("user.max_{kind}_namespaces"), "0"))
        },
        Hint {
            found: "one of user.max_*_namespaces is 0",
            effect: "no namespaces of that kind",
            remedy: "as root: sysctl user.max_KIND_namespaces=10000 (for good: the subcommand `setup sysctl`)",
        },
    ),
    (
        || Machine::look().wsl == Some(1),
        Hint {
            found: "this is the Windows Subsystem for Linux, version 1",
            effect: "it has neither Landlock nor namespaces",
            remedy: "use version 2: wsl --set-version DISTRIBUTION 2",
        },
    ),
];

const NO_LANDLOCK: Hint = Hint {
    found: "the kernel has no Landlock",
    effect: "one layer less",
    remedy: "any Linux since 5.13 has it, when `landlock` is in its list of security modules (kernel parameter lsm=)",
};

const LANDLOCK_TOO_OLD_ALONE: Hint = Hint {
    found: "the kernel has no Landlock, or one older than ABI 3",
    effect: "without namespaces nothing keeps commands from writing files",
    remedy: "make namespaces possible, or use Linux 6.2 or later with `landlock` in its list of security modules (kernel parameter lsm=)",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_only_for_what_does_not_work() {
        assert!(hints(Some(&[]), Some(7)).is_empty());
        assert_eq!(hints(Some(&[]), None), [NO_LANDLOCK]);
    }

    #[test]
    fn the_kernel_that_is_named_is_the_one_that_would_do() {
        for abi in [None, Some(2)] {
            assert_eq!(hints(None, abi).pop(), Some(LANDLOCK_TOO_OLD_ALONE), "{abi:?}");
        }
        assert!(hints(None, Some(3)).iter().all(|hint| !hint.found.contains("Landlock")));
    }

    #[test]
    fn each_kind_of_namespace_is_tried_and_named_once() {
        let names: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
        assert_eq!(names, Namespace::ALL.map(Namespace::name));
    }
}
