//! What a command cannot do, each beside what it can: one system call each, told by its error, in every form of the
//! sandbox and as root and as an ordinary user. Numbers are those of the project's list of known escapes.
//!
//! `cargo test -p sandbox walls -- --nocapture` prints the table.

use crate::support::{Form, Place, Shell, User, can_sandbox, is_older_than, launcher_without};
use sandbox::{Mode, Namespace, Session};
use std::fmt::Write as _;
use std::fs;

/// One thing that must be refused, and its twin that must work.
struct Case {
    number: &'static str,
    name: &'static str,
    /// Arguments for `sandbox-test-try`; empty when the denial has no sensible twin.
    twin: String,
    denied: String,
    /// Any of these errors proves the cause.
    errors: &'static [&'static str],
    /// Forms in which this is known not to be stopped; the session must then name gaps.
    open_in: &'static [Form],
}

fn case(
    number: &'static str,
    name: &'static str,
    twin: impl Into<String>,
    denied: impl Into<String>,
    errors: &'static [&'static str],
    open_in: &'static [Form],
) -> Case {
    Case { number, name, twin: twin.into(), denied: denied.into(), errors, open_in }
}

const WRITE: &[&str] = &["EROFS", "EACCES"];
const REFUSED: &[&str] = &["EPERM"];

#[rustfmt::skip]
fn file_cases(place: &Place) -> Vec<Case> {
    let ws = place.workspace.display();
    let out = place.outside.display();
    let home = place.home.display();
    let landlock_only = &[Form::Landlock];
    vec![
        case("44", "write outside", format!("write {ws}/file"), format!("write {out}/file"), WRITE, &[]),
        case("44", "create outside", format!("create {ws}/new"), format!("create {out}/new"), WRITE, &[]),
        case("44", "make a folder outside", format!("mkdir {ws}/folder"), format!("mkdir {out}/folder"), WRITE, &[]),
        case("44", "truncate outside", format!("truncate {ws}/file"), format!("truncate {out}/file"), WRITE, &[]),
        case("44", "remove outside", format!("remove {ws}/new"), format!("remove {out}/file"), WRITE, &[]),
        case("44", "rename out", format!("rename {ws}/folder {ws}/folder2"), format!("rename {ws}/folder2 {out}/folder2"), &["EROFS", "EACCES", "EXDEV"], &[]),
        case("44", "hard link in", format!("link {ws}/file {ws}/link"), format!("link {out}/file {ws}/link2"), &["EROFS", "EACCES", "EXDEV", "EPERM"], &[]),
        case("44", "change a mode outside", format!("chmod {ws}/file"), format!("chmod {out}/file"), WRITE, landlock_only),
        case("46", "write through a link", format!("write {ws}/inner-link"), format!("write {ws}/outer-link"), WRITE, &[]),
        case("46", "write through /proc/self/root", format!("write /proc/self/root{ws}/file"), format!("write /proc/self/root{out}/file"), WRITE, &[]),
        case("46", "write through a process outside", format!("write /proc/self/root{ws}/file"), format!("write /proc/{}/root{out}/file", place.outsider), &["ENOENT", "EACCES", "EPERM"], &[]),
        case("46", "write through ..", format!("write {ws}/.git/../file"), format!("write {ws}/../outside/file"), WRITE, &[]),
        case("31", "write .git/config", format!("create {ws}/.git/index.lock"), format!("write {ws}/.git/config"), WRITE, landlock_only),
        case("31", "make a hook", format!("mkdir {ws}/.git/objects/aa"), format!("create {ws}/.git/hooks/pre-commit"), WRITE, landlock_only),
        case("31", "replace .git", format!("mkdir {ws}/other"), format!("rename {ws}/.git {ws}/git"), &["EBUSY"], landlock_only),
        case("31", "replace .git/config", "", format!("rename {ws}/file {ws}/.git/config"), &["EBUSY", "EROFS", "EXDEV"], landlock_only),
        case("31", "redirect .git's settings", "", format!("rename {ws}/file {ws}/.git/commondir"), &["EBUSY", "EROFS", "EXDEV"], landlock_only),
        case("47", "make .codex's rules", format!("create {ws}/rules"), format!("create {ws}/.codex/default.rules"), WRITE, landlock_only),
        case("47", "make .mcp.json", "", format!("create {ws}/.mcp.json"), &["EEXIST"], landlock_only),
        case("47", "remove the held .mcp.json", "", format!("rename {ws}/.mcp.json {ws}/x"), &["EBUSY"], landlock_only),
        case("47", "write .vscode/tasks.json", "", format!("write {ws}/.vscode/tasks.json"), WRITE, landlock_only),
        case("-", "read a private key", format!("read {home}/notes"), format!("read {home}/.ssh/id_ed25519"), &["EACCES", "ENOENT"], &[]),
        case("-", "read a password file", "", format!("read {home}/.netrc"), &["EACCES"], &[]),
        case("56", "write /proc/sys", "read /proc/sys/kernel/ostype", "write /proc/sys/kernel/core_pattern", WRITE, &[]),
        case("56", "write /sys", "list /sys", "write /sys/power/state", &["EROFS", "EACCES", "ENOENT"], &[]),
        case("56", "open a disk", "write /dev/null", format!("write {}", place.disk), &["ENOENT", "EACCES"], &[]),
        case("56", "write to a terminal outside", "", format!("write {}", place.terminal), &["ENOENT", "EACCES", "EROFS"], &[]),
        case("-", "shared memory outside", "", format!("write {}", place.shared.display()), &["ENOENT", "EACCES"], &[]),
        case("-", "write init's memory", "", "write /proc/1/mem", &["EROFS", "EACCES"], &[]),
    ]
}

