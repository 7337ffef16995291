//! What can be wrong with the text of rules; every error names its file.

use std::fmt;
use std::path::PathBuf;

/// Why the text of a file is not valid.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// A rules file.
    #[error("failed to parse rules file {}: {problem}", file.display())]
    Rules {
        /// The file as it was named.
        file: PathBuf,
        /// What is wrong, and where.
        problem: Box<Problem>,
    },
    /// An administrator's file.
    #[error("failed to parse requirements file {}: {what}", file.display())]
    Requirements {
        /// The file as it was named.
        file: PathBuf,
        /// What is wrong, with the line.
        what: String,
    },
}

/// What is wrong in the text of a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in one sentence.
    pub message: String,
    /// Line and column, from 1; `None` when the problem is with the file as a whole.
    pub position: Option<(usize, usize)>,
    /// The message with file, line, column and an excerpt, ready to print.
    pub rendered: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.rendered)
    }
}

/// What is wrong with one call in a rules file; its text is part of the language (users search for it).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The pattern, or a part of it.
    #[error("invalid pattern element: {0}")]
    Pattern(String),
    /// An example.
    #[error("invalid example: {0}")]
    Example(String),
    /// Another part of the rule.
    #[error("invalid rule: {0}")]
    Rule(String),
    /// The word of a rule's decision.
    #[error("{}", wrong_decision(.0, "forbidden"))]
    Decision(String),
    /// The word of a network rule's decision.
    #[error("{}", wrong_decision(.0, "deny"))]
    NetworkDecision(String),
    /// A `match` example that no rule of its call matches.
    #[error("expected every example to match at least one rule of this call; unmatched: {0}")]
    Unmatched(String),
    /// A `not_match` example that a rule of its call matches.
    #[error("expected example to not match rule: {0}")]
    Matched(String),
    /// More rules than one file may make.
    #[error("a rules file may not make more than {0} rules")]
    TooMany(usize),
}

/// `no` is the word that stands for *never* there.
fn wrong_decision(word: &str, no: &'static str) -> String {
    let meant = match word.to_lowercase().as_str() {
        "deny" | "denied" | "block" | "forbid" | "forbidden" | "reject" | "never" => Some(no),
        "ask" | "confirm" => Some("prompt"),
        "permit" | "accept" | "always" => Some("allow"),
        other => nearest(other, &["allow", "prompt", no]),
    };
    format!("invalid decision: {word}; it is \"allow\", \"prompt\" or \"{no}\"{}", did_you_mean(meant))
}

/// The known word that is most like one, if it is like one at all.
pub(crate) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    // As clap measures it for mistyped options.
    const ALIKE: f64 = 0.7;
    let measured = known.iter().map(|known| (strsim::jaro(word, known), *known));
    measured
        .filter(|(alike, _)| *alike > ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

pub(crate) fn did_you_mean(word: Option<&str>) -> String {
    word.map(|word| format!("; did you mean \"{word}\"?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::RuleError;

    #[test]
    fn a_word_that_is_no_decision_is_answered_with_those_that_are() {
        let said = |word: &str| RuleError::Decision(word.into()).to_string();
        let words = "it is \"allow\", \"prompt\" or \"forbidden\"";
        assert_eq!(said("maybe"), format!("invalid decision: maybe; {words}"));
        for (word, meant) in [
            ("alow", "allow"),
            ("Allow", "allow"),
            ("deny", "forbidden"),
            ("forbiden", "forbidden"),
            ("ask", "prompt"),
        ] {
            assert_eq!(said(word), format!("invalid decision: {word}; {words}; did you mean \"{meant}\"?"));
        }
        let network = RuleError::NetworkDecision("block".into()).to_string();
        assert!(network.ends_with("or \"deny\"; did you mean \"deny\"?"), "{network}");
    }
}
