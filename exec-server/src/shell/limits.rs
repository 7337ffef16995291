//! The bounds that calls keep.

use std::time::Duration;

use super::admission::DEFAULT_PLACES;
use super::background::AfterCall;
use super::output::{DEFAULT_TOKENS, SpoolLimits};

/// A command's timeout when the caller gives none; the peer's, which agents know.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Enough for programs to save what they have at hand.
const GRACE: Duration = Duration::from_millis(500);

/// The bounds that calls keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A command's timeout when the caller gives none.
    pub default_timeout: Duration,
    /// The longest timeout that a caller gets.
    pub max_timeout: Option<Duration>,
    /// The time between asking a call's processes to end and killing them.
    pub grace: Duration,
    /// Tokens of output in an answer when the caller does not say.
    pub output_tokens: u64,
    /// What is kept of outputs that do not fit.
    pub spool: SpoolLimits,
    /// Commands that run at once; more wait.
    pub concurrent_calls: usize,
    /// What becomes of background processes.
    pub after_call: AfterCall,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            default_timeout: DEFAULT_TIMEOUT,
            max_timeout: None,
            grace: GRACE,
            output_tokens: DEFAULT_TOKENS,
            spool: SpoolLimits::default(),
            concurrent_calls: DEFAULT_PLACES,
            after_call: AfterCall::default(),
        }
    }
}