#[rustfmt::skip]
fn process_cases(place: &Place) -> Vec<Case> {
    // Signals are in Landlock's scope since ABI 6 (Linux 6.12).
    let before_scopes: &[Form] = if is_older_than(6, 12) { &[Form::Missing(Namespace::Pid)] } else { &[] };
    vec![
        case("54", "signal a process outside", "kill 0", format!("kill {}", place.outsider), &["ESRCH", "EPERM"], before_scopes),
        case("55", "read a process's environment outside", "read /proc/self/environ", format!("read /proc/{}/environ", place.outsider), &["ENOENT", "EACCES"], &[]),
        case("55", "read a process's command line outside", "read /proc/self/cmdline", format!("read /proc/{}/cmdline", place.outsider), &["ENOENT"], &[Form::Landlock, Form::Missing(Namespace::Pid)]),
        case("13", "trace", "call getpid", "call ptrace 0", REFUSED, &[]),
        case("13", "read memory", "", "call process_vm_readv 1", REFUSED, &[]),
        case("13", "take a descriptor", "", "call pidfd_getfd 0 0 0", REFUSED, &[]),
        case("51", "unshare users", "call unshare 0", "call unshare 0x10000000", REFUSED, &[]),
        case("51", "unshare mounts", "", "call unshare 0x20000", REFUSED, &[]),
        case("51", "clone users", "call clone 17", "call clone 0x10000011", REFUSED, &[]),
        case("51", "clone users, high bits set", "", "call clone 0x110000011", REFUSED, &[]),
        case("51", "clone3", "", "call clone3 0 0", &["ENOSYS"], &[]),
        case("51", "enter a namespace", "", "call setns 0 0", REFUSED, &[]),
        case("51", "mount", "", "call mount 0 0 0 0 0", REFUSED, &[]),
        case("51", "umount", "", "call umount2 0 0", REFUSED, &[]),
        case("51", "open_tree", "", "call open_tree 0 0 0", REFUSED, &[]),
        case("51", "mount_setattr", "", "call mount_setattr 0 0 0 0 0", REFUSED, &[]),
        case("51", "pivot_root", "", "call pivot_root 0 0", REFUSED, &[]),
        case("51", "chroot", "", "call chroot 0", REFUSED, &[]),
        case("51", "bpf", "", "call bpf 0 0 0", REFUSED, &[]),
        case("51", "userfaultfd", "", "call userfaultfd 0", REFUSED, &[]),
        case("51", "perf", "", "call perf_event_open 0 0 0 0 0", REFUSED, &[]),
        case("51", "keyctl", "", "call keyctl 0 0 0 0 0", REFUSED, &[]),
        case("51", "add_key", "", "call add_key 0 0 0 0 0", REFUSED, &[]),
        case("51", "load a module", "", "call init_module 0 0 0", REFUSED, &[]),
        case("51", "kexec", "", "call kexec_load 0 0 0 0", REFUSED, &[]),
        case("51", "open by handle", "", "call open_by_handle_at 0 0 0", REFUSED, &[]),
        case("48", "io_uring", "", "call io_uring_setup 1 0", &["ENOSYS"], &[]),
        case("49", "TIOCSTI", "", "call ioctl 0 0x5412 0", REFUSED, &[]),
        case("49", "TIOCSTI, high bits set", "", "call ioctl 0 0x100005412 0", REFUSED, &[]),
        case("49", "TIOCLINUX", "", "call ioctl 0 0x541c 0", REFUSED, &[]),
        case("9", "x32 numbers", "", "x32", &["killed"], &[]),
        case("-", "packet socket", "pair", "call socket 17 3 0", REFUSED, &[]),
        case("-", "vsock", "", "call socket 40 1 0", REFUSED, &[]),
        case("-", "kernel crypto socket", "", "call socket 38 5 0", REFUSED, &[]),
        case("-", "netlink audit", "", "call socket 16 3 9", &["EPROTONOSUPPORT"], &[]),
    ]
}

