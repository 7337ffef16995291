//! What is typed about the bounds that calls keep.

use std::time::Duration;

use shell_engine::{AfterCall, Bytes, LimitSettings, Processors};

/// The bounds that calls keep.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Calls")]
pub(super) struct LimitArguments {
    /// The longest timeout that a call may ask for, in milliseconds; longer ones are lowered
    #[arg(long, value_name = "MS")]
    max_timeout: Option<u64>,

    /// The timeout of calls that ask for none, in milliseconds; by default 10000
    #[arg(long, value_name = "MS")]
    default_timeout: Option<u64>,

    /// Tokens of output (about 4 bytes of JSON each) in a result, unless the call says otherwise; by default 9000
    #[arg(long, value_name = "N")]
    max_output_tokens: Option<u64>,

    /// Commands that run at once; more wait, in order; by default 64
    #[arg(long, value_name = "N")]
    max_calls: Option<usize>,

    /// Memory of all commands together (per principal, where there are many): 512M, 2G. It needs control groups
    /// (`doctor` says whether there are)
    #[arg(long, value_name = "BYTES")]
    memory_max: Option<Bytes>,

    /// Processors that all commands together may use (per principal): 1.5. It needs control groups, too
    #[arg(long, value_name = "N")]
    cpu_max: Option<Processors>,

    /// What becomes of background processes when their command returns: live (until the server ends, the default) or
    /// end
    #[arg(long, value_name = "WORD")]
    background: Option<AfterCall>,

    /// Seconds after which a session that nobody asks for, and that prints nothing, is ended; by default 3600
    #[arg(long, value_name = "SECONDS")]
    session_idle: Option<u64>,

    /// Let sessions run on when the client is gone; the next client of the same user finds them by the token that results
    /// with a session_id have
    #[arg(long)]
    pub(super) keep_sessions: bool,
}

impl LimitArguments {
    pub(super) fn settings(&self) -> LimitSettings {
        LimitSettings {
            default_timeout: self.default_timeout.map(Duration::from_millis),
            max_timeout: self.max_timeout.map(Duration::from_millis),
            output_tokens: self.max_output_tokens,
            concurrent_calls: self.max_calls,
            after_call: self.background,
            session_idle: self.session_idle.map(Duration::from_secs),
            memory_max: self.memory_max,
            cpu_max: self.cpu_max,
        }
    }
}
