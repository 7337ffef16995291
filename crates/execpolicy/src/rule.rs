//! One rule as its author wrote it, and whether it fits one command.
//!
//! A rule says nothing about which file a program name stands for, and nothing about other rules: `evaluate` combines them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::command::Command;
use crate::decision::Decision;
use crate::pattern::Element;

/// Where a rule was written; lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The rule file.
    pub file: Arc<Path>,
    /// The line on which the call begins.
    pub line: usize,
    /// The column at which the call begins.
    pub column: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}

/// One `prefix_rule(…)`, for one program (alternatives in the first position make one rule each).
#[derive(Clone, Debug)]
pub struct PrefixRule {
    /// What the program must be: a bare name, or a full path.
    pub program: Element,
    /// What the arguments must begin with.
    pub arguments: Vec<Element>,
    /// What the rule says.
    pub decision: Decision,
    /// Why, in its author's words; never blank.
    pub justification: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}

impl PrefixRule {
    /// Whether the arguments begin with what the rule asks for; the program is compared by whoever chose the rule.
    #[must_use]
    pub(crate) fn arguments_match(&self, command: &Command<'_>) -> bool {
        command.args.len() >= self.arguments.len()
            && self
                .arguments
                .iter()
                .zip(&command.args)
                .all(|(element, argument)| element.matches(argument.as_encoded_bytes()))
    }

    /// Number of words that the pattern fixes, the program included: the longest match explains a decision best.
    #[must_use]
    pub fn length(&self) -> usize {
        1 + self.arguments.len()
    }
}