#[rustfmt::skip]
fn network_cases(place: &Place, form: Form) -> Vec<Case> {
    // Without mounts, a loopback of its own costs the Unix sockets that have a name.
    let listen = match form {
        Form::Missing(Namespace::Mount) => "listen-tcp".to_owned(),
        Form::Everything | Form::Landlock | Form::Namespaces | Form::Missing(_) => format!("listen {}/own.sock", place.workspace.display()),
    };
    vec![
        case("-", "TCP to a server outside", "pair", format!("connect-tcp {}", place.tcp), &["ECONNREFUSED", "EPERM", "ENETUNREACH"], &[]),
        case("-", "TCP to the internet", "", "connect-tcp 192.0.2.1:80", &["ENETUNREACH", "EPERM"], &[]),
        case("48", "a daemon's socket", listen, format!("connect {}", place.socket.display()), &["ECONNREFUSED", "EPERM", "EACCES", "ENOENT"], &[]),
        case("48", "a datagram to a daemon's socket", "", format!("send {}", place.datagram_socket.display()), &["ECONNREFUSED", "EPERM", "EACCES", "ENOENT"], &[]),
        case("50", "an abstract socket", "", format!("connect-abstract {}", place.abstract_name), &["ECONNREFUSED", "EPERM"], &[]),
    ]
}

fn outcome(shell: &Shell, arguments: &str) -> String {
    let script = format!("{} {arguments}; [ $? -lt 128 ] || echo killed", crate::support::TRY);
    // A shell says "Bad system call" by itself first.
    shell.run(&script).output.lines().last().unwrap_or_default().to_owned()
}

