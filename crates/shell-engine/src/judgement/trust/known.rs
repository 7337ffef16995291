//! What one call's programs are checked against.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use execpolicy::Run;
use sandbox::Plan;
use sandbox::resolve::has_protected_name;

use super::names::{self, OtherName, Remembered};
use crate::judgement::exec::Exec;
use crate::programs::{FileIdentity, Programs, walk};

/// What one call's programs are checked against.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    pub(super) programs: Arc<Programs>,
    pub(super) plan: Arc<Plan>,
    /// Where programs outside look for programs: found when the first one leaves, since most calls need it never.
    search_path: OnceLock<OsString>,
    remembered: Arc<Mutex<Remembered>>,
    /// What sandboxes here can hold.
    holds: Holds,
}

/// What sandboxes here can hold beyond what commands may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holds {
    /// That nothing in some places is executed.
    pub(crate) never_executed: bool,
    /// That nothing but some files is executed.
    pub(crate) only_executed: bool,
}

impl Trust {
    /// What is on `programs`' search path and cannot be written under `plan`.
    pub(crate) fn new(programs: Arc<Programs>, plan: Arc<Plan>) -> Trust {
        let holds = Holds { never_executed: true, only_executed: true };
        Trust { programs, plan, search_path: OnceLock::new(), remembered: Arc::default(), holds }
    }

    /// What commands may do.
    pub(in crate::judgement) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The same, where sandboxes can hold no more than this.
    pub(crate) fn holding(self, holds: Holds) -> Trust {
        Trust { holds, ..self }
    }

    /// Why a program cannot run this way here, so that it would have all that the user has.
    pub(in crate::judgement) fn cannot_hold(&self, run: Run) -> Option<String> {
        let Holds { never_executed, only_executed } = self.holds;
        let missing = match run {
            Run::Confined | Run::Outside if !never_executed => {
                "there is no mount namespace here, so nothing keeps it from executing what commands write"
            }
            Run::Confined if !only_executed => {
                "there is no Landlock here, so nothing keeps it to its own helpers"
            }
            Run::Inside | Run::Confined | Run::Outside | Run::Unconfined => return None,
        };
        Some(format!("{missing}, and it would run with all that you may do"))
    }

    /// Whether commands are kept from anything at all; without a sandbox only the ownership of files speaks for them.
    pub(crate) fn is_enforced(&self) -> bool {
        self.plan.mode.is_enforced()
    }

    /// Whether something can be changed from inside the sandbox. Without a sandbox everything can, which then says
    /// nothing.
    pub(in crate::judgement) fn may_be_written(&self, path: &Path) -> bool {
        self.is_enforced() && self.plan.may_write(path)
    }

    /// Whether a path leads over what commands can write, or over a link for which `is_written` holds.
    pub(in crate::judgement) fn is_steered(&self, path: &Path, is_written: impl Fn(&Path) -> bool) -> bool {
        match walk(path) {
            Ok(walk) => {
                walk.folders.iter().any(|folder| self.may_be_written(folder))
                    || walk.links.iter().any(|link| is_written(link))
            }
            Err(_) => path.ancestors().skip(1).any(|folder| self.may_be_written(folder)),
        }
    }

    /// Whether a command may remove something, with all that is in it, and takes nothing along by that which is more than its own
    /// content: a writable folder itself, a protected place, a repository's Git directory.
    pub(in crate::judgement) fn may_be_removed(&self, path: &Path) -> bool {
        let plan = &self.plan;
        let reserved = plan.reserved.iter().chain(&plan.socket_folders).map(|reserved| &reserved.path);
        let mut kept = plan.writable.iter().chain(&plan.read_only).chain(&plan.hidden).chain(reserved);
        self.may_be_written(path)
            && !kept.any(|place| place.starts_with(path))
            && path.file_name().is_some_and(|name| name != ".git")
            && !has_protected_name(path)
    }

    /// The folders that commands may write.
    pub(in crate::judgement) fn writable(&self) -> &[PathBuf] {
        &self.plan.writable
    }

    /// Every other name of what is about to run, for rules that ask or forbid; `None` when there are more than can be
    /// looked at.
    pub(in crate::judgement) fn other_names(&self, exec: &Exec) -> Option<Vec<OtherName>> {
        names::of_exec(&self.programs, &self.remembered, exec)
    }

    /// Other names of a program that a command would run, seen from `workdir`; `None` as above.
    pub(in crate::judgement) fn other_names_of_nested(
        &self,
        program: &OsStr,
        workdir: &Path,
    ) -> Option<Vec<OtherName>> {
        names::of_nested(&self.programs, program, workdir)
    }

    /// Whether finding all names may take long: a large file has to be compared.
    pub(in crate::judgement) fn must_read(&self, exec: &Exec) -> bool {
        exec.seen.as_ref().is_some_and(|state| self.programs.may_be_a_copy(state))
    }

    /// The file that a bare name means to the user.
    pub(super) fn meaning(&self, name: &OsStr) -> Option<(PathBuf, FileIdentity)> {
        self.programs.find(name)
    }

    /// A search path without folders that commands can write.
    pub(in crate::judgement) fn without_written(&self, search_path: &OsStr) -> OsString {
        Programs::new(search_path).search_path_outside(|path| self.may_be_written(path))
    }

    /// The search path of programs outside the sandbox.
    pub(in crate::judgement) fn search_path(&self) -> &OsStr {
        self.search_path.get_or_init(|| self.programs.search_path_outside(|path| self.may_be_written(path)))
    }

    /// The file that a bare name means to programs outside the sandbox.
    pub(in crate::judgement) fn meaning_outside(&self, name: &OsStr) -> Option<(PathBuf, FileIdentity)> {
        Programs::find_in(self.search_path(), name)
    }
}
