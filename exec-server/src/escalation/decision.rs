//! What was decided about one program, for the call's result.

use schemars::JsonSchema;
use serde::Serialize;

/// A program that did not simply run in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JudgedProgram {
    /// The program's path.
    pub program: String,
    /// Its arguments, the name it was called by first.
    pub argv: Vec<String>,
    /// What was decided.
    pub decision: Decided,
    /// The rule that decided, as `file:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The rule's justification, or the reason that a person gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// Why a program that a rule allows to leave the sandbox did not leave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not_escalated: Option<String>,
    /// Names of environment variables that it did not get.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped_variables: Vec<String>,
}

/// What was decided about a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// It ran outside the sandbox.
    Escalated,
    /// A person let it run, in the sandbox.
    Approved,
    /// A rule lets it leave the sandbox; it ran inside all the same, see `why_not_escalated`.
    KeptInside,
    /// A rule forbids it; it did not run.
    Forbidden,
    /// A person refused it; it did not run.
    Declined,
    /// It needs an approval and nobody answered; it did not run.
    Unanswered,
}

impl Decided {
    /// Whether the program did not run.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        match self {
            Decided::Forbidden | Decided::Declined | Decided::Unanswered => true,
            Decided::Escalated | Decided::Approved | Decided::KeptInside => false,
        }
    }
}
