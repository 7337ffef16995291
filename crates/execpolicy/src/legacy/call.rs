//! The call that is checked, as it is read from and printed in JSON.

use serde::{Deserialize, Serialize};

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The program's name.
    pub program: String,
    /// The words after it.
    pub args: Vec<String>,
}

/// A word that is not an option, and its place among all words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PositionalArg {
    /// Index in the call's arguments.
    pub index: usize,
    /// The word.
    pub value: String,
}
