//! The file that a rule means by its program.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use execpolicy::RuleMatch;
use execpolicy::host::HostExecutables;
use execpolicy::pattern::Element;

use super::known::Trust;
use super::untrusted::Untrusted;
use crate::programs::{FileIdentity, look_at};

impl Trust {
    /// Whether the file is what one of the rules means: the rule names its path, or `host_executable` does, or it is
    /// what the rule's bare name means on the server's search path.
    pub(super) fn is_meant<'r>(
        &self,
        given: &Path,
        canonical: &Path,
        identity: FileIdentity,
        rules: impl Iterator<Item = &'r RuleMatch>,
        hosts: &HostExecutables,
    ) -> Result<(), Untrusted> {
        if rules.into_iter().any(names_the_path) {
            return Ok(());
        }
        // What is left are rules for the base name, which all mean the same.
        let name = given.file_name().unwrap_or_default();
        let shown = name.to_string_lossy().into_owned();
        if let Some(listed) = name.to_str().and_then(|name| hosts.paths(name)) {
            let is_listed =
                |path: &String| look_at(Path::new(path)).map(|state| state.identity()) == Some(identity);
            return if listed.iter().any(is_listed) {
                Ok(())
            } else {
                Err(Untrusted::NotListed { name: shown, is: canonical.to_owned() })
            };
        }
        match self.meaning(name) {
            Some((_, meant)) if meant == identity => Ok(()),
            Some((meant, _)) => Err(Untrusted::MeansAnother { name: shown, meant, is: canonical.to_owned() }),
            None => Err(Untrusted::MeansNothing(shown)),
        }
    }
}

/// Whether a rule says in full which file it means.
fn names_the_path(matched: &RuleMatch) -> bool {
    let rule = &matched.rule;
    let full = |word: &str| word.as_bytes().first() == Some(&b'/');
    let by_pattern = match &rule.program {
        Element::Word(word) => full(word),
        // An expression fits a path as a whole, so one that fitted by more than the base name named the path.
        Element::AnyOf(_) | Element::Expression(_) => {
            matched.matched_prefix.first().is_some_and(|program| program.as_bytes().contains(&b'/'))
        }
    };
    by_pattern || !rule.conditions.program_paths.is_empty()
}
