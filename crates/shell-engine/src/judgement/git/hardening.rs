//! How an escalated `git` has to be run, and whether a rule that allows it is enough.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::super::exec::Exec;
use super::super::trust::{Program, Trust};
use super::arguments::{self, Invocation};
use super::reading;
use super::remotes::{self, Peer};
use super::repository::{self, Repository};
use crate::config::Variables;

/// What stands over the configuration of every escalated `git`.
const ALWAYS: &[(&str, &str)] = &[
    // No hook is found there.
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("protocol.ext.allow", "never"),
    // Git starts itself in submodules, which anybody can make.
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("diff.ignoreSubmodules", "dirty"),
    ("diff.submodule", "short"),
    ("status.submoduleSummary", "false"),
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
    ("protocol.file.allow", "never"),
];

/// How Git has to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::judgement) struct Hardening {
    /// Why a rule that allows is not enough.
    pub(in crate::judgement) caution: Option<String>,
    /// Settings that stand over the configuration.
    settings: Vec<(&'static str, &'static str)>,
    /// Variables that name the repository that was judged.
    pinned: Vec<(&'static str, PathBuf)>,
}

/// Says how a program has to be run, if it is Git.
pub(in crate::judgement) fn hardening(program: &Program, exec: &Exec, trust: &Trust) -> Hardening {
    let is_git = program.canonical.file_name() == Some(OsStr::new("git"));
    if !is_git || !trust.is_enforced() {
        return Hardening::default();
    }
    let mut settings = ALWAYS.to_vec();
    let invocation = match invocation(exec) {
        Ok(invocation) => invocation,
        Err(why) => return Hardening { caution: Some(why), settings, pinned: Vec::new() },
    };
    let mut pinned = Vec::new();
    let caution = match judge(&invocation, trust) {
        Judged::InDoubt(why) => {
            settings.extend_from_slice(WHERE_WRITABLE);
            Some(why)
        }
        Judged::Leads(why) => Some(why),
        Judged::Fine(peer, variables) => {
            pinned = variables;
            if peer == Peer::Far {
                // Also what is put in an address's way after it was judged.
                settings.push(("protocol.file.allow", "never"));
            }
            None
        }
    };
    Hardening { caution, settings, pinned }
}

/// Reads a command line, or says what in it needs a person's eye.
fn invocation(exec: &Exec) -> Result<Invocation<'_>, String> {
    let invocation = arguments::read(exec)?;
    let subcommand = invocation.subcommand;
    match arguments::works_alone(subcommand) || remotes::talks(subcommand) {
        true => Ok(invocation),
        false => Err(format!("its subcommand {} may run other commands", arguments::quoted(subcommand))),
    }
}

/// What is found out about a command line.
#[derive(Debug, PartialEq, Eq)]
enum Judged {
    /// The repository that it works on could have been written from inside.
    InDoubt(String),
    /// It leads somewhere that needs a person's eye.
    Leads(String),
    /// Whom it talks to, and the variables that keep it to the repository that was judged.
    Fine(Peer, Vec<(&'static str, PathBuf)>),
}

fn judge(invocation: &Invocation<'_>, trust: &Trust) -> Judged {
    let found = repository::find(&invocation.directory);
    if let Some(what) = found.iter().find_map(|found| found.doubt(trust)) {
        return Judged::InDoubt(format!(
            "{what}, so hooks are not all that Git would run for whoever writes it"
        ));
    }
    let found = found.last();
    if let Some(why) = reading::beyond(invocation, found, trust) {
        return Judged::Leads(why);
    }
    let peer = match remotes::peer(invocation, found, trust) {
        Ok(peer) => peer,
        Err(why) => return Judged::Leads(why),
    };
    if let Some(file) = found.and_then(Repository::names_submodules) {
        return Judged::Leads(format!("{} names submodules, in which Git may start itself", file.display()));
    }
    // These leave the work tree alone.
    let looks = !["push", "ls-remote", "remote", "clone"].iter().any(|name| invocation.subcommand == *name);
    match found.filter(|_| looks).and_then(|found| found.doubt_below(trust)) {
        Some(why) => Judged::Leads(why),
        None => {
            // `clone` would take them for the new one.
            let pinned = found.filter(|_| invocation.subcommand != "clone").and_then(Repository::pinned);
            Judged::Fine(peer, pinned.into_iter().flatten().collect())
        }
    }
}

impl Hardening {
    /// Puts the settings over the configuration, behind those that the environment has already. Variables that name a
    /// repository are the user's own here, and stay.
    pub(in crate::judgement) fn apply(&self, variables: &mut Variables) {
        if self.pinned.iter().all(|(name, _)| !variables.contains_key(OsStr::new(name))) {
            variables.extend(self.pinned.iter().map(|(name, path)| ((*name).into(), path.into())));
        }
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
pub(super) mod tests;
