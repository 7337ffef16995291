//! Facts about this machine that decide which form of the sandbox is possible, for people who are told which one is.
//!
//! Read from `/proc`, `/sys` and `os-release`, never guessed, and nothing in them is private: no names of users, hosts
//! or files. They explain what [`probe`](crate::probe) has tried; they decide nothing.

use rustix::process::geteuid;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What this machine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Name and release of the kernel, such as `Linux 6.12.8`.
    pub kernel: String,
    /// The processor, such as `x86_64`.
    pub processor: String,
    /// `PRETTY_NAME` of os-release(5).
    pub distribution: Option<String>,
    /// The kind of container around this process, such as `podman`.
    pub container: Option<&'static str>,
    /// The version of the Windows Subsystem for Linux.
    pub wsl: Option<u8>,
    /// This process is root, of its own user namespace at least.
    pub root: bool,
    /// The kernel's security modules in force, in its own words.
    pub security_modules: Option<String>,
    /// The AppArmor profile that this process has.
    pub apparmor: Option<String>,
    /// The kernel's Landlock ABI, when it has one.
    pub landlock_abi: Option<u32>,
    /// System calls can be filtered.
    pub seccomp: bool,
    /// A filter was there already when this process started.
    pub filtered: bool,
    /// The settings of [`SETTINGS`] that this kernel has, by their names in sysctl(8).
    pub settings: BTreeMap<&'static str, String>,
    /// Which versions of control groups are mounted: `v1`, `v2`, `v1 and v2`.
    pub cgroup: Option<&'static str>,
    /// The option `hidepid` of `/proc`, where it is set.
    pub hidepid: Option<String>,
}

/// Settings of the kernel that forbid parts of the sandbox, or watching.
pub const SETTINGS: &[&str] = &[
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
    "user.max_user_namespaces",
    "user.max_mnt_namespaces",
    "user.max_pid_namespaces",
    "user.max_ipc_namespaces",
    "user.max_uts_namespaces",
    "user.max_net_namespaces",
    "kernel.yama.ptrace_scope",
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
];

impl Machine {
    /// Looks at this machine.
    #[must_use]
    pub fn look() -> Machine {
        let name = rustix::system::uname();
        let version = text("/proc/version").unwrap_or_default();
        let mounts = text("/proc/self/mountinfo").unwrap_or_default();
        let status = text("/proc/self/status").unwrap_or_default();
        Machine {
            kernel: format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()),
            processor: name.machine().to_string_lossy().into_owned(),
            distribution: ["/etc/os-release", "/usr/lib/os-release"]
                .into_iter()
                .find_map(|path| pretty_name(&text(path)?)),
            container: container(&version),
            wsl: wsl(&version),
            root: geteuid().is_root(),
            security_modules: text("/sys/kernel/security/lsm"),
            apparmor: apparmor(),
            // For whoever can ask the kernel.
            landlock_abi: None,
            seccomp: status.lines().any(|line| line.starts_with("Seccomp:")),
            filtered: status.contains("Seccomp:\t2"),
            settings: SETTINGS.iter().filter_map(|name| Some((*name, setting(name)?))).collect(),
            cgroup: cgroup(&mounts),
            hidepid: hidepid(&mounts),
        }
    }

    /// Tells whether the profile that `exec-server setup apparmor` prints, or another one made for this program, is in
    /// force.
    #[must_use]
    pub fn has_profile(&self) -> bool {
        // The second one is what AppArmor gives to whoever makes a user namespace without a profile.
        let none = ["unconfined", "unprivileged_userns"];
        self.apparmor.as_deref().is_some_and(|profile| !none.iter().any(|name| profile.starts_with(name)))
    }
}

/// Reads one setting, by its name in sysctl(8).
#[must_use]
pub fn setting(name: &str) -> Option<String> {
    text(&format!("/proc/sys/{}", name.replace('.', "/")))
}

