//! The text of a Seatbelt profile: closed by default, then what every command needs, then what the plan grants, then
//! what it protects and hides. In Seatbelt the last rule that matches decides, so the order is the meaning.

use crate::plan::Plan;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The program that applies a profile, by its absolute path: one found along `PATH` could be anybody's.
pub(super) const SEATBELT_PROGRAM: &str = "/usr/bin/sandbox-exec";

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
    ("(allow pseudo-tty)", "new terminals; the system marks them with the extension that is asked for below"),
    ("(allow file-read-metadata)", "looking along a path; contents are another rule"),
];

/// The devices, after everything that the plan grants: a root that holds `/dev` opens none.
const DEVICES: &[(&str, &str)] = &[
    ("(deny file-read-data file-write* file-ioctl (subpath \"/dev\"))", "disks, packets, other terminals"),
    ("(allow file-read-data (literal \"/dev\"))", "its names: finding one's terminal"),
    (
        "(allow file-read-data file-write-data file-ioctl (literal \"/dev/null\") (literal \"/dev/zero\"))",
        "where output goes to die",
    ),
    ("(allow file-read-data (literal \"/dev/random\") (literal \"/dev/urandom\"))", "randomness"),
    ("(allow file-read-data file-write-data (subpath \"/dev/fd\"))", "descriptors that are open already"),
    (
        "(allow file-read-data file-write-data file-ioctl (literal \"/dev/tty\"))",
        "the terminal that controls it: one of its own, since a command leads a session without any",
    ),
    ("(allow file-read-data file-write* file-ioctl (literal \"/dev/ptmx\"))", "new terminals"),
    (
        "(allow file-read-data file-write* file-ioctl (require-all (regex #\"^/dev/ttys[0-9]+$\") (extension \"com.apple.sandbox.pty\")))",
        "those that were made inside, not the user's",
    ),
];

/// What network access needs besides sockets. By Internet addresses only: sockets with a path are the host's own
/// services.
const NETWORK: &[(&str, &str)] = &[
    ("(allow network-outbound (remote ip))", "the plan allows the network"),
    // A port of 0 or a range cannot be written in the language, and a server that asks for any port is checked as 0.
    (
        "(allow network-bind network-inbound (local ip))",
        "servers: bind(2) needs the one, listen(2) the other",
    ),
    ("(allow network-outbound (literal \"/private/var/run/mDNSResponder\"))", "names of hosts"),
    (
        "(allow system-socket (require-all (socket-domain AF_SYSTEM) (socket-protocol 2)) (socket-domain AF_ROUTE))",
        "which interfaces and routes there are",
    ),
    (
        "(allow mach-lookup (global-name \"com.apple.SystemConfiguration.configd\") (global-name \"com.apple.SystemConfiguration.DNSConfiguration\") (global-name \"com.apple.trustd.agent\") (global-name \"com.apple.networkd\") (global-name \"com.apple.dnssd.service\"))",
        "names and certificates",
    ),
];

/// What is granted without network: a loopback to talk to oneself cannot be private on macOS, so not even that.
const NO_NETWORK: &[(&str, &str)] = &[("(deny network*)", "the plan forbids the network")];

/// What is read where the plan does not say what can be.
const READING_EVERYWHERE: &[(&str, &str)] =
    &[("(allow file-read* file-map-executable)", "everywhere but what is hidden below")];

/// What any program reads before its own first line, where the plan says what can be read.
const READING_TO_START: &[(&str, &str)] = &[
    ("(allow file-read-data (literal \"/\"))", "the dynamic linker opens it"),
    (
        "(allow file-read* file-map-executable (subpath \"/System\") (subpath \"/usr/lib\") (subpath \"/Library/Apple\"))",
        "the dynamic linker, the system's libraries, Rosetta",
    ),
    (
        "(allow file-read* file-map-executable (subpath \"/private/preboot/Cryptexes\") (subpath \"/private/var/db/dyld\"))",
        "the linker's cache of all libraries, on newer and older systems",
    ),
    (
        "(allow file-read* (subpath \"/private/var/db/timezone\") (subpath \"/usr/share/locale\"))",
        "local time, languages",
    ),
];

/// What is granted where the plan enforces no mode.
const EVERYTHING: &[(&str, &str)] = &[("(allow default)", "the user's rights")];

/// What stands for the system's shell where something is to be found in its place, which cannot be had here.
const SHELL: &[(&str, &str)] = &[(
    "(allow process-exec (literal \"/bin/sh\") (literal \"/bin/bash\") (literal \"/bin/dash\"))",
    "programs start their helpers by it; it executes nothing but what is listed",
)];

/// A command line that runs a program under a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeatbeltCommand {
    /// Always [`SEATBELT_PROGRAM`].
    pub(super) program: PathBuf,
    /// The whole argument list, the program's own name first.
    pub(super) arguments: Vec<OsString>,
}

