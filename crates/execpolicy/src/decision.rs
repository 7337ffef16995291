//! The three answers a rule can give, in order of strictness.
//!
//! What the server does with an answer (run inside, run outside, ask, refuse) is not decided here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a rule says about a command; a later variant is stricter, and the strictest of all matches wins.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The command may run.
    Allow,
    /// A human is asked first.
    Prompt,
    /// The command never runs.
    Forbidden,
}

impl Decision {
    /// Reads the word used in rule files; `None` for any other word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "allow" => Some(Self::Allow),
            "prompt" => Some(Self::Prompt),
            "forbidden" => Some(Self::Forbidden),
            _ => None,
        }
    }

    /// The word used in rule files and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Prompt => "prompt",
            Self::Forbidden => "forbidden",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::Decision;

    #[test]
    fn strictness_is_the_order() {
        assert!(Decision::Allow < Decision::Prompt);
        assert!(Decision::Prompt < Decision::Forbidden);
    }

    #[test]
    fn words_read_back() {
        for decision in [Decision::Allow, Decision::Prompt, Decision::Forbidden] {
            assert_eq!(Decision::from_word(decision.word()), Some(decision));
        }
        assert_eq!(Decision::from_word("Allow"), None);
    }
}
