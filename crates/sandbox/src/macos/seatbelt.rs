//! The text of a Seatbelt profile: closed by default, then what every command needs, then what the plan grants, then what it
//! protects and hides. In Seatbelt the last rule that matches decides, so the order is the meaning.

use crate::plan::Plan;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The program that applies a profile, by its absolute path: one found along `PATH` could be anybody's.
pub const SEATBELT_PROGRAM: &str = "/usr/bin/sandbox-exec";

/// What every command needs, whatever the plan says; each line with its reason.
const BASE: &[(&str, &str)] = &[
    ("(deny default)", "what is not granted below is refused"),
    ("(allow process-exec process-fork)", "commands run commands"),
    ("(allow signal (target same-sandbox))", "kill, job control; nothing outside"),
    ("(allow process-info* (target same-sandbox))", "ps of one's own"),
    ("(allow sysctl-read)", "processor count, memory, versions"),
    ("(allow ipc-posix-sem)", "multiprocessing"),
    ("(allow ipc-posix-shm-read* (ipc-posix-name-prefix \"apple.\"))", "the C library's notifications"),
    ("(allow user-preference-read)", "locale and the like"),
    ("(allow mach-lookup (global-name \"com.apple.system.opendirectoryd.libinfo\"))", "names of users"),
    (
        "(allow mach-lookup (global-name \"com.apple.PowerManagement.control\"))",
        "asked by some runtimes at start",
    ),
    ("(allow pseudo-tty)", "terminals of its own"),
    ("(allow file-ioctl (literal \"/dev/ptmx\") (regex #\"^/dev/ttys[0-9]+$\"))", "as above"),
    ("(allow file-read* file-write* (literal \"/dev/ptmx\") (regex #\"^/dev/ttys[0-9]+$\"))", "as above"),
    (
        "(allow file-write-data file-write* (literal \"/dev/null\") (literal \"/dev/zero\") (literal \"/dev/tty\"))",
        "where output goes to die",
    ),
    ("(allow file-read-metadata)", "looking along a path; contents are another rule"),
];

/// What network access needs besides sockets.
const NETWORK: &[(&str, &str)] = &[
    ("(allow network-outbound network-inbound)", "the plan allows the network"),
    ("(allow system-socket)", "as above"),
    (
        "(allow mach-lookup (global-name \"com.apple.SystemConfiguration.configd\") (global-name \"com.apple.trustd.agent\") (global-name \"com.apple.networkd\") (global-name \"com.apple.dnssd.service\"))",
        "names and certificates",
    ),
];

/// What is granted without network: a loopback to talk to oneself cannot be private on macOS, so not even that.
const NO_NETWORK: &[(&str, &str)] = &[("(deny network*)", "the plan forbids the network")];

/// A command line that runs a program under a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatbeltCommand {
    /// Always [`SEATBELT_PROGRAM`].
    pub program: PathBuf,
    /// The whole argument list, the program's own name first.
    pub arguments: Vec<OsString>,
}

/// Returns the command line that runs `program` with `arguments` (its own name first) under the plan.
#[must_use]
pub fn seatbelt_command(plan: &Plan, program: &Path, arguments: &[OsString]) -> SeatbeltCommand {
    let mut line: Vec<OsString> = vec!["sandbox-exec".into(), "-p".into(), seatbelt_profile(plan).into()];
    // Paths are parameters: their text is never part of the profile's language.
    for (name, path) in parameters(plan) {
        let mut definition = OsString::from(format!("-D{name}="));
        definition.push(path.as_os_str());
        line.push(definition);
    }
    line.push("--".into());
    line.push(program.into());
    line.extend(arguments.iter().skip(1).cloned());
    SeatbeltCommand { program: SEATBELT_PROGRAM.into(), arguments: line }
}

/// Returns the profile's text; its parameters are those that [`seatbelt_command`] defines.
#[must_use]
pub fn seatbelt_profile(plan: &Plan) -> String {
    let mut profile = String::from("(version 1)\n");
    let mut section = |title: &str, rules: &[(&str, &str)]| {
        // Writing to a string cannot fail.
        let _ = writeln!(profile, "; {title}");
        for (rule, reason) in rules {
            let _ = writeln!(profile, "{rule} ; {reason}");
        }
    };
    section("what every command needs", BASE);
    section("network", if plan.network.is_enabled() { NETWORK } else { NO_NETWORK });
    match &plan.only_readable {
        None => section(
            "reading",
            &[("(allow file-read* file-map-executable)", "everywhere but what is hidden below")],
        ),
        Some(_) => section(
            "reading",
            &[(
                "(allow file-read* file-map-executable (subpath \"/System\") (subpath \"/usr/lib\"))",
                "what programs need to start",
            )],
        ),
    }
    let count = |paths: &[PathBuf]| paths.len();
    let mut rules = |title: &str, verb: &str, name: &str, count: usize| {
        if count > 0 {
            let _ = writeln!(profile, "; {title}");
            for number in 0..count {
                let _ = writeln!(profile, "({verb} (subpath (param \"{name}_{number}\")))");
            }
        }
    };
    rules(
        "readable places",
        "allow file-read* file-map-executable",
        "READABLE",
        plan.only_readable.as_deref().map_or(0, count),
    );
    rules("writable roots", "allow file-read* file-write*", "WRITABLE", plan.writable.len());
    rules(
        "protected inside them, also when missing",
        "deny file-write*",
        "PROTECTED",
        plan.read_only.len() + plan.reserved.len(),
    );
    // A protected place's parents must not be replaced either.
    rules("hidden", "deny file-read* file-write*", "HIDDEN", plan.hidden.len() + plan.emptied.len());
    // The way to a protected place: renaming a parent would take it along.
    let ways = ways(plan).len();
    if ways > 0 {
        let _ = writeln!(profile, "; the folders on the way to protected places stay where they are");
        for number in 0..ways {
            let _ = writeln!(profile, "(deny file-write-unlink (literal (param \"WAY_{number}\")))");
        }
    }
    profile
}

