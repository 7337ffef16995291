//! What rights are on this machine, in this folder: paths in place of what stands for them, hosts in place of tools.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use execpolicy::rights::{Granted, Surroundings};
use execpolicy::{Policy, Rights};

use super::trust::Trust;
use crate::rules::ToolConfiguration;

/// What a rule grants where `variable` is the server's own environment, to a program that starts in this folder.
pub(super) fn granted(
    rights: &Rights,
    trust: &Trust,
    variable: &dyn Fn(&str) -> Option<OsString>,
    workdir: &Path,
    policy: &Policy,
) -> Granted {
    here(trust, variable, workdir, |around| steady(rights, trust, around, policy).granted(around))
}

/// The rights without what an administrator's bounds take away here, and what leads elsewhere.
pub(super) fn bounded(
    rights: &Rights,
    trust: &Trust,
    variable: &dyn Fn(&str) -> Option<OsString>,
    workdir: &Path,
    policy: &Policy,
) -> Rights {
    here(trust, variable, workdir, |around| steady(rights, trust, around, policy).bounded(around))
}

/// The rights without places of which commands, or what may write another place, say where they lead: that would be
/// another one by the time that it is given.
fn steady(rights: &Rights, trust: &Trust, around: &Surroundings<'_>, policy: &Policy) -> Rights {
    let is_written = |link: &Path| {
        let mut written = policy.written_grants().flat_map(|(_, grants)| &grants.write);
        written.any(|place| place.expand(around).is_some_and(|place| link.starts_with(place)))
    };
    rights.clone().without(around, |path| trust.is_steered(path, is_written), STEERED)
}

/// Why a place is not given that commands may exchange.
const STEERED: &str = "which lies where commands, or a program with rights, can exchange what it leads to";

fn here<T>(
    trust: &Trust,
    variable: &dyn Fn(&str) -> Option<OsString>,
    workdir: &Path,
    of: impl FnOnce(&Surroundings<'_>) -> T,
) -> T {
    let home = variable("HOME").map(PathBuf::from).or_else(home_folder::find);
    // Of a folder that the agent has gone to it says nothing that somebody works there.
    let is_of_workspace = |top: &PathBuf| {
        let mut roots = trust.writable().iter();
        !trust.is_enforced() || roots.any(|root| top.starts_with(root) || root.starts_with(top))
    };
    let top = sandbox::resolve::work_tree_of_folder(workdir).filter(is_of_workspace);
    let repository = top.and_then(|_| sandbox::resolve::repository_of(workdir, home.as_slice()));
    let tools = ToolConfiguration {
        home: home.as_deref(),
        variable,
        may_be_written: &|path| trust.may_be_written(path),
    };
    of(&Surroundings {
        variable,
        home: home.as_deref(),
        repository: repository.as_deref(),
        configured: &|tool| tools.hosts(tool),
    })
}

/// What tells a program where to fetch from whose own configuration it cannot read, as variables, where what the command has
/// set does not.
pub(super) fn add_addresses(
    rights: &Rights,
    trust: &Trust,
    variable: &dyn Fn(&str) -> Option<OsString>,
    (workdir, env): (&Path, &mut Vec<OsString>),
) {
    let home = variable("HOME").map(PathBuf::from).or_else(home_folder::find);
    let tools = ToolConfiguration {
        home: home.as_deref(),
        variable,
        may_be_written: &|path| trust.may_be_written(path),
    };
    let found = rights.grants.configured_hosts.iter().flat_map(|tool| tools.addresses(*tool, workdir));
    for (name, value) in found {
        let is_it = |entry: &OsString| {
            let name = name.as_bytes();
            let own = entry.as_encoded_bytes();
            own.get(..name.len()).is_some_and(|own| own.eq_ignore_ascii_case(name))
                && own.get(name.len()) == Some(&b'=')
        };
        if !env.iter().any(is_it) {
            env.push(format!("{name}={value}").into());
        }
    }
}

/// What is granted here, a line for each kind, and what is not and why.
pub(super) fn in_words(granted: &Granted) -> Vec<String> {
    let paths =
        |paths: &[PathBuf]| -> Vec<String> { paths.iter().map(|path| path.display().to_string()).collect() };
    let lists = [
        ("hosts", granted.hosts.iter().map(ToString::to_string).collect()),
        ("read", paths(&granted.read)),
        ("write", paths(&granted.write)),
        ("sockets", paths(&granted.sockets)),
        ("left out", granted.left_out.clone()),
        ("never read", paths(&granted.denied_read)),
        ("never written", paths(&granted.denied_write)),
        ("never reached", granted.denied_hosts.iter().map(ToString::to_string).collect()),
    ];
    let lists = lists.into_iter().filter(|(_, values)| !values.is_empty());
    lists.map(|(name, values): (_, Vec<String>)| format!("{name}: {}", values.join(", "))).collect()
}
