//! What comes of a question.

/// What came of a question.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Approved {
        /// For how long.
        scope: Scope,
        /// What the person said about it.
        reason: Option<String>,
        /// The channel that the answer came through.
        by: &'static str,
    },
    /// No.
    Declined {
        /// What the person said about it.
        reason: Option<String>,
        /// The whole call is to end.
        ends_call: bool,
        /// The channel that the answer came through.
        by: &'static str,
    },
    /// The question was closed without a decision, by the channel of this name.
    Cancelled {
        /// The channel that the answer came through.
        by: &'static str,
    },
    /// Nobody could be asked, or nobody answered; the text says why, for the person who reads the command's output.
    Unanswered(String),
}

/// How long a yes lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For the program that waits now.
    Once,
    /// The same, inside the sandbox and with nothing more than commands may do.
    Inside,
    /// For the very same command (program, arguments, folder, environment) until the server ends.
    Session,
    /// For every command that begins so; this rule has been written.
    Always(String),
    /// For every command that begins so until the server ends, by this rule.
    SessionRule(String),
}
