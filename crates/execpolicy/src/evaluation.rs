//! The answer to one command: everything that spoke, and what decided.

use std::ffi::OsString;
use std::sync::Arc;

use crate::dangerous::Danger;
use crate::decision::Decision;
use crate::rule::PrefixRule;

/// One rule that fits the command.
#[derive(Clone, Debug)]
pub struct RuleMatch {
    /// The rule, with its file, line and justification.
    pub rule: Arc<PrefixRule>,
    /// The command's own words that the pattern covered. The first is the rule's program.
    pub matched_prefix: Vec<OsString>,
    /// The executable's path, when the rule was found by its base name through an absolute path.
    pub resolved_program: Option<OsString>,
}

/// A command that no rule spoke about and that looks dangerous.
#[derive(Clone, Debug)]
pub struct HeuristicMatch {
    /// The words of the dangerous command.
    pub command: Vec<OsString>,
    /// What is dangerous about it.
    pub danger: Danger,
}

/// What the decision comes from.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// A rule that fits the command itself.
    Rule,
    /// No rule fits, and the command looks dangerous.
    Heuristic,
    /// Some rule files could not be read, so nothing is allowed unasked.
    IncompleteRules,
    /// Nothing speaks against it, and nothing for it either: it is allowed, but gains no right by it.
    Nothing,
}

/// The judgement of one command.
#[must_use]
#[derive(Clone, Debug)]
pub struct Evaluation {
    pub(crate) decision: Decision,
    pub(crate) decided_by: DecidedBy,
    pub(crate) matches: Vec<RuleMatch>,
    pub(crate) deciding: Option<usize>,
    pub(crate) dangers: Vec<HeuristicMatch>,
}

impl Evaluation {
    /// The answer.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// Where the answer comes from. Only [`DecidedBy::Rule`] may give a command rights that it would not have without rules.
    pub fn decided_by(&self) -> DecidedBy {
        self.decided_by
    }

    /// Every rule that matched, in the order in which the rules were read.
    #[must_use]
    pub fn matches(&self) -> &[RuleMatch] {
        &self.matches
    }

    /// The rule that decided: of the strictest, the one that fixes most words; of these, the first by file and line.
    #[must_use]
    pub fn deciding_rule(&self) -> Option<&RuleMatch> {
        self.deciding.and_then(|index| self.matches.get(index))
    }

    /// The deciding rule's justification.
    #[must_use]
    pub fn justification(&self) -> Option<&str> {
        self.deciding_rule()?.rule.justification.as_deref()
    }

    /// Commands that look dangerous and that no rule spoke about.
    #[must_use]
    pub fn dangers(&self) -> &[HeuristicMatch] {
        &self.dangers
    }
}

/// Picks the deciding one among the matches; independent of their order.
pub(crate) fn deciding(matches: &[RuleMatch]) -> Option<usize> {
    use std::cmp::Reverse;
    (0..matches.len()).min_by_key(|index| {
        matches
            .get(*index)
            .map(|one| (Reverse(one.rule.decision), Reverse(one.rule.length()), one.rule.origin.clone()))
    })
}
