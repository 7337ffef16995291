//! The kernel's settings that forbid namespaces on this machine, as a file for sysctl.d(5).

use std::fmt::Write;

use shell_engine::user_command;

/// Settings, the value that forbids namespaces, and one that does not. The numbers of namespaces are bounds against
/// floods; the kernel's own default depends on the memory, and is some ten thousand on small machines
/// (`max_user_namespaces`, namespaces(7)).
const FORBIDDING: &[(&str, &str, &str)] = &[
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("user.max_user_namespaces", "0", "16384"),
    ("user.max_mnt_namespaces", "0", "16384"),
    ("user.max_pid_namespaces", "0", "16384"),
    ("user.max_ipc_namespaces", "0", "16384"),
    ("user.max_uts_namespaces", "0", "16384"),
    ("user.max_net_namespaces", "0", "16384"),
];

/// The file, with comments that say how to install it.
pub(super) fn settings() -> String {
    written(sandbox::machine::setting)
}

fn written(read: impl Fn(&str) -> Option<String>) -> String {
    let forbidding: Vec<_> =
        FORBIDDING.iter().filter(|(name, value, _)| read(name).as_deref() == Some(*value)).collect();
    let mut text = String::new();
    if forbidding.is_empty() {
        text.push_str("# No setting of this kernel forbids namespaces.\n");
    } else {
        let now: Vec<String> =
            forbidding.iter().map(|(name, _, better)| format!("{name}={better}")).collect();
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "# Lets every program make namespaces, which shows it more of the kernel.\n\
             # Until the next start of the machine:\n\
             #   sudo sysctl -w {}\n\
             # For good:\n\
             #   {} setup sysctl | sudo tee /etc/sysctl.d/60-shell-tool-mcp.conf && sudo sysctl --system\n",
            now.join(" "),
            user_command()
        );
    }
    for (name, _, better) in forbidding {
        let _ = writeln!(text, "{name} = {better}");
    }
    if read("kernel.apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        let _ = write!(
            text,
            "# AppArmor restricts them, too. `{} setup apparmor` prints a profile that allows them to this program \
             alone;\n# the setting allows them to every program:\n# kernel.apparmor_restrict_unprivileged_userns = 0\n",
            user_command()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_forbids_something_is_set() {
        let text = written(|name| (name == "user.max_net_namespaces").then(|| "0".to_owned()));
        let set: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(set, ["user.max_net_namespaces = 16384"]);
        assert!(text.contains("sudo sysctl -w user.max_net_namespaces=16384\n"), "{text}");
        let fine = written(|_| Some("1000".into()));
        assert!(fine.lines().all(|line| line.starts_with('#')), "{fine}");
        let ubuntu = written(|name| name.contains("apparmor").then(|| "1".to_owned()));
        assert!(
            ubuntu.contains("setup apparmor") && ubuntu.lines().all(|line| line.starts_with('#')),
            "{ubuntu}"
        );
    }
}