/// Returns the command line that runs `program` with `arguments` (its own name first) under the plan.
pub(super) fn seatbelt_command(plan: &Plan, program: &Path, arguments: &[OsString]) -> SeatbeltCommand {
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
fn seatbelt_profile(plan: &Plan) -> String {
    let mut text = Text(String::from("(version 1)\n"));
    if !plan.mode.is_enforced() {
        text.section("no mode is enforced", EVERYTHING);
        text.execution(plan);
        return text.0;
    }
    text.section("what every command needs", BASE);
    text.section("network", if plan.network.is_enabled() { NETWORK } else { NO_NETWORK });
    text.section("reading", if plan.only_readable.is_some() { READING_TO_START } else { READING_EVERYWHERE });
    let readable = plan.only_readable.as_deref().map_or(0, <[PathBuf]>::len);
    text.places("readable places", "allow file-read* file-map-executable", "READABLE", readable);
    text.places(
        "writable roots",
        "allow file-read* file-map-executable file-write*",
        "WRITABLE",
        plan.writable.len(),
    );
    text.section("devices", DEVICES);
    let protected = plan.read_only.len() + plan.reserved.len();
    text.places("protected inside them, also when missing", "deny file-write*", "PROTECTED", protected);
    text.execution(plan);
    let hidden = plan.hidden.len() + plan.emptied.len();
    text.places("hidden", "deny file-read* file-write*", "HIDDEN", hidden);
    // Renaming a parent would take a protected place along.
    let ways = ways(plan).len();
    if ways > 0 {
        text.line("; the folders on the way to protected places stay where they are");
        for number in 0..ways {
            text.line(&format!("(deny file-write-unlink (literal (param \"WAY_{number}\")))"));
        }
    }
    text.0
}

/// A profile as it grows.
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn section(&mut self, title: &str, rules: &[(&str, &str)]) {
        self.line(&format!("; {title}"));
        for (rule, reason) in rules {
            self.line(&format!("{rule} ; {reason}"));
        }
    }

    fn execution(&mut self, plan: &Plan) {
        if let Some(only) = &plan.execution.only {
            self.line("; nothing else is executed");
            self.line("(deny process-exec)");
            if plan.execution.shell.is_some() {
                self.section("a shell", SHELL);
            }
            self.places("but this", "allow process-exec", "EXECUTED", only.len());
        }
        let never_in = plan.execution.never_in.len();
        self.places("nor here", "deny process-exec file-map-executable", "NOT_EXECUTED", never_in);
    }

    fn places(&mut self, title: &str, verb: &str, name: &str, count: usize) {
        if count > 0 {
            self.line(&format!("; {title}"));
        }
        for number in 0..count {
            self.line(&format!("({verb} (subpath (param \"{name}_{number}\")))"));
        }
    }
}

