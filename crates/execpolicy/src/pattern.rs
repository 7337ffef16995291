//! One element of a rule's pattern, and whether one argument fits it.
//!
//! Elements compare bytes, case-sensitively and whole: there is no substring match.

/// One position of a pattern: exactly one of these forms fits one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// This very word.
    Word(String),
    /// Any one of these (never empty, never nested).
    AnyOf(Vec<Element>),
}

impl Element {
    /// Whether the argument fits.
    #[must_use]
    pub fn matches(&self, argument: &[u8]) -> bool {
        match self {
            Self::Word(word) => word.as_bytes() == argument,
            Self::AnyOf(alternatives) => alternatives.iter().any(|element| element.matches(argument)),
        }
    }

    /// The plain words that this element stands for; `None` when it has a form that is not a list of words.
    #[must_use]
    pub fn words(&self) -> Option<Vec<&str>> {
        match self {
            Self::Word(word) => Some(vec![word]),
            Self::AnyOf(alternatives) => {
                let mut words = Vec::with_capacity(alternatives.len());
                for alternative in alternatives {
                    words.extend(alternative.words()?);
                }
                Some(words)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Element;

    #[test]
    fn words_match_whole_and_by_case() {
        let element = Element::Word("push".into());
        assert!(element.matches(b"push"));
        assert!(!element.matches(b"pus"));
        assert!(!element.matches(b"PUSH"));
    }

    #[test]
    fn alternatives_match_any_one() {
        let element = Element::AnyOf(vec![Element::Word("a".into()), Element::Word("b".into())]);
        assert!(element.matches(b"b"));
        assert!(!element.matches(b"ab"));
        assert_eq!(element.words(), Some(vec!["a", "b"]));
    }
}
