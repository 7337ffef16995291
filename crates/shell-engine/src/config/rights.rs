//! What a rule gives that says nothing of rights, and what becomes of programs that failed because of the sandbox.

use execpolicy::Plain;
use serde::Deserialize;

/// `allow_means`: what a rule gives that lets a program run and says nothing of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AllowMeans {
    /// What its kind of program needs.
    #[default]
    Program,
    /// Everything that the user has, as in Codex.
    Unconfined,
}

/// `retry`: whether what a program failed at because of the sandbox becomes a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RetryChoice {
    /// Once, where somebody can be asked, and where the program's profile gives what it lacked.
    #[default]
    Ask,
    /// Never.
    Never,
}

impl AllowMeans {
    /// What it means to those who judge.
    #[must_use]
    pub fn plain(self) -> Plain {
        match self {
            AllowMeans::Program => Plain::ByProgram,
            AllowMeans::Unconfined => Plain::Unconfined,
        }
    }

    /// What a user should know about it at every start, if there is something.
    #[must_use]
    pub fn doubt(self) -> Option<&'static str> {
        match self {
            AllowMeans::Program => None,
            AllowMeans::Unconfined => Some(
                "allow_means = \"unconfined\": whatever a rule allows that says nothing of rights runs with everything that you have",
            ),
        }
    }
}