fn check(user: User, form: Form) {
    if !can_sandbox(user, form) {
        return;
    }
    let place = Place::new(user);
    let plan = place.plan(Mode::WorkspaceWrite, form);
    let mut shell = Shell::in_form(user, form, &plan);
    shell.directory.clone_from(&place.workspace);
    let level = shell.session.enforcement().to_string();
    let cases =
        file_cases(&place).into_iter().chain(process_cases(&place)).chain(network_cases(&place, form));
    // Without mounts only Landlock is left to keep files.
    let alike = if form == Form::Missing(Namespace::Mount) { Form::Landlock } else { form };
    let (mut table, mut wrong) = (String::new(), String::new());
    for case in cases {
        let twin = if case.twin.is_empty() { "ok".to_owned() } else { outcome(&shell, &case.twin) };
        let denied = outcome(&shell, &case.denied);
        let is_open = case.open_in.contains(&alike);
        let right = twin == "ok" && (is_open || case.errors.contains(&denied.as_str()));
        let result = if is_open {
            "not stopped here, and said"
        } else if right {
            "stopped"
        } else {
            "WRONG"
        };
        writeln!(table, "{:>3}  {:<38} {:<13} {result}", case.number, case.name, denied).unwrap();
        if !right {
            writeln!(
                wrong,
                "{} ({}): twin `{}`: {twin}; `{}`: {denied}",
                case.name, case.number, case.twin, case.denied
            )
            .unwrap();
        }
    }
    tell!("--- {user:?}, {level}\n{table}");
    for gap in &shell.session.enforcement().gaps {
        tell!("gap: {gap}");
    }
    if alike == Form::Landlock {
        assert!(!shell.session.enforcement().gaps.is_empty());
        assert!(!shell.session.enforcement().has(Namespace::Mount));
    }
    assert!(wrong.is_empty(), "{user:?}, {level}:\n{wrong}");
    assert_eq!(fs::read_to_string(place.outside.join("file")).unwrap(), "outside");
    drop(shell);
    // With Landlock alone the cases above have changed what mounts would have protected.
    if alike != Form::Landlock {
        place.assert_nothing_left();
    }
}

#[test]
fn root_with_everything() {
    check(User::Root, Form::Everything);
}

#[test]
fn root_with_landlock_alone() {
    check(User::Root, Form::Landlock);
}

#[test]
fn root_with_namespaces_alone() {
    check(User::Root, Form::Namespaces);
}

#[test]
fn nobody_with_everything() {
    check(User::Nobody, Form::Everything);
}

#[test]
fn nobody_with_landlock_alone() {
    check(User::Nobody, Form::Landlock);
}

#[test]
fn nobody_with_namespaces_alone() {
    check(User::Nobody, Form::Namespaces);
}

#[test]
fn what_cannot_be_had_costs_only_itself() {
    let levels = [
        (Namespace::Network, "namespaces(user,mnt,pid,ipc,uts)"),
        (Namespace::Pid, "namespaces(user,mnt,ipc,net,uts)"),
        (Namespace::Mount, "namespaces(user,ipc,net,uts)"),
        (Namespace::Ipc, "namespaces(user,mnt,pid,net,uts)"),
    ];
    for (user, (missing, level)) in
        levels.into_iter().flat_map(|level| [(User::Root, level), (User::Nobody, level)])
    {
        let form = Form::Missing(missing);
        if !can_sandbox(user, form) {
            continue;
        }
        let place = Place::new(User::Root);
        let shell = Shell::in_form(user, form, &place.plan(Mode::WorkspaceWrite, form));
        assert!(
            shell.session.enforcement().to_string().starts_with(level),
            "{user:?}: {}",
            shell.session.enforcement()
        );
        let reasons = &shell.session.enforcement().fallbacks;
        assert_eq!(reasons.len(), 1, "said once: {reasons:?}");
    }
}

#[test]
fn root_without_a_network_namespace() {
    check(User::Root, Form::Missing(Namespace::Network));
}

#[test]
fn root_without_a_pid_namespace() {
    check(User::Root, Form::Missing(Namespace::Pid));
}

#[test]
fn root_without_a_mount_namespace() {
    check(User::Root, Form::Missing(Namespace::Mount));
}

/// The host's processes lead to its mounts, so something must keep them apart.
#[test]
fn root_whose_processes_nothing_keeps_apart_has_no_session() {
    if !can_sandbox(User::Root, Form::Namespaces) {
        return;
    }
    let place = Place::new(User::Root);
    let plan = place.plan(Mode::WorkspaceWrite, Form::Namespaces);
    let started = |missing: &[Namespace]| Session::start(&launcher_without(User::Root, missing), &plan);
    for enough in [Namespace::Pid, Namespace::User] {
        started(&[enough]).unwrap();
    }
    let refusal = started(&[Namespace::User, Namespace::Pid]).unwrap_err().to_string();
    assert!(refusal.contains("through its processes"), "{refusal}");
}
