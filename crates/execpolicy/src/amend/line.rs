//! The text of an added rule.

use std::ffi::OsString;

use super::broad::too_broad;
use crate::decision::Decision;
use crate::evaluation::{DecidedBy, Evaluation};
use crate::network::{Protocol, normalise_host};

/// A rule to be added, known to be valid and not too broad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    line: String,
}

/// Why a rule cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmendmentError {
    /// It would allow far more than was asked for.
    #[error("a rule for this prefix would allow too much: {0}")]
    TooBroad(&'static str),
    /// Rule files are text.
    #[error("a word of the command is not UTF-8")]
    NotText,
    /// The host of a network rule is not a host.
    #[error("{0}")]
    Host(String),
    /// The justification is blank.
    #[error("a justification must not be blank")]
    BlankJustification,
}

impl Amendment {
    /// A rule that allows every command that begins with these words.
    ///
    /// # Errors
    /// The prefix is too broad, or not text.
    pub fn allow(words: &[OsString]) -> Result<Self, AmendmentError> {
        Self::prefix(words, Decision::Allow)
    }

    /// A rule about every command that begins with these words.
    ///
    /// # Errors
    /// The prefix is empty, not text, or too broad to be allowed.
    pub fn prefix(words: &[OsString], decision: Decision) -> Result<Self, AmendmentError> {
        let words: Vec<&str> = words
            .iter()
            .map(|word| word.to_str().ok_or(AmendmentError::NotText))
            .collect::<Result<_, _>>()?;
        let refused = match decision {
            Decision::Allow => too_broad(&words),
            Decision::Prompt | Decision::Forbidden => words.is_empty().then_some("it is empty"),
        };
        if let Some(why) = refused {
            return Err(AmendmentError::TooBroad(why));
        }
        let pattern: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        Ok(Self {
            line: format!(
                "prefix_rule(pattern=[{}], decision={})",
                pattern.join(", "),
                quoted(decision.word())
            ),
        })
    }

    /// A network rule about one host.
    ///
    /// # Errors
    /// The host is not one, or the justification is blank.
    pub fn network(
        host: &str,
        protocol: Protocol,
        decision: Decision,
        justification: Option<&str>,
    ) -> Result<Self, AmendmentError> {
        let host = normalise_host(host).map_err(AmendmentError::Host)?;
        let why = match justification {
            Some(text) if text.trim().is_empty() => return Err(AmendmentError::BlankJustification),
            Some(text) => format!(", justification={}", quoted(text)),
            None => String::new(),
        };
        let decision = match decision {
            Decision::Allow => "allow",
            Decision::Prompt => "prompt",
            Decision::Forbidden => "deny",
        };
        Ok(Self {
            line: format!(
                "network_rule(host={}, protocol=\"{protocol}\", decision=\"{decision}\"{why})",
                quoted(&host)
            ),
        })
    }

    /// The rule as one line of a rules file, without the newline.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }
}

/// A string literal that JSON and Starlark read alike.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The words of a rule worth offering to a human who approved a command: all of them, so that nothing unseen is allowed.
///
/// `None` when a rule already speaks about it (one more would not help), when it holds other commands, or when it would be too broad.
#[must_use]
pub fn suggest(evaluation: &Evaluation) -> Option<Amendment> {
    let by_heuristic = match evaluation.decided_by() {
        DecidedBy::Heuristic | DecidedBy::Nothing => true,
        DecidedBy::Rule | DecidedBy::Parts | DecidedBy::IncompleteRules => false,
    };
    let [whole] = evaluation.commands() else { return None };
    if by_heuristic && evaluation.doubt().is_none() { Amendment::allow(whole).ok() } else { None }
}
