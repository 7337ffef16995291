//! What came of a patch: in words for who has typed it, as JSON for who asks for that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was made.
    Add,
    /// Its text or its mode was changed.
    Update,
    /// It was removed.
    Delete,
    /// It got another name, and may have been changed.
    Move,
}

/// One change, as the patch names the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// To which file.
    pub path: String,
    /// Its new name, when it was moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letter = match self.kind {
            ChangeKind::Add => 'A',
            ChangeKind::Update => 'M',
            ChangeKind::Delete => 'D',
            ChangeKind::Move => 'R',
        };
        write!(formatter, "{letter} {}", self.path)?;
        self.to.as_ref().map_or(Ok(()), |to| write!(formatter, " -> {to}"))
    }
}

/// What came of a patch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// What was changed; nothing when anything stood in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What stood in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// What stood in the way of the patch as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Report {
    /// A patch that was not applied, for this reason.
    #[must_use]
    pub fn failed(error: impl Into<String>) -> Report {
        Report { error: Some(error.into()), ..Report::default() }
    }

    /// Whether the patch was applied.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        self.failures.is_empty() && self.error.is_none()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_applied() {
            // In the words that models of the Codex family know.
            formatter.write_str("Success. Updated the following files:\n")?;
            return self.changes.iter().try_for_each(|change| writeln!(formatter, "{change}"));
        }
        formatter.write_str("The patch was not applied, and nothing was changed:\n")?;
        self.error.iter().try_for_each(|error| writeln!(formatter, "{error}"))?;
        self.failures.iter().try_for_each(|failure| writeln!(formatter, "{failure}"))
    }
}
