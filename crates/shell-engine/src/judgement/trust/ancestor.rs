//! The names that a program has for rules about what it starts.

use std::ffi::OsStr;
use std::path::Path;

use execpolicy::Ancestor;

use super::known::Trust;
use super::location::Location;
use crate::judgement::exec::Exec;
use crate::programs::{FileState, look_at};

impl Trust {
    /// The names of a program that starts others. It surely has those by which it is a file that nobody inside the
    /// sandbox can write; it may have all others: those of links and copies, and of the file that an interpreter reads.
    pub(crate) fn ancestor(&self, exec: &Exec) -> Ancestor {
        let mut ancestor = Ancestor::default();
        if let Some(state) = exec.seen.as_ref().filter(|state| state.is_regular()) {
            for name in self.certain_names(&exec.file, state) {
                ancestor = ancestor.with_certain(name.as_ref());
            }
        }
        let others = self.other_names(exec).unwrap_or_default();
        let operand = exec.arguments().iter().find(|argument| !argument.as_encoded_bytes().starts_with(b"-"));
        let others = others.iter().map(|other| other.program.as_path()).chain([exec.file.as_path()]);
        for path in others.chain(operand.map(Path::new)) {
            ancestor = ancestor.with_possible(path.as_os_str());
            ancestor = ancestor.with_possible(path.file_name().unwrap_or_default());
        }
        ancestor
    }

    fn certain_names<'e>(&self, file: &'e Path, state: &FileState) -> Vec<&'e OsStr> {
        let is_safe =
            file.canonicalize().is_ok_and(|real| Location { plan: &self.plan }.check(&real).is_ok());
        if !is_safe || look_at(file).as_ref() != Some(state) {
            return Vec::new();
        }
        let name = file.file_name().unwrap_or_default();
        let is_meant = self.meaning(name).is_some_and(|(_, meant)| meant == state.identity());
        std::iter::once(file.as_os_str()).chain(is_meant.then_some(name)).collect()
    }
}
