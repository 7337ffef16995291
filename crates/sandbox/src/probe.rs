//! What this machine can enforce, and what stands in the way: the sandbox's part of `doctor`.
//!
//! Tries instead of guessing: each form of the sandbox is really started, once, and what refused it is told. Facts about
//! the machine only explain refusals; they decide nothing.

use crate::container;
use crate::enforcement::{Enforcement, Namespace};
use crate::plan::{Layers, Plan};
use crate::policy::{Mode, Network};
use crate::session::{Launcher, Session};
use serde::Serialize;
use std::fmt;
use std::fs;
use std::path::PathBuf;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Name and release of the kernel, and the processor.
    pub kernel: String,
    /// The kernel's Landlock ABI, when it has one.
    pub landlock_abi: Option<u32>,
    /// How each form of the sandbox turned out.
    pub forms: Vec<Form>,
    /// What explains a refusal, and what to do about it.
    pub hints: Vec<Hint>,
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
    let found = |name| forms.iter().find(|form: &&Form| form.name == name)?.enforcement.as_ref();
    let mounts = found("namespaces").map(|enforcement| enforcement.missing.as_slice());
    let landlock_abi = crate::linux::landlock_abi();
    Probe { kernel: kernel(), landlock_abi, hints: hints(mounts, landlock_abi), forms }
}

/// Explains why no session starts, from facts alone: nothing is tried.
#[must_use]
pub fn explain_refusal() -> Vec<Hint> {
    hints(None, crate::linux::landlock_abi())
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
        Err(error) => Form { name, enforcement: None, refusal: Some(error.to_string()) },
    }
}

fn kernel() -> String {
    let name = rustix::system::uname();
    format!(
        "{} {} {}",
        name.sysname().to_string_lossy(),
        name.release().to_string_lossy(),
        name.machine().to_string_lossy()
    )
}

/// Explains what is missing. `missing` are kinds that a session with mounts of its own lacks; none where there is no such session.
fn hints(missing: Option<&[Namespace]>, landlock_abi: Option<u32>) -> Vec<Hint> {
    let mut hints = Vec::new();
    if missing.is_none() {
        hints.extend(OBSTACLES.iter().filter(|(there, _)| there()).map(|(_, hint)| hint.clone()));
    }
    hints.extend(container::hints(missing));
    if landlock_abi.is_none() && !container::is_gvisor() {
        hints.push(NO_LANDLOCK);
    }
    hints
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}): {}", self.found, self.effect, self.remedy)
    }
}

/// Reads a small file and compares its text, without white space around it.
fn says(path: &str, expected: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == expected)
}

/// Tells whether an obstacle is there.
type Recognise = fn() -> bool;

/// What forbids namespaces, and how each is recognised; what containers forbid is in [`container`].
const OBSTACLES: &[(Recognise, Hint)] = &[
    (
        || says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
        Hint {
            found: "AppArmor restricts unprivileged user namespaces (Ubuntu 23.10 and later)",
            effect: "no mount, PID and network namespaces; .git/hooks and hidden sockets are then not protected",
            remedy: "install an AppArmor profile with `userns,` for this program, or as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        },
    ),
    (
        || says("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        Hint {
            found: "kernel.unprivileged_userns_clone is 0 (Debian)",
            effect: "no namespaces for ordinary users",
            remedy: "as root: sysctl kernel.unprivileged_userns_clone=1",
        },
    ),
    (
        || says("/proc/sys/user/max_user_namespaces", "0"),
        Hint {
            found: "user.max_user_namespaces is 0",
            effect: "no namespaces for ordinary users",
            remedy: "as root: sysctl user.max_user_namespaces=10000",
        },
    ),
    (
        || fs::read_to_string("/proc/version").is_ok_and(|text| text.to_lowercase().contains("microsoft")),
        Hint {
            found: "this is the Windows Subsystem for Linux",
            effect: "version 1 has neither Landlock nor namespaces",
            remedy: "use version 2: wsl --set-version DISTRIBUTION 2",
        },
    ),
];

const NO_LANDLOCK: Hint = Hint {
    found: "the kernel has no Landlock",
    effect: "one layer less; where namespaces are forbidden too, commands cannot be sandboxed",
    remedy: "use Linux 5.13 or later with `landlock` in its list of security modules (kernel parameter lsm=)",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_only_for_what_does_not_work() {
        assert!(hints(Some(&[]), Some(7)).is_empty());
        assert_eq!(hints(Some(&[]), None), [NO_LANDLOCK]);
    }
}
