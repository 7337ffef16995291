//! The machine in a few lines, for whoever reads a report without having it before him.

use sandbox::findings::Kind;
use sandbox::machine::Machine;

/// The lines, each with its name.
pub(super) fn lines(machine: &Machine, namespaces: &[Kind]) -> Vec<(&'static str, String)> {
    vec![
        ("system", system(machine)),
        ("security", security(machine)),
        ("settings", settings(machine)),
        ("unshare", kinds(namespaces)),
    ]
}

fn system(machine: &Machine) -> String {
    let mut parts = vec![format!("{} {}", machine.kernel, machine.processor)];
    parts.extend(machine.distribution.clone());
    parts.extend(machine.wsl.map(|version| format!("WSL {version}")));
    parts.push(match machine.container {
        Some(kind) => format!("in a container ({kind})"),
        None => "no container".to_owned(),
    });
    parts.push(if machine.root { "as root" } else { "as an ordinary user" }.to_owned());
    parts.join(", ")
}

fn security(machine: &Machine) -> String {
    let mut parts = vec![match &machine.security_modules {
        Some(modules) => format!("modules {modules}"),
        None => "modules unknown".to_owned(),
    }];
    parts.push(match machine.landlock_abi {
        Some(abi) => format!("Landlock ABI {abi}"),
        None => "no Landlock".to_owned(),
    });
    parts.push(match (machine.seccomp, machine.filtered) {
        (_, true) => "seccomp (a filter is there already)".to_owned(),
        (true, false) => "seccomp".to_owned(),
        (false, false) => "no seccomp".to_owned(),
    });
    parts.extend(machine.apparmor.as_ref().map(|profile| format!("AppArmor profile {profile}")));
    parts.join("; ")
}

/// Limits on namespaces only where they forbid any: other numbers say nothing.
fn settings(machine: &Machine) -> String {
    let limit = |name: &str| name.starts_with("user.max_");
    let shown = machine.settings.iter().filter(|(name, value)| !limit(name) || *value == "0");
    let mut parts: Vec<String> =
        shown.map(|(name, value)| format!("{} {value}", name.rsplit('.').next().unwrap_or(name))).collect();
    parts.push(format!("cgroup {}", machine.cgroup.unwrap_or("not mounted")));
    parts.push(format!("hidepid {}", machine.hidepid.as_deref().unwrap_or("off")));
    parts.join(", ")
}

/// Named after unshare(2), which was tried.
fn kinds(kinds: &[Kind]) -> String {
    let can: Vec<&str> = kinds.iter().filter(|kind| kind.refusal.is_none()).map(|kind| kind.name).collect();
    let mut text = if can.is_empty() { "none".to_owned() } else { can.join(" ") };
    // Most refusals have one cause.
    let mut refused: Vec<(&str, Vec<&str>)> = Vec::new();
    for kind in kinds {
        let Some(why) = kind.refusal.as_deref() else { continue };
        match refused.iter_mut().find(|(cause, _)| *cause == why) {
            Some((_, names)) => names.push(kind.name),
            None => refused.push((why, vec![kind.name])),
        }
    }
    for (why, names) in refused {
        text.push_str(&format!("; not {}: {why}", names.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_named_once() {
        let refused = |name, why: &str| Kind { name, refusal: Some(why.to_owned()) };
        let found = [
            Kind { name: "user", refusal: None },
            refused("mnt", "no"),
            refused("pid", "full"),
            refused("net", "no"),
        ];
        assert_eq!(kinds(&found), "user; not mnt net: no; not pid: full");
    }
}
