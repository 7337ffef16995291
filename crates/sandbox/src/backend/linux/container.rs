//! Explains what the container around this process forbids, and names the option that allows it.
//!
//! Looks at the cause of each refusal, not at the container's name: a filter of system calls is asked, capabilities and
//! mounts are read. `make test-containers` starts containers anew with the options that are named here, and finds the
//! whole sandbox in them.

use crate::enforcement::Namespace;
use crate::findings::Hint;
use rustix::thread::CapabilitySet;
use std::fs;
use std::path::Path;

/// What hides parts of `/proc` on ordinary systems, too, and keeps nobody from a new one: an empty folder made to be
/// mounted on.
const HARMLESS_IN_PROC: &str = "/proc/sys/fs/binfmt_misc";

/// Who starts the container, and so how its options are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Docker,
    Podman,
    Kubernetes,
    /// Another one, or none: a service manager, another sandbox.
    Other,
}

impl Kind {
    /// By the files that engines put into containers, or, where a volume covers those, by where they mount others from.
    fn find(mountinfo: &str) -> Kind {
        let exists = |path| Path::new(path).exists();
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() || mountinfo.contains("/kubelet/pods/") {
            Kind::Kubernetes
        } else if exists("/run/.containerenv") || mountinfo.contains("/overlay-containers/") {
            Kind::Podman
        } else if exists("/.dockerenv") || mountinfo.contains("/docker/containers/") {
            Kind::Docker
        } else {
            Kind::Other
        }
    }
}

/// What was found around this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    kind: Kind,
    gvisor: bool,
    /// A filter of system calls answers for the kernel when a user namespace is asked for.
    filtered: bool,
    /// Root that may not map itself into a user namespace, which takes CAP_SETFCAP since Linux 5.12
    /// (user_namespaces(7)), and cannot do without one either.
    root_cannot_be_mapped: bool,
    /// Something is mounted below `/proc`: the kernel lets a user namespace mount a new one only where all of it is to
    /// be seen (`mount_too_revealing` in fs/namespace.c).
    proc_is_covered: bool,
    /// The AppArmor profile is one that engines make for their containers, which forbid mounts.
    engines_profile: bool,
}

impl Found {
    fn look() -> Found {
        let gvisor = is_gvisor();
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let filter = !gvisor && status.contains("Seccomp:\t2");
        let capabilities = rustix::thread::capabilities(None).map(|sets| sets.effective);
        let lacks = |wanted| capabilities.is_ok_and(|present| !present.intersects(wanted));
        let profile = fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
        Found {
            kind: Kind::find(&mountinfo),
            gvisor,
            filtered: filter && super::sys::user_namespaces_are_filtered(),
            root_cannot_be_mapped: rustix::process::geteuid().is_root()
                && lacks(CapabilitySet::SETFCAP)
                && lacks(CapabilitySet::SYS_ADMIN),
            proc_is_covered: covers_proc(&mountinfo),
            engines_profile: [
                "docker-default",
                "containers-default",
                "cri-containerd.apparmor.d",
                "crio-default",
            ]
            .iter()
            .any(|name| profile.starts_with(name)),
        }
    }

    /// Explains what is missing; `None` stands for every kind.
    fn explain(&self, missing: Option<&[Namespace]>) -> Vec<Hint> {
        let lacks = |kind| missing.is_none_or(|missing| missing.contains(&kind));
        if self.gvisor {
            return if lacks(Namespace::Mount) { vec![GVISOR] } else { Vec::new() };
        }
        let obstacles = [
            (self.filtered && lacks(Namespace::Mount), self.filter()),
            (self.root_cannot_be_mapped && lacks(Namespace::Mount), self.root()),
            (self.engines_profile && lacks(Namespace::Mount), self.profile()),
            (self.proc_is_covered && lacks(Namespace::Pid), self.proc()),
        ];
        obstacles.into_iter().filter(|(there, _)| *there).map(|(_, hint)| hint).collect()
    }

    fn filter(&self) -> Hint {
        Hint {
            found: "the filter of system calls around this process forbids namespaces",
            effect: "no namespaces: .git/hooks and the like are not protected inside writable folders",
            remedy: match self.kind {
                Kind::Docker | Kind::Podman => {
                    "start the container with --security-opt seccomp=unconfined; commands stay under the sandbox's own filter"
                }
                Kind::Kubernetes => {
                    "set seccompProfile: {type: Unconfined} in the container's securityContext; commands stay under the sandbox's own filter"
                }
                Kind::Other => {
                    "allow `clone` and `unshare` with CLONE_NEWUSER, and mounts, in what sets it; when that isolates already, use --sandbox external-sandbox"
                }
            },
        }
    }

