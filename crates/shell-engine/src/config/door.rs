//! By which door programs reach the judge: a flag over the configuration file over the default.

use std::str::FromStr;

use super::word::{UnknownWord, meaning};

/// By which door programs reach the judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DoorChoice {
    /// The best that there is. As long as the kernel's is new, that is the wrapper's.
    Auto,
    /// The kernel's: all that every process of a command executes is judged. Where it cannot be had, the wrapper's, and
    /// why.
    Kernel,
    /// The wrapper's: what the command's own shell executes is judged.
    #[default]
    Wrapper,
}

impl FromStr for DoorChoice {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<DoorChoice, UnknownWord> {
        let words =
            [("auto", DoorChoice::Auto), ("kernel", DoorChoice::Kernel), ("wrapper", DoorChoice::Wrapper)];
        meaning(word, "door", &words)
    }
}
