//! By which door programs reach the judge: a flag over the configuration file over the default.

use std::str::FromStr;

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

/// A word that names no door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no door; there are auto, kernel and wrapper")]
pub struct UnknownDoor(String);

impl FromStr for DoorChoice {
    type Err = UnknownDoor;

    fn from_str(word: &str) -> Result<DoorChoice, UnknownDoor> {
        match word {
            "auto" => Ok(DoorChoice::Auto),
            "kernel" => Ok(DoorChoice::Kernel),
            "wrapper" => Ok(DoorChoice::Wrapper),
            other => Err(UnknownDoor(other.to_owned())),
        }
    }
}
