//! By which door programs reach the judge: a flag over the configuration file over the default.

use std::str::FromStr;

use sandbox::Mode;

use super::word::{UnknownWord, meaning};

/// By which door programs reach the judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DoorChoice {
    /// The kernel's where a sandbox is enforced. Without one, the wrapper's: the kernel's would keep `sudo` from working.
    #[default]
    Auto,
    /// The kernel's: all that every process of a command executes is judged. Where it cannot be had, the wrapper's, and
    /// why.
    Kernel,
    /// The wrapper's: what the command's own shell executes is judged.
    Wrapper,
}

impl DoorChoice {
    /// Whether commands are to be behind the kernel's door.
    pub(crate) fn is_the_kernels(self, sandbox: Mode) -> bool {
        match self {
            DoorChoice::Auto => sandbox.is_enforced(),
            DoorChoice::Kernel => true,
            DoorChoice::Wrapper => false,
        }
    }
}

impl FromStr for DoorChoice {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<DoorChoice, UnknownWord> {
        let words =
            [("auto", DoorChoice::Auto), ("kernel", DoorChoice::Kernel), ("wrapper", DoorChoice::Wrapper)];
        meaning(word, "door", &words)
    }
}
