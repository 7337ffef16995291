//! The answer to one command: everything that spoke, and what decided.

use std::ffi::OsString;
use std::sync::Arc;

use crate::dangerous::Danger;
use crate::decision::Decision;
use crate::rights::Rights;
use crate::rule::PrefixRule;
use crate::shell::Doubt;

/// One rule that fits the command.
#[derive(Clone, Debug)]
pub struct RuleMatch {
    /// The rule, with its file, line and justification.
    pub rule: Arc<PrefixRule>,
    /// The command's own words that the pattern covered. The first is the rule's program.
    pub matched_prefix: Vec<OsString>,
    /// Index into [`Evaluation::commands`] of the command that it fits; 0 is the whole command.
    pub part: usize,
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
    /// Rules that fit commands inside it (a script's, a wrapper's): one that asks or forbids, or enough that
    /// allow each of them.
    ///
    /// Not a reason to run the whole with other rights: the names inside are looked up later, where the asker
    /// decides what is found.
    Parts,
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
    pub(crate) commands: Vec<Vec<OsString>>,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) rights: Rights,
}

impl Evaluation {
    /// The answer.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// Where the answer comes from. Only [`DecidedBy::Rule`] may give a command rights that it would not have
    /// without rules.
    pub fn decided_by(&self) -> DecidedBy {
        self.decided_by
    }

    /// Every rule that matched, in the order in which the rules were read.
    #[must_use]
    pub fn matches(&self) -> &[RuleMatch] {
        &self.matches
    }

    /// The rule that decided: of the strictest, one for the whole command before one for a part, then the one
    /// that fixes most words, then the first by file and line.
    #[must_use]
    pub fn deciding_rule(&self) -> Option<&RuleMatch> {
        self.deciding.and_then(|index| self.matches.get(index))
    }

    /// What the program gets, if it runs: of rules that say the same about it, what all of them give; so, when its
    /// question is settled, what the rule gives that asks.
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// Commands that look dangerous and that no rule spoke about.
    #[must_use]
    pub fn dangers(&self) -> &[HeuristicMatch] {
        &self.dangers
    }

    /// One sentence on where the decision comes from; lower case, without a full stop.
    #[must_use]
    pub fn reason(&self) -> String {
        if self.decided_by == DecidedBy::IncompleteRules {
            return "some rule files could not be read, so every command is asked about".to_owned();
        }
        if let Some(one) = self.deciding_rule() {
            let rule = &one.rule;
            let why = rule.justification.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
            let prefix = typed(&one.matched_prefix);
            return format!("the rule at {} says {} for `{prefix}`{why}", rule.origin, rule.decision);
        }
        match self.dangers.first() {
            Some(one) => format!("`{}` {}", typed(&one.command), one.danger),
            None => "no rule speaks about it".to_owned(),
        }
    }

    /// The whole command first, then every command found inside it, in the order of the text.
    #[must_use]
    pub fn commands(&self) -> &[Vec<OsString>] {
        &self.commands
    }

    /// Why rules that allow the commands inside do not allow the whole; `None` when nothing speaks against
    /// it.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }
}

/// Words as one would type them; control characters are visible.
pub(crate) fn typed(words: &[OsString]) -> String {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    crate::examples::typed(&words).chars().map(visible).collect()
}

/// A character that would move the cursor or hide text is replaced by a mark.
fn visible(character: char) -> char {
    if character.is_control() || crate::shell::is_invisible(character) { '\u{fffd}' } else { character }
}

/// Picks the deciding one among the matches; independent of their order.
pub(crate) fn deciding(matches: &[RuleMatch]) -> Option<usize> {
    use std::cmp::Reverse;
    (0..matches.len()).min_by_key(|index| {
        matches.get(*index).map(|one| {
            (Reverse(one.rule.decision), one.part, Reverse(one.rule.length()), one.rule.origin.clone())
        })
    })
}