/// Reads a small file without white space around it.
fn text(path: &str) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let value = value.trim_matches(['"', '\'']);
    // Written by whoever built the system; shown on one line.
    Some(value.chars().filter(|c| !c.is_control()).take(80).collect())
}

/// Says what the container is, by what each kind leaves in it.
fn container(version: &str) -> Option<&'static str> {
    let kinds = ["podman", "docker", "lxc", "lxc-libvirt", "systemd-nspawn", "oci", "rkt"];
    // Set by what started the container's first process (systemd's container interface).
    let named = std::env::var("container").ok().or_else(|| text("/run/systemd/container"));
    let cgroups = text("/proc/1/cgroup").unwrap_or_default();
    if version.contains("gVisor") {
        Some("gVisor")
    } else if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() || cgroups.contains("kubepods") {
        Some("Kubernetes")
    } else if Path::new("/run/.containerenv").exists() {
        Some("podman")
    } else if Path::new("/.dockerenv").exists() || cgroups.contains("/docker") {
        Some("docker")
    } else if let Some(named) = named {
        Some(kinds.into_iter().find(|kind| *kind == named).unwrap_or("another kind"))
    } else if cgroups.contains("/lxc") {
        Some("lxc")
    } else {
        None
    }
}

fn wsl(version: &str) -> Option<u8> {
    match version {
        _ if version.contains("WSL2") || version.contains("microsoft-standard") => Some(2),
        _ if version.contains("Microsoft") => Some(1),
        _ => None,
    }
}

/// The second of these is SELinux's where that is the module in force.
fn apparmor() -> Option<String> {
    let enabled = text("/sys/module/apparmor/parameters/enabled").as_deref() == Some("Y");
    let older = || if enabled { text("/proc/self/attr/current") } else { None };
    text("/proc/self/attr/apparmor/current").or_else(older).filter(|profile| !profile.is_empty())
}

fn cgroup(mounts: &str) -> Option<&'static str> {
    let has = |kind: &str| mounts.lines().any(|mount| mount.contains(kind));
    match (has(" - cgroup "), has(" - cgroup2 ")) {
        (true, true) => Some("v1 and v2"),
        (true, false) => Some("v1"),
        (false, true) => Some("v2"),
        (false, false) => None,
    }
}

/// The last mount on `/proc` is the one that is seen.
fn hidepid(mounts: &str) -> Option<String> {
    let proc = mounts.lines().rfind(|mount| mount.split(' ').nth(4) == Some("/proc"))?;
    let options = proc.split_once(" - proc ")?.1;
    let value = options.split([',', ' ']).find_map(|option| option.strip_prefix("hidepid="))?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_say_is_understood() {
        let release = "NAME=x\nPRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\n";
        assert_eq!(pretty_name(release).as_deref(), Some("Ubuntu 24.04.1 LTS"));
        assert_eq!(wsl("Linux version 5.15.167.4-microsoft-standard-WSL2 (root@x)"), Some(2));
        assert_eq!(wsl("Linux version 4.4.0-19041-Microsoft"), Some(1));
        assert_eq!(wsl("Linux version 6.12.8-amd64 (debian)"), None);
        let mounts = "22 28 0:20 / /proc rw,nosuid shared:5 - proc proc rw,hidepid=invisible\n\
                      29 25 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(hidepid(mounts).as_deref(), Some("invisible"));
        assert_eq!(cgroup(mounts), Some("v2"));
        assert_eq!(hidepid("22 28 0:20 / /proc rw - proc proc rw\n"), None);
        assert_eq!(container("Linux version 4.4.0 gVisor"), Some("gVisor"));
    }

    #[test]
    fn every_kernel_has_some_of_the_settings() {
        let machine = Machine::look();
        assert!(machine.kernel.starts_with("Linux "), "{}", machine.kernel);
        assert!(machine.settings.contains_key("user.max_user_namespaces"), "{:?}", machine.settings);
    }
}
