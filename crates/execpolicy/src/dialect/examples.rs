//! Tries the `match` and `not_match` examples of a rule against the rules that its own call made.
//!
//! After the whole file is read, so that a rule may stand before the `host_executable` that it depends on.

use std::ops::Range;

use starlark::codemap::FileSpan;

use super::declarations::Declarations;
use crate::command::Command;
use crate::conditions::Unknown;
use crate::errors::RuleError;
use crate::examples::{Example, typed};
use crate::host::HostExecutables;
use crate::rule::{PrefixRule, ProgramToken};

/// The examples of one call, to be tried when the file is read to its end.
#[derive(Debug)]
pub(super) struct Pending {
    /// The call, for the error message.
    pub(super) span: Option<FileSpan>,
    /// The rules that the call made.
    pub(super) rules: Range<usize>,
    pub(super) matching: Vec<Vec<String>>,
    pub(super) not_matching: Vec<Vec<String>>,
}

impl Pending {
    /// Tries all examples of the call.
    ///
    /// # Errors
    /// Names the examples that are wrong, at the call's position.
    pub(super) fn verify(&self, declared: &Declarations) -> starlark::Result<()> {
        let rules = declared.rules.get(self.rules.clone()).unwrap_or_default();
        let matched = |words: &[String]| rules.iter().any(|rule| fits(rule, words, &declared.hosts));
        let quoted = |words: &Vec<String>| format!("`{}`", typed(words));
        let unmatched: Vec<String> =
            self.matching.iter().filter(|words| !matched(words)).map(quoted).collect();
        if !unmatched.is_empty() {
            return Err(self.error(RuleError::Unmatched(unmatched.join(", "))));
        }
        match self.not_matching.iter().find(|words| matched(words)) {
            Some(words) => Err(self.error(RuleError::Matched(quoted(words)))),
            None => Ok(()),
        }
    }

    /// The examples of the call, to be kept with the policy.
    pub(super) fn into_examples(self, rules: &[PrefixRule]) -> Vec<Example> {
        let Some(origin) = rules.get(self.rules.start).map(|rule| rule.origin.clone()) else {
            return Vec::new();
        };
        let keep = |matches| {
            let origin = origin.clone();
            move |words| Example { words, matches, origin: origin.clone() }
        };
        let not_matching = self.not_matching.into_iter().map(keep(false));
        self.matching.into_iter().map(keep(true)).chain(not_matching).collect()
    }

    fn error(&self, error: RuleError) -> starlark::Error {
        let mut error = starlark::Error::new_other(error);
        if let Some(span) = &self.span {
            error.set_span(span.span, &span.file);
        }
        error
    }
}

/// Whether the rule fits the example where its conditions hold; an absolute program also stands for its base
/// name.
fn fits(rule: &PrefixRule, words: &[String], hosts: &HostExecutables) -> bool {
    Command::from_words(words).is_some_and(|command| {
        rule.program_fit(&command, ProgramToken::Basename, hosts).is_some()
            && rule.arguments_match(&command, 0, Unknown::Fulfilled)
    })
}
