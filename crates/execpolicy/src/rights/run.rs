//! The four ways in which a program can run that a rule lets run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a program runs, and all that it starts; a later variant has more rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Run {
    /// With what commands may do, and the rule's grants.
    Inside,
    /// With what its profile names and nothing else, executing only its own helpers.
    Confined,
    /// With the user's rights, but nothing that commands can write is executed.
    Outside,
    /// With everything that the user has.
    Unconfined,
}

impl Run {
    /// All ways, the one with the fewest rights first.
    pub const ALL: [Run; 4] = [Run::Inside, Run::Confined, Run::Outside, Run::Unconfined];

    /// Reads the word of rule files; `None` for any other word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Run> {
        Run::ALL.into_iter().find(|run| run.word() == word)
    }

    /// The word of rule files and of JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Run::Inside => "inside",
            Run::Confined => "confined",
            Run::Outside => "outside",
            Run::Unconfined => "unconfined",
        }
    }

    /// Whether it has the user's rights, so that no grant of a path or a host adds to them.
    #[must_use]
    pub fn has_the_users_rights(self) -> bool {
        self >= Run::Outside
    }
}

impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::Run;

    #[test]
    fn ways_are_in_the_order_of_their_rights_and_their_words_read_back() {
        assert!(Run::ALL.is_sorted());
        assert!(Run::ALL.into_iter().all(|run| Run::from_word(run.word()) == Some(run)));
        assert_eq!(Run::from_word("Inside"), None);
    }
}