fn parameters(plan: &Plan) -> Vec<(String, PathBuf)> {
    let reserved = plan.reserved.iter().chain(&plan.socket_folders).map(|reserved| &reserved.path);
    let ways = ways(plan);
    let groups: [(&str, Vec<&PathBuf>); 7] = [
        ("READABLE", plan.only_readable.iter().flatten().collect()),
        ("WRITABLE", plan.writable.iter().collect()),
        ("PROTECTED", plan.read_only.iter().chain(reserved).collect()),
        ("HIDDEN", plan.hidden.iter().chain(&plan.emptied).collect()),
        ("WAY", ways.iter().collect()),
        ("EXECUTED", plan.execution.only.iter().flatten().collect()),
        ("NOT_EXECUTED", plan.execution.never_in.iter().collect()),
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
    let reserved = plan.reserved.iter().chain(&plan.socket_folders).map(|reserved| &reserved.path);
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
    use crate::execution::{Execution, StandIn};
    use crate::plan::{Placeholder, Reserved};
    use crate::policy::{Mode, Network};

    fn plan() -> Plan {
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted);
        plan.writable = vec!["/ws".into(), "/tmp".into()];
        plan.read_only = vec!["/ws/.git/hooks".into()];
        plan.reserved = vec![Reserved { path: "/ws/.codex".into(), placeholder: Placeholder::Folder }];
        plan.hidden = vec!["/Users/a/.ssh".into()];
        plan
    }

    fn limited(plan: Plan) -> Plan {
        let shell = Some(StandIn { place: "/bin/sh".into(), program: "/opt/splitter".into() });
        let execution =
            Execution { never_in: vec!["/ws".into()], only: Some(vec!["/usr/bin/git".into()]), shell };
        Plan { execution, ..plan }
    }

    #[test]
    fn what_is_executed_is_listed_and_nothing_in_such_a_place() {
        for plan in [plan(), Plan::unenforced(Mode::DangerFullAccess, Network::Enabled)] {
            assert!(!seatbelt_profile(&plan).contains("deny process-exec"));
            let profile = seatbelt_profile(&limited(plan));
            let at = |rule: &str| profile.find(rule).unwrap_or_else(|| panic!("no {rule} in\n{profile}"));
            let order = [
                "(deny process-exec)",
                "(literal \"/bin/sh\")",
                "(allow process-exec (subpath (param \"EXECUTED_0\")))",
                "(deny process-exec file-map-executable (subpath (param \"NOT_EXECUTED_0\")))",
            ];
            assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{profile}");
        }
    }

    #[test]
    fn later_rules_narrow_earlier_ones() {
        let profile = seatbelt_profile(&plan());
        let at = |rule: &str| profile.find(rule).unwrap_or_else(|| panic!("no {rule} in\n{profile}"));
        let order = [
            "(deny default)",
            "(deny network*)",
            "(allow file-read* file-map-executable)",
            "(allow file-read* file-map-executable file-write* (subpath (param \"WRITABLE_1\")))",
            "(deny file-read-data file-write* file-ioctl (subpath \"/dev\"))",
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
        plans.push(limited(plan()));
        plans.push(limited(Plan::unenforced(Mode::DangerFullAccess, Network::Enabled)));
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

    /// The rules of a profile without their comments.
    fn rules(plan: &Plan) -> Vec<String> {
        let profile = seatbelt_profile(plan);
        let lines = profile.lines().filter(|line| line.starts_with('('));
        lines.filter_map(|line| line.split(" ; ").next()).map(str::to_owned).collect()
    }

    /// What a profile says about an operation on a device, by the rules of the language that we use: the last one
    /// decides.
    fn device_is_open(plan: &Plan, operation: &str, device: &str, made_inside: bool) -> bool {
        let names_device = |rule: &str| {
            let literal = rule.contains(&format!("(literal \"{device}\")"));
            let below = rule
                .split("(subpath \"")
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
                .any(|root| Path::new(device).starts_with(root));
            let terminal = rule.contains("^/dev/ttys") && device.starts_with("/dev/ttys") && made_inside;
            let root = rule.contains("(param \"WRITABLE_0\")");
            literal || below || terminal || root || !rule.contains(" (")
        };
        let verbs = |rule: &str| {
            let verbs =
                rule.trim_start_matches('(').split(" (").next().unwrap_or_default().trim_end_matches(')');
            verbs.split(' ').any(|verb| match verb.strip_suffix('*') {
                Some(prefix) => operation.starts_with(prefix),
                None => verb == operation || verb == "default",
            })
        };
        let last = rules(plan).into_iter().rfind(|rule| verbs(rule) && names_device(rule));
        last.is_some_and(|rule| rule.starts_with("(allow"))
    }

    #[test]
    fn other_terminals_of_the_user_are_closed_and_those_made_inside_are_open() {
        // A root that holds all devices, and one that holds none.
        for root in ["/", "/ws"] {
            for only_readable in [None, Some(vec!["/".into()])] {
                let plan = Plan { writable: vec![root.into()], only_readable, ..plan() };
                for operation in ["file-read-data", "file-write-data", "file-ioctl"] {
                    assert!(device_is_open(&plan, operation, "/dev/ttys004", true), "{operation}");
                    assert!(!device_is_open(&plan, operation, "/dev/ttys004", false), "{operation}");
                    assert!(!device_is_open(&plan, operation, "/dev/disk0", false), "{operation}");
                    assert!(device_is_open(&plan, operation, "/dev/ptmx", false), "{operation}");
                }
            }
        }
    }

    #[test]
    fn what_a_program_needs_to_start_can_be_read_when_little_else_can() {
        let plan = Plan { only_readable: Some(vec!["/opt".into()]), writable: Vec::new(), ..plan() };
        for device in ["/dev/null", "/dev/urandom", "/dev/random", "/dev/fd/63"] {
            assert!(device_is_open(&plan, "file-read-data", device, false), "{device}");
        }
        assert!(device_is_open(&plan, "file-write-data", "/dev/null", false));
        assert!(!device_is_open(&plan, "file-write-data", "/dev/urandom", false));
        let rules = rules(&plan);
        for place in [
            "(literal \"/\")",
            "(subpath \"/System\")",
            "(subpath \"/usr/lib\")",
            "(subpath \"/private/var/db/dyld\")",
        ] {
            assert!(
                rules.iter().any(|rule| rule.starts_with("(allow file-read") && rule.contains(place)),
                "{place}"
            );
        }
        assert!(!rules.iter().any(|rule| rule == "(allow file-read* file-map-executable)"));
    }

    #[test]
    fn network_is_granted_only_when_asked_for() {
        let closed = rules(&plan());
        assert!(!closed.iter().any(|rule| rule.starts_with("(allow network") || rule.contains("socket")));
        let open = rules(&Plan { network: Network::Enabled, ..plan() });
        for operation in ["network-outbound (remote ip)", "network-bind network-inbound (local ip)"] {
            assert!(open.contains(&format!("(allow {operation})")), "{open:?}");
        }
    }

    #[test]
    fn sockets_with_a_path_are_the_hosts_own() {
        let open = rules(&Plan { network: Network::Enabled, ..plan() });
        for rule in open.iter().filter(|rule| rule.starts_with("(allow network")) {
            assert!(rule.contains(" ip)") || rule.contains("mDNSResponder"), "{rule}");
        }
    }

    #[test]
    fn no_address_has_a_port_that_the_language_refuses() {
        for network in [Network::Enabled, Network::Restricted] {
            let rules = rules(&Plan { network, ..plan() }).concat();
            assert!(!rules.contains(":0\"") && !rules.contains("127.0.0.1"), "{rules}");
        }
    }
}
