//! What is typed about the bounds that calls keep.

use std::time::Duration;

use exec_server::{AfterCall, Limits};

/// The bounds that calls keep.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Calls")]
pub(super) struct LimitArguments {
    /// The longest timeout that a call may ask for, in milliseconds; longer ones are lowered
    #[arg(long, value_name = "MS")]
    max_timeout: Option<u64>,

    /// Tokens of output (about 4 bytes each) in a result, unless the call says otherwise
    #[arg(long, value_name = "N", default_value_t = Limits::default().output_tokens)]
    max_output_tokens: u64,

    /// Commands that run at once; more wait, in order
    #[arg(long, value_name = "N", default_value_t = Limits::default().concurrent_calls)]
    max_calls: usize,

    /// What becomes of background processes when their command returns: live (until the server ends) or end
    #[arg(long, value_name = "WORD", default_value = "live")]
    background: AfterCall,
}

impl LimitArguments {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_timeout: self.max_timeout.map(Duration::from_millis),
            output_tokens: self.max_output_tokens,
            concurrent_calls: self.max_calls,
            after_call: self.background,
            ..Limits::default()
        }
    }
}
