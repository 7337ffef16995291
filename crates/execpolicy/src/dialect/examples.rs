//! The `match` and `not_match` examples of a rule: each is tried against the rules that its own call made.
//!
//! Tried after the whole file is read, so that a rule may stand before what it depends on.

use std::ops::Range;

use starlark::codemap::FileSpan;

use super::file::Declarations;
use crate::command::{Command, basename};
use crate::errors::RuleError;
use crate::pattern::Element;
use crate::rule::PrefixRule;

/// One example: the words of a command.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) words: Vec<String>,
}

/// The examples of one call, to be tried when the file is read to its end.
#[derive(Debug)]
pub(super) struct Pending {
    /// The call, for the error message.
    pub(super) span: Option<FileSpan>,
    /// The rules that the call made.
    pub(super) rules: Range<usize>,
    pub(super) matching: Vec<Example>,
    pub(super) not_matching: Vec<Example>,
}

impl Pending {
    /// Tries all examples of the call.
    ///
    /// # Errors
    /// Names the examples that are wrong, at the call's position.
    pub(super) fn verify(&self, declared: &Declarations) -> starlark::Result<()> {
        let rules = declared.rules.get(self.rules.clone()).unwrap_or_default();
        let unmatched: Vec<String> = self
            .matching
            .iter()
            .filter(|example| !rules.iter().any(|rule| fits(rule, example)))
            .map(Example::quoted)
            .collect();
        if !unmatched.is_empty() {
            return Err(self.error(RuleError::Unmatched(unmatched.join(", "))));
        }
        match self.not_matching.iter().find(|example| rules.iter().any(|rule| fits(rule, example))) {
            Some(example) => Err(self.error(RuleError::Matched(example.quoted()))),
            None => Ok(()),
        }
    }

    fn error(&self, error: RuleError) -> starlark::Error {
        let mut error = starlark::Error::new_other(error);
        if let Some(span) = &self.span {
            error.set_span(span.span, &span.file);
        }
        error
    }
}

impl Example {
    fn quoted(&self) -> String {
        let words = self.words.iter().map(String::as_str);
        let joined = shlex::try_join(words).unwrap_or_else(|_| self.words.join(" "));
        format!("`{joined}`")
    }
}

/// Whether the rule fits the example; an absolute program also stands for its base name.
fn fits(rule: &PrefixRule, example: &Example) -> bool {
    let Some(command) = Command::from_words(&example.words) else { return false };
    let Element::Word(program) = &rule.program else { return false };
    let given = command.program().as_encoded_bytes();
    (program.as_bytes() == given || program.as_bytes() == basename(given)) && rule.arguments_match(&command)
}
