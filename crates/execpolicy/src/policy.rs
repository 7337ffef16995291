//! All rules that are in force, indexed by the program that they name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::pattern::Element;
use crate::rule::PrefixRule;

/// The rules in force. Cheap to clone; a clone shares its rules.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Arc<PrefixRule>>,
    /// First word, a bare name or a full path, → indices into `rules`.
    by_program: HashMap<Vec<u8>, Vec<usize>>,
    incomplete: bool,
}

impl Policy {
    /// A policy without rules: every command is left to the heuristics.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// All rules, in the order in which they were read.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &PrefixRule> {
        self.rules.iter().map(AsRef::as_ref)
    }

    /// Whether some rules could not be read, so that nothing may be allowed without asking.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Remembers that rules are missing: from now on no command is allowed without asking.
    pub(crate) fn mark_incomplete(&mut self) {
        self.incomplete = true;
    }

    pub(crate) fn add(&mut self, rule: PrefixRule) {
        let index = self.rules.len();
        if let Element::Word(word) = &rule.program {
            self.by_program.entry(word.as_bytes().to_vec()).or_default().push(index);
        }
        self.rules.push(Arc::new(rule));
    }

    /// The rules whose first word is exactly this.
    pub(crate) fn rules_for<'a>(&'a self, first_word: &[u8]) -> impl Iterator<Item = &'a Arc<PrefixRule>> {
        self.by_program.get(first_word).into_iter().flatten().filter_map(|index| self.rules.get(*index))
    }
}
