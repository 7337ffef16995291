//! The examples in rule files, kept so that people can see them tried (`policy test`).

use crate::rule::Origin;

/// One verified `match` or `not_match` example.
#[derive(Clone, Debug)]
pub struct Example {
    /// The words of the command.
    pub words: Vec<String>,
    /// Whether its rule is meant to match it.
    pub matches: bool,
    /// The call that it stands in.
    pub origin: Origin,
}

impl Example {
    /// The words as one would type them.
    #[must_use]
    pub fn typed(&self) -> String {
        typed(&self.words)
    }
}

/// Joins words as one would type them in a shell.
pub(crate) fn typed(words: &[String]) -> String {
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}
