//! Which program is it? Names are the asker's claim; files are not.
//!
//! Two questions, and each errs on its own side:
//!
//! * *May it leave the sandbox as the program that a rule means?* [`Trust::vouch`] says yes only for the very file that
//!   the rule's name means to the user, in a place that nobody but root and the user can change, and nobody inside the
//!   sandbox can.
//! * *Does a rule that asks or forbids speak about it?* [`Trust::other_names`] gives every name that the file has beside
//!   the one that it was called by: links, copies, its interpreter, what it is told to run.
//!
//! # Layout
//!
//! * [`location`]: who can change what is there.
//! * [`meaning`]: the file that a bare name means.
//! * [`script`]: its interpreters.
//! * [`names`]: all names of what is about to run.

mod location;
mod meaning;
mod names;
mod script;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use execpolicy::RuleMatch;
use execpolicy::host::HostExecutables;
use sandbox::Plan;

use self::location::Location;
pub(super) use self::names::OtherName;
use super::exec::Exec;
use crate::programs::{FileIdentity, FileState, Programs, look_at, walk};

/// What one call's programs are checked against.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    programs: Arc<Programs>,
    plan: Arc<Plan>,
}

/// A program that may run outside the sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What is executed. Nobody inside the sandbox can make it mean another file.
    pub(crate) path: PathBuf,
    /// The file itself, free of links.
    pub(super) canonical: PathBuf,
    /// What it was when it was judged.
    pub(super) state: FileState,
}

impl Program {
    /// Whether what would be executed now is what was judged.
    pub(super) fn is_unchanged(&self) -> bool {
        look_at(&self.path).is_some_and(|now| now == self.state)
    }
}

/// Why a file does not leave the sandbox as the program that a rule means. The texts continue "not escalated: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Untrusted {
    /// There is no such file outside.
    #[error("{} cannot be looked at outside the sandbox", .0.display())]
    Absent(PathBuf),
    /// The path is another file inside.
    #[error("{} is another file outside the sandbox than inside", .0.display())]
    AnotherFile(PathBuf),
    /// It is no regular file.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The rule's name means another file.
    #[error("to the user `{name}` means {}, not {}", meant.display(), is.display())]
    MeansAnother {
        /// The rule's name.
        name: String,
        /// What it means.
        meant: PathBuf,
        /// What was about to run.
        is: PathBuf,
    },
    /// The rule's name means nothing.
    #[error(
        "`{0}` is not found on the server's search path, so the rule names no program of the user's; write its full path into the rule"
    )]
    MeansNothing(String),
    /// `host_executable` lists other files.
    #[error("{} is not one of the files that host_executable lists for `{name}`", is.display())]
    NotListed {
        /// The rule's name.
        name: String,
        /// What was about to run.
        is: PathBuf,
    },
    /// The place can be changed by others.
    #[error("{place}")]
    Place {
        /// What is wrong with it.
        place: location::Unsafe,
    },
    /// The script's interpreter is not to be trusted.
    #[error("it is a script, and its interpreter {} is not to be trusted: {why}", interpreter.display())]
    Interpreter {
        /// The interpreter.
        interpreter: PathBuf,
        /// Why.
        why: Box<Untrusted>,
    },
    /// The script's first line cannot be followed.
    #[error("the first line of {} names no interpreter that can be checked", .0.display())]
    UnclearInterpreter(PathBuf),
}

impl Trust {
    /// What is on `programs`' search path and cannot be written under `plan`.
    pub(crate) fn new(programs: Arc<Programs>, plan: Arc<Plan>) -> Trust {
        Trust { programs, plan }
    }

    /// Whether commands are kept from anything at all; without a sandbox only the ownership of files speaks for them.
    pub(crate) fn is_enforced(&self) -> bool {
        self.plan.mode.is_enforced()
    }

    /// Whether something can be changed from inside the sandbox. Without a sandbox everything can, which then says nothing.
    pub(super) fn may_be_written(&self, path: &Path) -> bool {
        self.is_enforced() && self.plan.may_write(path)
    }

    /// The folders that commands may write.
    pub(super) fn writable(&self) -> &[PathBuf] {
        &self.plan.writable
    }

    /// Whether something is hidden from commands.
    pub(super) fn is_hidden(&self, path: &Path) -> bool {
        self.plan.hidden.iter().any(|hidden| path.starts_with(hidden))
    }

    /// What is hidden from commands below a folder.
    pub(super) fn hidden_below(&self, folder: &Path) -> Option<&Path> {
        self.plan.hidden.iter().find(|hidden| hidden.starts_with(folder)).map(PathBuf::as_path)
    }

    /// Says which program would run outside, if it is the one that one of `rules` means.
    pub(super) fn vouch<'r>(
        &self,
        exec: &Exec,
        rules: impl Iterator<Item = &'r RuleMatch>,
        hosts: &HostExecutables,
    ) -> Result<Program, Untrusted> {
        let walk = walk(&exec.file).map_err(|_| Untrusted::Absent(exec.file.clone()))?;
        let state = look_at(&walk.canonical).ok_or_else(|| Untrusted::Absent(walk.canonical.clone()))?;
        if exec.seen.as_ref() != Some(&state) {
            return Err(Untrusted::AnotherFile(exec.file.clone()));
        }
        if !state.is_regular() {
            return Err(Untrusted::NotAFile(walk.canonical));
        }
        self.is_meant(&exec.file, &walk.canonical, state.identity(), rules, hosts)?;
        let place = Location { plan: &self.plan };
        place.check(&walk.canonical).map_err(|place| Untrusted::Place { place })?;
        script::check(self, &walk.canonical, exec.opened.as_ref(), 0)?;
        // A script may look at the name that it was called by, so it keeps it where nobody else can redirect it.
        let keeps_its_name = walk.folders.iter().all(|folder| place.check(folder).is_ok());
        let path = if keeps_its_name { exec.file.clone() } else { walk.canonical.clone() };
        Ok(Program { path, canonical: walk.canonical, state })
    }

    /// Every other name of what is about to run, for rules that ask or forbid.
    pub(super) fn other_names(&self, exec: &Exec) -> Vec<OtherName> {
        names::of_exec(&self.programs, exec)
    }

    /// Other names of a program that a command would run, seen from `workdir`.
    pub(super) fn other_names_of_nested(&self, program: &OsStr, workdir: &Path) -> Vec<OtherName> {
        names::of_nested(&self.programs, program, workdir)
    }

    /// Whether finding all names may take long: a large file has to be compared.
    pub(super) fn must_read(&self, exec: &Exec) -> bool {
        exec.seen.as_ref().is_some_and(|state| self.programs.may_be_a_copy(state))
    }

    /// The file that a bare name means to the user.
    fn meaning(&self, name: &OsStr) -> Option<(PathBuf, FileIdentity)> {
        self.programs.find(name)
    }

    /// The search path of programs outside the sandbox.
    pub(crate) fn search_path(&self) -> OsString {
        self.programs.search_path_outside(|path| self.may_be_written(path))
    }

    /// The file that a bare name means to programs outside the sandbox.
    fn meaning_outside(&self, name: &OsStr) -> Option<(PathBuf, FileIdentity)> {
        self.programs.find_outside(name, |path| self.may_be_written(path))
    }
}

#[cfg(test)]
mod tests;