fn parameters(plan: &Plan) -> Vec<(String, PathBuf)> {
    let reserved = plan.reserved.iter().map(|reserved| &reserved.path);
    let ways = ways(plan);
    let groups: [(&str, Vec<&PathBuf>); 5] = [
        ("READABLE", plan.only_readable.iter().flatten().collect()),
        ("WRITABLE", plan.writable.iter().collect()),
        ("PROTECTED", plan.read_only.iter().chain(reserved).collect()),
        ("HIDDEN", plan.hidden.iter().chain(&plan.emptied).collect()),
        ("WAY", ways.iter().collect()),
    ];
    groups
        .into_iter()
        .flat_map(|(name, paths)| {
            paths
                .into_iter()
                .enumerate()
                .map(move |(number, path)| (format!("{name}_{number}"), path.clone()))
        })
        .collect()
}

/// The folders between a writable root and the protected places inside it.
fn ways(plan: &Plan) -> Vec<PathBuf> {
    let reserved = plan.reserved.iter().map(|reserved| &reserved.path);
    let mut ways: Vec<PathBuf> = plan
        .read_only
        .iter()
        .chain(reserved)
        .flat_map(|path| path.ancestors().skip(1))
        .filter(|folder| plan.writable.iter().any(|root| folder.starts_with(root)))
        .map(Path::to_owned)
        .collect();
    ways.sort();
    ways.dedup();
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Reserved, StandIn};
    use crate::policy::{Mode, Network};

    fn plan() -> Plan {
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted);
        plan.writable = vec!["/ws".into(), "/tmp".into()];
        plan.read_only = vec!["/ws/.git/hooks".into()];
        plan.reserved = vec![Reserved { path: "/ws/.codex".into(), stand_in: StandIn::Folder }];
        plan.hidden = vec!["/Users/a/.ssh".into()];
        plan
    }

    #[test]
    fn later_rules_narrow_earlier_ones() {
        let profile = seatbelt_profile(&plan());
        let at = |rule: &str| profile.find(rule).unwrap_or_else(|| panic!("no {rule} in\n{profile}"));
        let order = [
            "(deny default)",
            "(deny network*)",
            "(allow file-read* file-map-executable)",
            "(allow file-read* file-write* (subpath (param \"WRITABLE_1\")))",
            "(deny file-write* (subpath (param \"PROTECTED_1\")))",
            "(deny file-read* file-write* (subpath (param \"HIDDEN_0\")))",
            "(deny file-write-unlink (literal (param \"WAY_1\")))",
        ];
        assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{profile}");
    }

    #[test]
    fn brackets_are_balanced_in_every_kind_of_plan() {
        let mut plans = vec![plan()];
        plans.push(Plan { network: Network::Enabled, ..plan() });
        plans.push(Plan { only_readable: Some(vec!["/opt".into()]), writable: Vec::new(), ..plan() });
        for plan in plans {
            let profile = seatbelt_profile(&plan);
            let rules: String = profile
                .lines()
                .filter_map(|line| line.split(" ; ").next())
                .filter(|line| !line.starts_with(';'))
                .collect();
            assert_eq!(rules.matches('(').count(), rules.matches(')').count(), "{profile}");
        }
    }

    #[test]
    fn every_parameter_used_is_defined_and_paths_are_never_in_the_text() {
        let mut plan = plan();
        plan.writable.push("/odd \") (allow default) (\"".into());
        let command =
            seatbelt_command(&plan, Path::new("/bin/sh"), &["sh".into(), "-c".into(), "true".into()]);
        let profile = seatbelt_profile(&plan);
        assert!(!profile.contains("allow default"));
        let defined: Vec<String> = command
            .arguments
            .iter()
            .filter_map(|word| {
                word.to_str()?.strip_prefix("-D")?.split_once('=').map(|(name, _)| name.to_owned())
            })
            .collect();
        for used in profile.split("(param \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(defined.iter().any(|name| name == used), "{used} is not defined");
        }
        let end = command.arguments.iter().position(|word| word == "--").unwrap();
        assert_eq!(command.arguments[end + 1..], ["/bin/sh", "-c", "true"]);
        assert_eq!(command.program, Path::new("/usr/bin/sandbox-exec"));
    }

    #[test]
    fn network_is_granted_only_when_asked_for() {
        assert!(!seatbelt_profile(&plan()).contains("network-outbound"));
        assert!(seatbelt_profile(&Plan { network: Network::Enabled, ..plan() }).contains("network-outbound"));
    }
}
