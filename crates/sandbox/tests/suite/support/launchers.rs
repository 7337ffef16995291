//! As whom and in which form a session is started, and whether it can be here.

use sandbox::{Launcher, Layers, Mode, Namespace, Network, Plan, Session};
use std::ffi::OsString;

pub(crate) fn launcher() -> Launcher {
    Launcher { program: env!("CARGO_BIN_EXE_sandbox-test-session").into(), ..Launcher::default() }
}

/// As [`launcher`], on a kernel that has no subreapers.
pub(crate) fn launcher_without_subreapers() -> Launcher {
    Launcher { arguments: vec!["without-subreapers".into()], ..launcher() }
}

/// Tries one system call and prints its outcome.
pub(crate) const TRY: &str = env!("CARGO_BIN_EXE_sandbox-test-try");

/// An unprivileged user who owns nothing: 65534, `nobody`.
pub(super) const NOBODY: u32 = 65534;

/// As whom a session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    Nobody,
}

/// In which form a session is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Everything,
    Landlock,
    Namespaces,
    /// Where namespaces of one kind cannot be made.
    Missing(Namespace),
}

/// Tells whether this kernel is older than a version of Linux.
pub(crate) fn is_older_than(major: u32, minor: u32) -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_str().unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap()) < (major, minor)
}

/// Tells whether a test can run, and says why not; where `TESTS_MUST_SANDBOX=1`, only a missing root is an excuse, and
/// a kernel that cannot have the form.
pub(crate) fn can_sandbox(user: User, form: Form) -> bool {
    if user == User::Root && !rustix::process::geteuid().is_root() {
        tell!("skipped: the tests do not run as root");
        return false;
    }
    if matches!(form, Form::Landlock | Form::Missing(Namespace::Mount)) && is_older_than(6, 2) {
        tell!("skipped: Landlock alone does not do before Linux 6.2 (ABI 3): truncation is not judged");
        return false;
    }
    let mut plan = Plan::unenforced(Mode::ReadOnly, Network::Restricted);
    plan.writable.clear();
    plan.layers = form.layers();
    let Err(missing) = Session::start(&launcher_in(user, form), &plan) else { return true };
    assert!(std::env::var_os("TESTS_MUST_SANDBOX").is_none(), "cannot sandbox: {missing}");
    tell!("skipped: {missing}");
    false
}

impl Form {
    pub(crate) fn layers(self) -> Layers {
        match self {
            Form::Everything => Layers::RequireNamespaces,
            Form::Landlock => Layers::WithoutNamespaces,
            Form::Namespaces => Layers::WithoutLandlock,
            Form::Missing(_) => Layers::Best,
        }
    }
}

/// A launcher that runs the session as the given user. As root, `setpriv` changes to `nobody`; otherwise the tests' own
/// user is unprivileged already.
pub(crate) fn launcher_of(user: User) -> Launcher {
    let own = launcher();
    if user == User::Root || !rustix::process::geteuid().is_root() {
        return own;
    }
    let id = NOBODY.to_string();
    let mut arguments: Vec<OsString> =
        ["--reuid", &id, "--regid", &id, "--clear-groups", "--"].map(OsString::from).to_vec();
    arguments.push(own.program.into());
    Launcher { program: "/usr/bin/setpriv".into(), arguments, ..Launcher::default() }
}

/// As [`launcher_of`], on a machine as the form describes it.
pub(crate) fn launcher_in(user: User, form: Form) -> Launcher {
    match form {
        Form::Missing(kind) => launcher_without(user, &[kind]),
        Form::Everything | Form::Landlock | Form::Namespaces => launcher_of(user),
    }
}

/// As [`launcher_of`], in a user namespace around the session's, in which the limits for namespaces of these kinds are
/// zero.
pub(crate) fn launcher_without(user: User, kinds: &[Namespace]) -> Launcher {
    let mut script: String = kinds
        .iter()
        .map(|kind| format!("echo 0 > /proc/sys/user/max_{}_namespaces && ", kind.name()))
        .collect();
    script.push_str("exec \"$@\"");
    let mut arguments: Vec<OsString> =
        ["--user", "--map-root-user", "sh", "-c", &script, "sh"].map(OsString::from).to_vec();
    if user == User::Nobody {
        // Another user again, with the limit of the namespace around it.
        arguments.extend(["unshare", "--user", "--map-user=65534", "--map-group=65534"].map(OsString::from));
    }
    arguments.push(launcher().program.into());
    Launcher { program: "/usr/bin/unshare".into(), arguments, ..Launcher::default() }
}
