//! Tries each form of the sandbox on this machine, and finds what stands in its way.

use super::session::Session;
use super::{container, each_namespace, landlock_rules, sys};
use crate::enforcement::Namespace;
use crate::findings::{Form, Hint, Kind, Probe};
use crate::launcher::Launcher;
use crate::machine::{Machine, setting};
use crate::plan::{Layers, Plan};
use crate::policy::{Mode, Network};
use crate::session_error::SessionError;
use std::path::PathBuf;

/// Tries every form. Takes some tens of milliseconds.
pub(super) fn probe(launcher: &Launcher) -> Probe {
    let forms = [
        ("best", Layers::Best),
        ("namespaces", Layers::RequireNamespaces),
        ("landlock", Layers::WithoutNamespaces),
    ];
    let forms: Vec<Form> = forms.into_iter().map(|(name, layers)| attempt(launcher, name, layers)).collect();
    let machine = Machine { landlock_abi: sys::landlock_abi(), ..Machine::look() };
    let found = |name| forms.iter().find(|form: &&Form| form.name == name)?.enforcement.as_ref();
    let mounts = found("namespaces").map(|enforcement| enforcement.missing.as_slice());
    let hints = hints(mounts, machine.landlock_abi);
    Probe { machine, namespaces: kinds(), forms, hints }
}

/// Explains why no session starts, from facts alone: nothing is tried.
pub(super) fn explain_refusal() -> Vec<Hint> {
    hints(None, sys::landlock_abi())
}

fn kinds() -> Vec<Kind> {
    let tried = each_namespace::try_each().into_iter();
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
        Ok((_, enforcement)) => Form { name, enforcement: Some(enforcement), refusal: None },
        Err(SessionError::NotEnforceable(reason)) => Form { name, enforcement: None, refusal: Some(reason) },
        Err(error) => Form { name, enforcement: None, refusal: Some(error.to_string()) },
    }
}

/// Explains what is missing. `missing` are kinds that a session with mounts of its own lacks; none where there is no
/// such session.
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
        (None, abi) if abi < landlock_rules::LEAST_ALONE => hints.push(LANDLOCK_TOO_OLD_ALONE),
        (Some(_) | None, _) => {}
    }
    hints
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
