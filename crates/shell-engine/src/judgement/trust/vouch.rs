//! Says whether a program may leave the sandbox as the one that a rule means.

use std::path::PathBuf;

use execpolicy::RuleMatch;
use execpolicy::host::HostExecutables;

use super::known::Trust;
use super::location::Location;
use super::script;
use super::untrusted::Untrusted;
use crate::judgement::exec::Exec;
use crate::programs::{FileState, look_at, walk};

/// A program that may run outside the sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What is executed. Nobody inside the sandbox can make it mean another file.
    pub(crate) path: PathBuf,
    /// The file itself, free of links.
    pub(in crate::judgement) canonical: PathBuf,
    /// What it was when it was judged.
    pub(in crate::judgement) state: FileState,
}

impl Program {
    /// Whether it gains rights by being executed (set-user-ID, file capabilities), which no sandbox lets it.
    pub(in crate::judgement) fn gains_rights(&self) -> bool {
        let has_capabilities = || {
            let mut value = [0_u8; 64];
            rustix::fs::getxattr(&self.canonical, "security.capability", &mut value[..]).is_ok()
        };
        self.state.gives_its_owners_rights() || has_capabilities()
    }

    /// Whether what would be executed now is what was judged.
    pub(in crate::judgement) fn is_unchanged(&self) -> bool {
        look_at(&self.path).is_some_and(|now| now == self.state)
    }
}

impl Trust {
    /// Says which program would run outside, if it is the one that one of `rules` means.
    pub(in crate::judgement) fn vouch<'r>(
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
}
