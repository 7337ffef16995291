//! Git outside the sandbox: it runs what a repository's configuration says, and a repository can be written from inside.
//!
//! So, while a sandbox is enforced:
//!
//! * hooks and `core.fsmonitor` are switched off for every escalated `git` (`settings`): also hooks that the user wrote
//!   run what lies in the workspace;
//! * where the configuration of the repository can be written from inside, or the arguments make Git run a program or
//!   write elsewhere, an `allow` is not enough: a person is asked (`caution`). No list of settings could be complete there
//!   (aliases, filters, drivers and remotes have names of their own).

mod arguments;
mod repository;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use self::arguments::Invocation;
use super::environment::Variables;
use super::exec::Exec;
use super::trust::{Program, Trust};

/// What stands over the configuration of every escalated `git`.
const ALWAYS: &[(&str, &str)] = &[
    // No hook is found there.
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("protocol.ext.allow", "never"),
];

/// What is added where the repository can be written from inside and a person has said yes all the same.
const WHERE_WRITABLE: &[(&str, &str)] = &[
    ("core.sshCommand", "ssh"),
    ("core.pager", "cat"),
    ("core.editor", ":"),
    ("sequence.editor", ":"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("gpg.program", "gpg"),
    ("gpg.ssh.program", "ssh-keygen"),
    ("gpg.x509.program", "gpgsm"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("log.showSignature", "false"),
    ("interactive.diffFilter", "cat"),
    ("submodule.recurse", "false"),
    ("push.recurseSubmodules", "no"),
    ("fetch.recurseSubmodules", "false"),
    ("protocol.file.allow", "never"),
];

/// How Git has to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Care {
    /// Why a rule that allows is not enough.
    pub(super) caution: Option<String>,
    /// Settings that stand over the configuration.
    settings: Vec<(&'static str, &'static str)>,
}

/// Says how a program has to be run, if it is Git.
pub(super) fn care(program: &Program, exec: &Exec, trust: &Trust) -> Care {
    let is_git = program.canonical.file_name() == Some(OsStr::new("git"));
    if !is_git || !trust.is_enforced() {
        return Care::default();
    }
    let mut settings = ALWAYS.to_vec();
    let invocation = match arguments::read(exec) {
        Ok(invocation) => invocation,
        Err(why) => return Care { caution: Some(why), settings },
    };
    let repository = in_repository(&invocation, trust);
    if repository.is_some() {
        settings.extend_from_slice(WHERE_WRITABLE);
    }
    let caution = repository.or_else(|| talks_to_one_inside(&invocation, trust));
    Care { caution, settings }
}

/// Why the repository that Git would work on is not to be trusted.
fn in_repository(invocation: &Invocation<'_>, trust: &Trust) -> Option<String> {
    let found = repository::find(&invocation.directory)?;
    found
        .doubt(trust)
        .map(|what| format!("{what}, so hooks are not all that Git would run for whoever writes it"))
}

/// Why another repository that it names is not to be trusted: Git runs its hooks and obeys its configuration.
fn talks_to_one_inside(invocation: &Invocation<'_>, trust: &Trust) -> Option<String> {
    let talks = [
        "push",
        "fetch",
        "pull",
        "clone",
        "ls-remote",
        "send-pack",
        "fetch-pack",
        "archive",
        "submodule",
        "remote",
    ];
    if !talks.iter().any(|talking| invocation.subcommand == OsStr::new(talking)) {
        return None;
    }
    invocation.arguments.iter().find_map(|argument| {
        let bytes = argument.as_bytes();
        let path = bytes.strip_prefix(b"file://").unwrap_or(bytes);
        let path = invocation.directory.join(Path::new(OsStr::from_bytes(path)));
        let is_repository = path.join("HEAD").exists() || path.join(".git").exists();
        let path = path.canonicalize().ok().filter(|_| is_repository)?;
        let may = trust.may_be_written(&path) || trust.may_be_written(&path.join("hooks"));
        may.then(|| {
            format!(
                "{} is a repository that can be written from inside the sandbox, and Git runs its hooks",
                path.display()
            )
        })
    })
}

impl Care {
    /// Puts the settings over the configuration, behind those that the environment has already.
    pub(super) fn apply(&self, variables: &mut Variables) {
        if self.settings.is_empty() {
            return;
        }
        let count = variables.get(OsStr::new("GIT_CONFIG_COUNT"));
        let first: usize = count.and_then(|count| count.to_str()?.parse().ok()).unwrap_or(0);
        for (index, (key, value)) in (first..).zip(&self.settings) {
            variables.insert(format!("GIT_CONFIG_KEY_{index}").into(), (*key).into());
            variables.insert(format!("GIT_CONFIG_VALUE_{index}").into(), (*value).into());
        }
        let count = first + self.settings.len();
        variables.insert("GIT_CONFIG_COUNT".into(), OsString::from(count.to_string()));
    }
}

#[cfg(test)]
mod tests;