    fn root(&self) -> Hint {
        Hint {
            found: "root has no CAP_SETFCAP here",
            effect: "no namespaces: root cannot be mapped into a user namespace without it; other users can",
            remedy: match self.kind {
                Kind::Docker | Kind::Podman => {
                    "start the container with --user 1000, or with --cap-add=SETFCAP"
                }
                Kind::Kubernetes => {
                    "set runAsUser: 1000 in the container's securityContext, or add SETFCAP to its capabilities"
                }
                Kind::Other => "run as another user than root, or keep CAP_SETFCAP",
            },
        }
    }

    fn profile(&self) -> Hint {
        Hint {
            found: "the container engine's AppArmor profile is in force",
            effect: "it forbids mounts: .git/hooks and the like are not protected inside writable folders",
            remedy: match self.kind {
                Kind::Docker | Kind::Podman => {
                    "start the container with --security-opt apparmor=unconfined, or with a profile that allows mounts"
                }
                Kind::Kubernetes => {
                    "set appArmorProfile: {type: Unconfined} in the container's securityContext, or a profile that allows mounts"
                }
                Kind::Other => "use a profile that allows mounts",
            },
        }
    }

    fn proc(&self) -> Hint {
        Hint {
            found: "parts of /proc are hidden here",
            effect: "no PID namespace, because the kernel lets nobody mount a /proc that shows more",
            remedy: match self.kind {
                Kind::Docker => "start the container with --security-opt systempaths=unconfined",
                Kind::Podman => "start the container with --security-opt unmask=ALL",
                Kind::Kubernetes => {
                    "set procMount: Unmasked in the container's securityContext, and hostUsers: false in the pod"
                }
                Kind::Other => "start this where nothing is mounted below /proc",
            },
        }
    }
}

/// Explains what of the missing kinds of namespaces is the container's doing; `None` stands for every kind.
pub(crate) fn hints(missing: Option<&[Namespace]>) -> Vec<Hint> {
    Found::look().explain(missing)
}

/// Tells whether the kernel is gVisor's, which always names the same build (pkg/sentry/syscalls/linux/linux64.go
/// there).
pub(crate) fn is_gvisor() -> bool {
    let version = rustix::system::uname().version().to_string_lossy().into_owned();
    version == "#1 SMP Sun Jan 10 15:06:54 PST 2016" || version.to_lowercase().contains("gvisor")
}

fn covers_proc(mountinfo: &str) -> bool {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    points.into_iter().any(|point| point.starts_with("/proc/") && point != HARMLESS_IN_PROC)
}

const GVISOR: Hint = Hint {
    found: "this is gVisor",
    effect: "it has no Landlock, and not all that mounts and namespaces need",
    remedy: "it isolates already: use --sandbox external-sandbox",
};

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Found = Found {
        kind: Kind::Podman,
        gvisor: false,
        filtered: false,
        root_cannot_be_mapped: false,
        proc_is_covered: false,
        engines_profile: false,
    };

    fn remedies(found: Found, missing: Option<&[Namespace]>) -> Vec<&'static str> {
        found.explain(missing).iter().map(|hint| hint.remedy).collect()
    }

    #[test]
    fn only_what_is_missing_is_explained() {
        let everything = Found {
            filtered: true,
            root_cannot_be_mapped: true,
            proc_is_covered: true,
            engines_profile: true,
            ..NOTHING
        };
        assert_eq!(remedies(everything, None).len(), 4);
        assert_eq!(remedies(everything, Some(&[])), [""; 0]);
        assert_eq!(remedies(NOTHING, None), [""; 0]);
        assert_eq!(
            remedies(everything, Some(&[Namespace::Pid])),
            ["start the container with --security-opt unmask=ALL"]
        );
    }

    #[test]
    fn each_engine_has_its_own_option() {
        let covered = Found { proc_is_covered: true, ..NOTHING };
        for (kind, option) in [
            (Kind::Docker, "systempaths=unconfined"),
            (Kind::Podman, "unmask=ALL"),
            (Kind::Kubernetes, "procMount: Unmasked"),
        ] {
            let said = remedies(Found { kind, ..covered }, None);
            assert!(said[0].contains(option), "{said:?}");
        }
    }

    #[test]
    fn in_gvisor_nothing_else_helps() {
        let gvisor = Found { gvisor: true, proc_is_covered: true, filtered: true, ..NOTHING };
        assert_eq!(gvisor.explain(None), [GVISOR]);
    }

    #[test]
    fn what_hides_parts_of_proc_is_found() {
        let ordinary = "22 28 0:20 / /proc rw shared:5 - proc proc rw\n31 22 0:29 / /proc/sys/fs/binfmt_misc rw - autofs x rw\n";
        assert!(!covers_proc(ordinary));
        assert!(covers_proc(&format!("{ordinary}40 22 0:31 / /proc/acpi ro - tmpfs tmpfs ro\n")));
    }

    #[test]
    fn the_kernel_of_the_tests_answers_itself() {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        if status.contains("Seccomp:\t0") {
            assert!(!super::super::sys::user_namespaces_are_filtered());
        }
    }
}
