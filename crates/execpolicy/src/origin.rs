//! Where something was written that a rules file says.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a rule was written; lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The rule file.
    pub file: Arc<Path>,
    /// The line on which the call begins.
    pub line: usize,
    /// The column at which the call begins.
    pub column: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}
